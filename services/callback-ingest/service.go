package callbackingest

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"quittance/pkg/event"
	"quittance/pkg/provider/registry"
	"quittance/pkg/reference"
	"quittance/pkg/service"
	callbackv1 "quittance/proto/gen/go/quittance/callback/v1"
	"quittance/services/callback-ingest/internal/callbacks"
	"quittance/services/callback-ingest/internal/edge"
	"quittance/services/callback-ingest/internal/handle"
)

// Name is the service's name on the bus and in logs.
const Name = "callback"

// defaultStoreWait is how long a store may take by default.
const defaultStoreWait = 2 * time.Second

// Defaults of settings.
const (
	defaultKeep        = 90 * 24 * time.Hour
	defaultPerSecond   = 1000
	defaultRefusalTime = 25 * time.Millisecond
)

// Config is what the service itself needs to know.
type Config struct {
	// StoreWait is how long the store may take to record a callback before the
	// bus is asked to keep it instead: 2 s.
	StoreWait time.Duration `env:"STORE_WAIT" envDefault:"2s" doc:"How long the store may take before a callback is put on the bus instead"`
	// Keep is how long raw requests are kept, sealed: 90 days.
	Keep time.Duration `env:"CALLBACK_KEEP" envDefault:"2160h" doc:"How long the raw requests of callbacks are kept; refused callbacks are deleted then. For callbacks that come from then on"`
	// PerSecond limits the callbacks of one account from one address (IPv6: one /64).
	PerSecond int `env:"CALLBACKS_PER_SECOND" envDefault:"1000" doc:"How many callbacks of one account are taken from one address, twice as many at once; the others are told to come again"`
	// RefusalTime is how long a refusal takes at least; negative: no time.
	RefusalTime time.Duration `env:"CALLBACK_REFUSAL_TIME" envDefault:"25ms" doc:"How long the answer to a refused callback takes at least, so that its time tells nothing of the account"`
}

// Service is the callback-ingest service.
type Service struct {
	base *service.Base
	// Reference authenticates merchants' keys.
	Reference *reference.Copy
	receiver  *edge.Receiver
	lister    *edge.Lister
}

// New opens the service's store and wires its parts. orders leads to the order
// service's internal listener.
func New(ctx context.Context, d service.Deps, cfg Config, orders grpc.ClientConnInterface) (*Service, error) {
	if cfg.StoreWait <= 0 {
		cfg.StoreWait = defaultStoreWait
	}
	if cfg.Keep <= 0 {
		cfg.Keep = defaultKeep
	}
	if cfg.PerSecond <= 0 {
		cfg.PerSecond = defaultPerSecond
	}
	if cfg.RefusalTime == 0 {
		cfg.RefusalTime = defaultRefusalTime
	}
	base, err := service.New(ctx, Name, d)
	if err != nil {
		return nil, err
	}
	ref, err := reference.Follow(ctx, base, orders)
	if err != nil {
		return nil, err
	}
	cs, err := callbacks.Open(ctx, base, cfg.Keep)
	if err != nil {
		return nil, err
	}
	accounts, providers := edge.NewAccounts(ref), registry.New(&http.Client{})
	receiver, err := edge.NewReceiver(cs, accounts, providers,
		edge.Config{StoreWait: cfg.StoreWait, PerSecond: cfg.PerSecond, RefusalTime: cfg.RefusalTime}, base.Log, d.Meter)
	if err != nil {
		return nil, err
	}
	h := &handle.Handlers{Callbacks: cs, Erasures: base}
	base.On(event.PaymentVerified, h.PaymentVerified)
	base.On(event.CallbackAcknowledged, h.CallbackAcknowledged)
	base.On(event.CallbackRescued, h.CallbackRescued)
	if err := service.Erases(ctx, base, cs.Erase); err != nil {
		return nil, err
	}
	return &Service{base: base, Reference: ref, receiver: receiver, lister: &edge.Lister{Callbacks: cs, Accounts: accounts, Providers: providers}}, nil
}

// Routes adds the paths that providers call.
func (s *Service) Routes(mux *http.ServeMux) { s.receiver.Routes(mux) }

// Base is what the service has in common with all.
func (s *Service) Base() *service.Base { return s.base }

// Register adds the gRPC services to the public listener; there is nothing for
// the internal one.
func (s *Service) Register(public, _ grpc.ServiceRegistrar) {
	callbackv1.RegisterCallbackServiceServer(public, s.lister)
}

// Run does the service's work until ctx is done.
func (s *Service) Run(ctx context.Context) error { return s.base.Run(ctx) }
