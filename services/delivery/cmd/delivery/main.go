// Command delivery runs the delivery service in a process of its own. Settings are
// QUITTANCE_… variables: see program.Config and the service's Config. Its
// subcommand import brings licence keys from a file into a pool.
package main

import (
	"context"
	"os"

	"quittance/pkg/app"
	"quittance/pkg/mail"
	"quittance/pkg/program"
	"quittance/pkg/rpc"
	"quittance/services/delivery"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "import" {
		app.Main(func(ctx context.Context) error { return delivery.Import(ctx, os.Args[2:], os.Stdout, os.Stderr) })
		return
	}
	program.Main(delivery.Name, func(ctx context.Context, p program.Parts, own delivery.Settings) (program.Service, rpc.Authenticator, error) {
		mailer, err := mail.NewSMTP(own.SMTP)
		if err != nil {
			return nil, nil, err
		}
		s, err := delivery.New(ctx, p.Deps, own.Delivery, p.Orders, mailer)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Reference, nil
	})
}
