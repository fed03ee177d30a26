package notification

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"quittance/pkg/egress"
	"quittance/pkg/event"
	"quittance/pkg/mail"
	"quittance/pkg/reference"
	"quittance/pkg/service"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	"quittance/services/notification/internal/catchup"
	"quittance/services/notification/internal/edge"
	"quittance/services/notification/internal/endpoints"
	"quittance/services/notification/internal/handle"
	"quittance/services/notification/internal/history"
	"quittance/services/notification/internal/letters"
	"quittance/services/notification/internal/notices"
	"quittance/services/notification/internal/queues"
	"quittance/services/notification/internal/replays"
	"quittance/services/notification/internal/sender"
	"quittance/services/notification/internal/sweep"
)

// Name is the service's name on the bus and in logs.
const Name = "notification"

// Service is the notification service.
type Service struct {
	base *service.Base
	// Reference authenticates merchants' keys.
	Reference *reference.Copy
	server    *edge.Server
	transport *egress.Transport
}

// New opens the service's store and wires its parts. orders is a connection to
// the order service's internal listener.
// mailer sends notices about endpoints, and letters to customers; nil: there is
// no mail of either.
func New(ctx context.Context, d service.Deps, cfg Config, orders grpc.ClientConnInterface, mailer mail.Sender) (*Service, error) {
	cfg = cfg.withDefaults()
	base, err := service.New(ctx, Name, d)
	if err != nil {
		return nil, err
	}
	ref, err := reference.Follow(ctx, base, orders)
	if err != nil {
		return nil, err
	}
	es, err := endpoints.Open(ctx, base)
	if err != nil {
		return nil, err
	}
	policy, err := egress.NewPolicy(cfg.AllowCIDRs)
	if err != nil {
		return nil, fmt.Errorf("allowed addresses of webhooks: %w", err)
	}
	if cfg.Proxy != "" {
		if policy, err = policy.Through(cfg.Proxy.Reveal()); err != nil {
			return nil, err
		}
	}
	transport := policy.Transport(nil)
	if cfg.Transport == nil {
		cfg.Transport = transport
	}
	past := history.New(orders, base.Log)
	ns, err := notices.Open(ctx, base, es, ref, mailer)
	if err != nil {
		return nil, err
	}
	send := sender.New(sender.Options{
		Transport: cfg.Transport, Keyring: d.Keyring, Timeout: cfg.Timeout, Retries: cfg.Retries, PerEndpoint: cfg.PerEndpoint,
		Log: base.Log, Now: d.Now,
	})
	qs, err := queues.Open(ctx, base, es, send, past, ns, queues.Options{
		Workers: cfg.Workers, Hold: cfg.Hold, GiveUp: cfg.DisableAfter, Keep: cfg.Retention,
	})
	if err != nil {
		return nil, err
	}
	ns.Taker = qs
	ls, err := letters.Open(ctx, base, past, ref, qs, mailer)
	if err != nil {
		return nil, err
	}
	rs, err := replays.Open(ctx, base, es, qs, past)
	if err != nil {
		return nil, err
	}
	if err := catchup.Open(ctx, base, past, es, qs, ls, cfg.CatchUp); err != nil {
		return nil, err
	}
	if err := sweep.Open(ctx, base, es, qs, ns.Collection, ls.Collection, rs.Collection, cfg.Retention); err != nil {
		return nil, err
	}
	h := &handle.Handlers{Queues: qs, Letters: ls}
	for _, typ := range event.Public {
		base.On(typ, base.Forgetful(h.Public))
	}
	for _, typ := range event.PublicMerchant {
		base.On(typ, h.Merchant)
	}
	base.On(event.PaymentStarted, h.PaymentStarted)
	if err := service.Erases(ctx, base, qs.Erase); err != nil {
		return nil, err
	}
	return &Service{
		base: base, Reference: ref, transport: transport,
		server: &edge.Server{
			Endpoints: es, Queues: qs, Replays: rs, History: past, Keyring: d.Keyring, Egress: policy, Longest: send.Longest(),
		},
	}, nil
}

// Base is what the service has in common with all.
func (s *Service) Base() *service.Base { return s.base }

// Register adds the gRPC services to the public and the internal listener.
func (s *Service) Register(public, _ grpc.ServiceRegistrar) {
	notificationv1.RegisterNotificationServiceServer(public, s.server)
}

// Run does the service's work until ctx is done.
func (s *Service) Run(ctx context.Context) error {
	defer s.transport.CloseIdleConnections()
	return s.base.Run(ctx)
}
