// Command payment-redirect runs the payment-redirect service in a process of its own. Settings are
// QUITTANCE_… variables: see program.Config and the service's Config.
package main

import (
	"context"

	"quittance/pkg/program"
	"quittance/pkg/rpc"
	paymentredirect "quittance/services/payment-redirect"
)

func main() {
	program.Main(paymentredirect.Name, func(ctx context.Context, p program.Parts, own paymentredirect.Config) (program.Service, rpc.Authenticator, error) {
		s, err := paymentredirect.New(ctx, p.Deps, own, p.Orders)
		if err != nil {
			return nil, nil, err
		}
		if own.DeliveryAddr != "" {
			delivery, err := p.Dial(own.DeliveryAddr)
			if err != nil {
				return nil, nil, err
			}
			s.AskDelivery(delivery)
		}
		return s, s.Reference, nil
	})
}
