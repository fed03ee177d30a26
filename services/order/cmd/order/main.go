// Command order runs the order service in a process of its own. Settings are
// QUITTANCE_… variables: see program.Config and the service's Config.
package main

import (
	"context"

	"quittance/pkg/program"
	"quittance/pkg/rpc"
	"quittance/services/order"
)

func main() {
	program.Main(order.Name, func(ctx context.Context, p program.Parts, own order.Config) (program.Service, rpc.Authenticator, error) {
		s, err := order.New(ctx, p.Deps, own)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Reference, nil
	})
}
