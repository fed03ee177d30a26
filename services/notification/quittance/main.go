// Command quittance is for merchants and developers at a terminal: it follows
// events live, tells an order's story, sends webhooks again and brings events to
// a program under development. `quittance help` lists what it can do.
package main

import (
	"context"
	"os"

	"quittance/pkg/app"
	"quittance/services/notification/internal/terminal"
)

func main() {
	app.Main(func(ctx context.Context) error { return terminal.Run(ctx, os.Args[1:], os.Stdout) })
}
