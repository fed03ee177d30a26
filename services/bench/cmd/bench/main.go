// Command bench measures the system and prints a table; see bench.Settings for
// its flags.
package main

import (
	"context"
	"os"

	"quittance/pkg/app"
	"quittance/services/bench"
)

func main() {
	app.Main(func(ctx context.Context) error {
		if len(os.Args) > 2 && os.Args[1] == bench.ChildArg {
			return bench.Child(ctx, os.Args[2], os.Stdin, os.Stdout)
		}
		settings, err := bench.Flags(os.Args[1:], os.Stderr)
		if err != nil {
			return err
		}
		return bench.Main(ctx, settings, os.Stdout, os.Stderr)
	})
}
