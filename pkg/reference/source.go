package reference

import (
	"context"

	"google.golang.org/grpc"

	"quittance/pkg/service"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// orderSource asks the order service's internal gRPC.
type orderSource struct {
	client orderv1.ReferenceServiceClient
}

var _ Source = orderSource{}

// FromOrder is the source behind a connection to the order service's internal
// listener.
func FromOrder(conn grpc.ClientConnInterface) Source {
	return orderSource{orderv1.NewReferenceServiceClient(conn)}
}

// Reference implements Source.
func (s orderSource) Reference(ctx context.Context, kind, id string) (*orderv1.Reference, error) {
	return s.client.GetReference(ctx, &orderv1.GetReferenceRequest{Kind: kind, Id: id})
}

// References implements Source.
func (s orderSource) References(ctx context.Context, kind, merchant string) ([]*orderv1.Reference, error) {
	answer, err := s.client.ListReferences(ctx, &orderv1.ListReferencesRequest{Kind: kind, MerchantId: merchant})
	return answer.GetReferences(), err
}

// Follow opens the copy of a service that does not own the data: it takes what
// is published and asks the order service for what it lacks.
func Follow(ctx context.Context, b *service.Base, orders grpc.ClientConnInterface) (*Copy, error) {
	c, err := Open(ctx, b.Engine, FromOrder(orders), b.Keyring, b.Now)
	if err != nil {
		return nil, err
	}
	for _, typ := range Types() {
		b.On(typ, c.Handle)
	}
	return c, nil
}
