// Command callback-ingest runs the callback-ingest service in a process of its own. Settings are
// QUITTANCE_… variables: see program.Config and the service's Config.
package main

import (
	"context"

	"quittance/pkg/program"
	"quittance/pkg/rpc"
	callbackingest "quittance/services/callback-ingest"
)

func main() {
	program.Main(callbackingest.Name, func(ctx context.Context, p program.Parts, own callbackingest.Config) (program.Service, rpc.Authenticator, error) {
		s, err := callbackingest.New(ctx, p.Deps, own, p.Orders)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Reference, nil
	})
}
