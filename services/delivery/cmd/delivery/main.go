// Command delivery runs the delivery service in a process of its own. Settings are
// QUITTANCE_… variables: see program.Config and the service's Config. Its
// subcommand import brings licence keys from a file into a pool.
package main

import (
	"context"
	"os"

	"quittance/pkg/app"
	"quittance/pkg/program"
	"quittance/services/delivery"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "import" {
		app.Main(func(ctx context.Context) error { return delivery.Import(ctx, os.Args[2:], os.Stdout, os.Stderr) })
		return
	}
	program.Main(delivery.Name, delivery.Build)
}
