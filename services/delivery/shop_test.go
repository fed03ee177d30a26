// What is real here: the service with its store (the memory engine), relay, due
// work, handlers and edge. What is doubled: the bus (it hands on at once and
// keeps a record), the order service behind it (it answers as the real one
// does), the mail server. Time is virtual where a test runs in a bubble. What
// may be asserted: documents, answers of the edge, mails, events, writes, logs.
package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/mail"
	"quittance/pkg/reference"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/delivery"
)

const merchant = "acme"

// shop is a delivery service of some replicas, and all around it.
type shop struct {
	engine  docstore.Engine
	keyring *seal.Keyring
	relay   *relay
	log     *buffer
	lag     func() time.Duration // of the replicas' stores
	config  delivery.Config
	web     *merchantService
	orders  grpc.ClientConnInterface

	mu       sync.Mutex
	replicas []*replica
	closed   bool
	events   []event.Event // everything published
	stock    []string      // every key imported
	order    *orderDouble
	calls    sync.WaitGroup
}

// replica is one process.
type replica struct {
	shop     *shop
	engine   *mortal
	svc      *delivery.Service
	server   deliveryv1.DeliveryServiceServer
	stock    deliveryv1.StockServiceServer
	handlers map[string]bus.Handler
	ready    chan struct{}
	stop     func() error
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var ring = seal.Generate()

func newShop(engine docstore.Engine) (*shop, error) {
	keyring, err := seal.ParseKeyring(ring)
	s := &shop{engine: engine, keyring: keyring, relay: &relay{}, log: &buffer{}, orders: orderIsDown{}}
	s.web = &merchantService{shop: s, byKey: map[string][]string{}}
	s.config.Transport = s.web
	s.order = &orderDouble{shop: s, delivered: map[string]map[int32]bool{}}
	return s, err
}

// open starts a shop of one replica with products, and ends it with the test.
func open(t *testing.T, opts ...memory.Option) *shop {
	t.Helper()
	s, err := newShop(memory.New(opts...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start adds a replica.
func (s *shop) start(ctx context.Context) (*replica, error) {
	r, stop, err := s.launch(ctx)
	if err != nil {
		return nil, err
	}
	r.stop = stop
	<-r.ready
	if err := s.publishReference(ctx, r); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas = append(s.replicas, r)
	return r, nil
}

// launch runs a replica that nobody talks to yet.
func (s *shop) launch(ctx context.Context) (r *replica, stop func() error, err error) {
	r = &replica{shop: s, engine: &mortal{Engine: s.engine, lag: s.lag}, ready: make(chan struct{})}
	svc, err := delivery.New(ctx, service.Deps{
		Engine: r.engine, Bus: r, Log: slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(), Keyring: s.keyring, Now: time.Now,
	}, s.config, s.orders, r)
	if err != nil {
		return nil, nil, err
	}
	r.svc = svc
	svc.Register(r, r)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- svc.Run(ctx) }()
	return r, func() error { cancel(); return <-done }, nil
}

// close ends all replicas.
func (s *shop) close() error {
	s.mu.Lock()
	replicas := s.replicas
	s.replicas, s.closed = nil, true
	s.mu.Unlock()
	var errs []error
	for _, r := range replicas {
		errs = append(errs, r.stop())
	}
	s.calls.Wait()
	return errors.Join(errs...)
}

// bury replaces replicas that have died.
func (s *shop) bury(ctx context.Context) error {
	s.mu.Lock()
	var dead, alive []*replica
	for _, r := range s.replicas {
		if r.engine.isDead() {
			dead = append(dead, r)
		} else {
			alive = append(alive, r)
		}
	}
	s.replicas = alive
	s.mu.Unlock()
	for _, r := range dead {
		_ = r.stop() // what a dead process returns is nobody's business
		if _, err := s.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *shop) replica(n int) *replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replicas[n%len(s.replicas)]
}

// publishReference tells a replica of merchants and products.
func (s *shop) publishReference(ctx context.Context, r *replica) error {
	refs := []*orderv1.Reference{}
	for _, m := range []string{merchant, "rival"} {
		refs = append(refs, &orderv1.Reference{Kind: reference.KindMerchant, Id: m, Version: 1, Item: &orderv1.Reference_Merchant{
			Merchant: &orderv1.Merchant{Id: m, Name: m, MailFrom: "shop@" + m + ".example", ContactEmail: "stock@" + m + ".example"},
		}})
	}
	for _, p := range []string{"tool", "game", "book", "cloud", "mixed"} {
		refs = append(refs, &orderv1.Reference{Kind: reference.KindProduct, Id: reference.ProductID(merchant, p), Version: 1,
			Item: &orderv1.Reference_Product{Product: &orderv1.MerchantProduct{MerchantId: merchant, Product: &orderv1.Product{Id: p}}}})
	}
	for _, ref := range refs {
		e, err := event.New("ref."+ref.GetKind(), "order", ref.GetId(), ref.GetId(), merchant, time.Now(), ref)
		if err != nil {
			return err
		}
		for r.svc.Reference.Handle(ctx, e) != nil {
			<-time.After(time.Second) // the bus tries again
		}
	}
	return nil
}

// Publish implements service.Bus: the order gets what it consumes.
func (r *replica) Publish(_ context.Context, events []event.Event) (int, error) {
	if r.engine.isDead() {
		return 0, errDead
	}
	s := r.shop
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, events...)
	for _, e := range events {
		s.calls.Go(func() { s.order.take(e) })
	}
	return len(events), nil
}

// Consume implements service.Bus.
func (r *replica) Consume(ctx context.Context, _ string, handlers map[string]bus.Handler, _ bus.Parker) error {
	r.handlers = handlers
	close(r.ready)
	<-ctx.Done()
	return nil
}

// Send implements mail.Sender: a dead process sends nothing.
func (r *replica) Send(ctx context.Context, m mail.Message) error {
	if r.engine.isDead() {
		return errDead
	}
	return r.shop.relay.Send(ctx, m)
}

// RegisterService implements grpc.ServiceRegistrar.
func (r *replica) RegisterService(_ *grpc.ServiceDesc, impl any) {
	switch s := impl.(type) {
	case deliveryv1.DeliveryServiceServer:
		r.server = s
	case deliveryv1.StockServiceServer:
		r.stock = s
	}
}

// as is the context of a merchant's call.
func as(ctx context.Context, m string) context.Context {
	return rpc.WithPrincipal(ctx, rpc.Principal{Role: rpc.RoleMerchant, Merchant: m})
}

// orderIsDown is a connection to an order service that does not answer.
type orderIsDown struct{}

func (orderIsDown) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return status.Error(codes.NotFound, "no such reference")
}

func (orderIsDown) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unavailable, "order is down")
}

// importStream is the server's end of an import.
type importStream struct {
	grpc.ServerStream
	ctx  context.Context
	msgs []*deliveryv1.ImportLicensesRequest
	out  *deliveryv1.ImportLicensesResponse
}

func (s *importStream) Context() context.Context { return s.ctx }

func (s *importStream) Recv() (*deliveryv1.ImportLicensesRequest, error) {
	if len(s.msgs) == 0 {
		return nil, io.EOF
	}
	m := s.msgs[0]
	s.msgs = s.msgs[1:]
	return m, nil
}

func (s *importStream) SendAndClose(out *deliveryv1.ImportLicensesResponse) error {
	s.out = out
	return nil
}

// importKeys adds keys to a product's pool.
func (r *replica) importKeys(ctx context.Context, product string, keys ...string) (*deliveryv1.ImportLicensesResponse, error) {
	r.shop.mu.Lock()
	r.shop.stock = append(r.shop.stock, keys...)
	r.shop.mu.Unlock()
	s := &importStream{ctx: as(ctx, merchant), msgs: []*deliveryv1.ImportLicensesRequest{{ProductId: product, Keys: keys}}}
	err := r.server.ImportLicenses(s)
	return s.out, err
}
