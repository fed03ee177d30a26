package delivery

import (
	"context"

	"quittance/pkg/mail"
	"quittance/pkg/program"
	"quittance/pkg/rpc"
)

// Build builds the service as a process of its own runs it.
func Build(ctx context.Context, p program.Parts, own Settings) (program.Service, rpc.Authenticator, error) {
	mailer, err := mail.NewSMTP(own.SMTP)
	if err != nil {
		return nil, nil, err
	}
	s, err := New(ctx, p.Deps, own.Delivery, p.Orders, mailer)
	if err != nil {
		return nil, nil, err
	}
	return s, s.Reference, nil
}
