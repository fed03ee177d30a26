// Command verification runs the verification service in a process of its own. Settings are
// QUITTANCE_… variables: see program.Config and the service's Config.
package main

import (
	"context"
	"net/http"

	"quittance/pkg/program"
	"quittance/pkg/rpc"
	"quittance/services/verification"
)

func main() {
	program.Main(verification.Name, func(ctx context.Context, p program.Parts, _ struct{}) (program.Service, rpc.Authenticator, error) {
		s, err := verification.New(ctx, p.Deps, p.Orders, &http.Client{})
		if err != nil {
			return nil, nil, err
		}
		return s, s.Reference, nil
	})
}
