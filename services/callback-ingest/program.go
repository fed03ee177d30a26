package callbackingest

import (
	"context"

	"quittance/pkg/program"
	"quittance/pkg/rpc"
)

// Build builds the service as a process of its own runs it.
func Build(ctx context.Context, p program.Parts, own Config) (program.Service, rpc.Authenticator, error) {
	s, err := New(ctx, p.Deps, own, p.Orders)
	if err != nil {
		return nil, nil, err
	}
	return s, s.Reference, nil
}
