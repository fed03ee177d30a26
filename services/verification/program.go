package verification

import (
	"context"
	"net/http"

	"quittance/pkg/program"
	"quittance/pkg/rpc"
)

// Build builds the service as a process of its own runs it.
func Build(ctx context.Context, p program.Parts, _ struct{}) (program.Service, rpc.Authenticator, error) {
	s, err := New(ctx, p.Deps, p.Orders, &http.Client{})
	if err != nil {
		return nil, nil, err
	}
	return s, s.Reference, nil
}
