package verification

import (
	"context"
	"net/http"

	"google.golang.org/grpc"

	"quittance/pkg/event"
	"quittance/pkg/provider/registry"
	"quittance/pkg/reference"
	"quittance/pkg/service"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/verification/internal/edge"
	"quittance/services/verification/internal/handle"
	"quittance/services/verification/internal/verifications"
)

// Name is the service's name on the bus and in logs.
const Name = "verification"

// Service is the verification service.
type Service struct {
	base *service.Base
	// Reference authenticates merchants' keys.
	Reference *reference.Copy
	server    *edge.Server
}

// New opens the service's store and wires its parts. orders is a connection to
// the order service's internal listener; client makes the calls to providers.
func New(ctx context.Context, d service.Deps, orders grpc.ClientConnInterface, client *http.Client) (*Service, error) {
	return NewWith(ctx, d, orders, registry.New(client))
}

// NewWith is New with these providers.
func NewWith(ctx context.Context, d service.Deps, orders grpc.ClientConnInterface, providers *registry.Registry) (*Service, error) {
	base, err := service.New(ctx, Name, d)
	if err != nil {
		return nil, err
	}
	ref, err := reference.Follow(ctx, base, orders)
	if err != nil {
		return nil, err
	}
	vs, err := verifications.Open(ctx, base, ref, providers)
	if err != nil {
		return nil, err
	}
	h := &handle.Handlers{Verifications: vs}
	base.On(event.PaymentStarted, h.PaymentStarted)
	base.On(event.PaymentReturned, h.PaymentReturned)
	base.On(event.PaymentConfirmed, h.PaymentConfirmed)
	base.On(event.CallbackReceived, h.CallbackReceived)
	base.On(event.PaymentAcknowledged, h.PaymentAcknowledged)
	base.On(event.RefundRequested, h.RefundRequested)
	for _, answer := range []string{
		event.PaymentSucceeded, event.PaymentFailed, event.PaymentDuplicate, event.OrderOnHold, event.OrderRefunded, event.OrderCanceled,
	} {
		base.On(answer, h.OrderAnswered)
	}
	if err := service.Erases(ctx, base, vs.Erase); err != nil {
		return nil, err
	}
	return &Service{base: base, Reference: ref, server: &edge.Server{Verifications: vs}}, nil
}

// Base is what the service has in common with all.
func (s *Service) Base() *service.Base { return s.base }

// Register adds the gRPC services to the public and the internal listener.
func (s *Service) Register(public, _ grpc.ServiceRegistrar) {
	verificationv1.RegisterVerificationServiceServer(public, s.server)
}

// Run does the service's work until ctx is done.
func (s *Service) Run(ctx context.Context) error { return s.base.Run(ctx) }
