// Command standalone runs all services in one process.
//
//	standalone demo   one order from creation to licence, e-mail and webhook, then exit
//	standalone run    stay up, with the sandbox, until interrupted
//	standalone serve  the six services only
//	standalone seed   set the demonstration merchant up in a deployment that runs elsewhere (scripts/seed)
package main

import (
	"context"
	"fmt"
	"os"

	"quittance/pkg/app"
	"quittance/pkg/config"
	"quittance/services/standalone"
)

func main() {
	app.Main(func(ctx context.Context) error {
		command := append(os.Args[1:], "run")[0]
		if command == "seed" {
			to, err := config.Load[standalone.Deployment](standalone.SeedPrefix, nil)
			if err != nil {
				return err
			}
			return standalone.SeedDeployment(ctx, to, os.Stdout)
		}
		cfg, err := config.Load[standalone.Config](standalone.EnvPrefix, nil)
		if err != nil {
			return err
		}
		switch command {
		case "demo":
			return standalone.RunDemo(ctx, standalone.ForDemo(cfg), os.Stdout)
		case "run":
			return standalone.RunForPeople(ctx, cfg, os.Stdout)
		case "serve":
			return standalone.Serve(ctx, cfg)
		default:
			return fmt.Errorf("unknown command %q: demo, run, serve or seed", command)
		}
	})
}
