// Command notification runs the notification service in a process of its own. Settings are
// QUITTANCE_… variables: see program.Config and the service's Config.
package main

import (
	"context"

	"quittance/pkg/mail"
	"quittance/pkg/program"
	"quittance/pkg/rpc"
	"quittance/services/notification"
)

func main() {
	program.Main(notification.Name, func(ctx context.Context, p program.Parts, own notification.Settings) (program.Service, rpc.Authenticator, error) {
		mailer, err := mail.NewSMTP(own.SMTP)
		if err != nil {
			return nil, nil, err
		}
		s, err := notification.New(ctx, p.Deps, own.Notification, p.Orders, mailer)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Reference, nil
	})
}
