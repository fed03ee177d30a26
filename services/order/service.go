package order

import (
	"context"
	"net/http"

	"google.golang.org/grpc"

	"quittance/pkg/event"
	"quittance/pkg/provider/registry"
	"quittance/pkg/reference"
	"quittance/pkg/service"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order/internal/accountfiles"
	"quittance/services/order/internal/customers"
	"quittance/services/order/internal/discounts"
	"quittance/services/order/internal/edge"
	"quittance/services/order/internal/handle"
	"quittance/services/order/internal/orders"
)

// Name is the service's name on the bus and in logs.
const Name = "order"

// Config is what the service itself needs to know.
type Config struct {
	// PublicURL is where customers reach the pay pages (payment-redirect).
	PublicURL string `env:"PUBLIC_URL" doc:"Base URL at which customers reach the pay pages"`
	// AccountsDir has provider accounts in files, see package accountfiles.
	AccountsDir string `env:"ACCOUNTS_DIR" doc:"Directory of provider accounts, a YAML file each, read every 5 s (docs/providers.md); none if empty"`
}

// Service is the order service.
type Service struct {
	base *service.Base
	// Reference authenticates merchants' keys.
	Reference *reference.Owner
	orders    *edge.Orders
	customers *edge.Customers
	catalog   *edge.Catalog
	merchants *edge.Merchants
	shop      *edge.Shop
	refs      *edge.Refs
}

// New opens the service's store and wires its parts.
func New(ctx context.Context, d service.Deps, cfg Config) (*Service, error) {
	base, err := service.New(ctx, Name, d)
	if err != nil {
		return nil, err
	}
	refs, err := reference.OpenOwner(ctx, d.Engine, d.Keyring, d.Now, base.Relay, Name)
	if err != nil {
		return nil, err
	}
	cs, err := customers.Open(ctx, base)
	if err != nil {
		return nil, err
	}
	os, err := orders.Open(ctx, base, cs)
	if err != nil {
		return nil, err
	}
	ds, err := discounts.Open(ctx, base)
	if err != nil {
		return nil, err
	}
	h := &handle.Handlers{Orders: os, Source: Name}
	base.On(event.PaymentVerified, h.PaymentVerified)
	base.On(event.DeliveryCompleted, h.DeliveryCompleted)
	base.On(event.DeliveryDelayed, h.DeliveryDelayed)
	base.On(event.FulfillmentChanged, h.FulfillmentChanged)
	base.On(event.DeliveryRevoked, h.DeliveryRevoked)
	base.On(event.ErasureAcknowledged, h.ErasureAcknowledged)

	s := &Service{
		base: base, Reference: refs,
		orders:    &edge.Orders{Orders: os, Customers: cs, Reference: refs, Discounts: ds, PayURL: cfg.PublicURL},
		customers: &edge.Customers{Customers: cs},
		catalog:   &edge.Catalog{Reference: refs, Discounts: ds},
		merchants: &edge.Merchants{Reference: refs, Keyring: d.Keyring, Providers: registry.New(&http.Client{}), Now: d.Now},
		shop:      &edge.Shop{Reference: refs, Keyring: d.Keyring, Now: d.Now},
	}
	s.refs = &edge.Refs{Reference: refs, Orders: s.orders}
	if cfg.AccountsDir != "" {
		files, err := accountfiles.New(cfg.AccountsDir, s.merchants.PutProviderAccount, d.Log)
		if err != nil {
			return nil, err
		}
		base.Go("account files", files.Run)
	}
	return s, nil
}

// Base is what the service has in common with all.
func (s *Service) Base() *service.Base { return s.base }

// Register adds the gRPC services to the public and the internal listener.
func (s *Service) Register(public, internal grpc.ServiceRegistrar) {
	orderv1.RegisterOrderServiceServer(public, s.orders)
	orderv1.RegisterCustomerServiceServer(public, s.customers)
	orderv1.RegisterCatalogServiceServer(public, s.catalog)
	orderv1.RegisterMerchantServiceServer(public, s.merchants)
	orderv1.RegisterShopServiceServer(public, s.shop)
	orderv1.RegisterReferenceServiceServer(internal, s.refs)
	orderv1.RegisterOrderServiceServer(internal, s.orders) // for the hosted checkout
}

// Run does the service's work until ctx is done.
func (s *Service) Run(ctx context.Context) error { return s.base.Run(ctx) }
