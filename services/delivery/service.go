package delivery

import (
	"context"
	"fmt"
	"net/http"

	"google.golang.org/grpc"

	"quittance/pkg/config"
	"quittance/pkg/egress"
	"quittance/pkg/event"
	"quittance/pkg/mail"
	"quittance/pkg/reference"
	"quittance/pkg/service"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/delivery/internal/deliveries"
	"quittance/services/delivery/internal/edge"
	"quittance/services/delivery/internal/handle"
	"quittance/services/delivery/internal/licenses"
	"quittance/services/delivery/internal/pools"
	"quittance/services/delivery/internal/upkeep"
	"quittance/services/delivery/internal/webservices"
)

// Name is the service's name on the bus and in logs.
const Name = "delivery"

// Config is what the service itself needs to know.
type Config struct {
	// Workers 0 means 16.
	Workers int `env:"WORKERS" envDefault:"16" doc:"Deliveries worked on at once, each with at most one connection to the mail server"`
	// Reconcile is set for the first start on a store that was restored from a
	// copy, on all replicas.
	Reconcile bool `env:"DELIVERY_RECONCILE" doc:"Compare licences and deliveries with the orders' records before any work, after the store was restored from a copy"`
	// AllowCIDRs opts addresses in that are not public; plain http goes to them only.
	AllowCIDRs []string `env:"LICENSE_SERVICE_ALLOW_CIDRS" doc:"CIDR blocks that merchants' licence web services may be in although they are not public; http:// is accepted for them only"`
	// Transport makes the calls of web services instead of the one that refuses
	// addresses that are not public: for simulations.
	Transport http.RoundTripper `env:"-"`
}

// Validate implements config.Validator.
func (c Config) Validate() error {
	if c.Workers < 0 {
		return config.Violation("WORKERS", "must not be negative, is %d", c.Workers)
	}
	if _, err := egress.NewPolicy(c.AllowCIDRs); err != nil {
		return config.Violation("LICENSE_SERVICE_ALLOW_CIDRS", "%v", err)
	}
	return nil
}

var _ config.Validator = Config{}

// Service is the delivery service.
type Service struct {
	base *service.Base
	// Reference authenticates merchants' keys.
	Reference  *reference.Copy
	server     *edge.Server
	stock      *edge.Stock
	transport  *egress.Transport
	reconciler *deliveries.Reconciler // nil: nothing to reconcile
}

// New opens the service's store and wires its parts. orders is a connection to
// the order service's internal listener; mailer sends the customers' mails.
func New(ctx context.Context, d service.Deps, cfg Config, orders grpc.ClientConnInterface, mailer mail.Sender) (*Service, error) {
	base, err := service.New(ctx, Name, d)
	if err != nil {
		return nil, err
	}
	ref, err := reference.Follow(ctx, base, orders)
	if err != nil {
		return nil, err
	}
	ls, err := licenses.Open(ctx, base)
	if err != nil {
		return nil, err
	}
	policy, err := egress.NewPolicy(cfg.AllowCIDRs)
	if err != nil {
		return nil, fmt.Errorf("allowed addresses of licence web services: %w", err)
	}
	transport := policy.Transport(nil)
	if cfg.Transport == nil {
		cfg.Transport = transport
	}
	ws, err := webservices.Open(ctx, base, cfg.Transport)
	if err != nil {
		return nil, err
	}
	ps, err := pools.Open(ctx, base, ls, ref, mailer)
	if err != nil {
		return nil, err
	}
	ds, err := deliveries.Open(ctx, base, deliveries.Parts{Licenses: ls, Pools: ps, Services: ws, Reference: ref, Mailer: mailer}, cfg.Workers)
	if err != nil {
		return nil, err
	}
	if err := upkeep.Open(ctx, base, ls, ds, ws); err != nil {
		return nil, err
	}
	h := &handle.Handlers{Deliveries: ds}
	base.On(event.PaymentSucceeded, base.Forgetful(h.PaymentSucceeded))
	base.On(event.OrderRefunded, base.Forgetful(h.OrderRefunded))
	base.On(event.OrderCanceled, base.Forgetful(h.OrderRefunded))
	base.On(event.ProductDelivered, h.OrderKnows)
	base.On(event.ProductRevoked, h.OrderKnows)
	base.On(event.DeliveryAcknowledged, h.DeliveryAcknowledged)
	if err := service.Erases(ctx, base, h.Erase); err != nil {
		return nil, err
	}
	s := &Service{
		base: base, Reference: ref, transport: transport, stock: &edge.Stock{Licenses: ls},
		server: &edge.Server{Deliveries: ds, Products: ref, Egress: policy},
	}
	if cfg.Reconcile {
		s.reconciler = deliveries.NewReconciler(ds, orderv1.NewReferenceServiceClient(orders))
	}
	return s, nil
}

// Base is what the service has in common with all.
func (s *Service) Base() *service.Base { return s.base }

// Register adds the gRPC services to the public and the internal listener.
func (s *Service) Register(public, internal grpc.ServiceRegistrar) {
	deliveryv1.RegisterDeliveryServiceServer(public, s.server)
	deliveryv1.RegisterStockServiceServer(internal, s.stock)
	deliveryv1.RegisterDeliveryServiceServer(internal, s.server) // for the customers' order pages
}

// Run does the service's work until ctx is done. On a restored store nothing is
// worked on before licences and deliveries are as the orders' records say.
func (s *Service) Run(ctx context.Context) error {
	defer s.transport.CloseIdleConnections()
	if s.reconciler != nil {
		if err := s.reconciler.Run(ctx); err != nil {
			return err
		}
	}
	return s.base.Run(ctx)
}

// Ready is an error as long as a restored store is not reconciled.
func (s *Service) Ready(context.Context) error {
	if s.reconciler == nil {
		return nil
	}
	return s.reconciler.Ready()
}
