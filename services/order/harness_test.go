package order_test

// Real here: the whole service as the programs build it, its gRPC server with
// credentials and error details, the memory engine and the memory bus with the
// topology of production. Doubled: the services that report facts; tests
// publish in their place. Tests assert on gRPC answers and on events.

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"

	"quittance/pkg/bus"
	busmemory "quittance/pkg/bus/memory"
	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order"
)

const operatorKey = seal.Secret("operator-key-for-tests")

// recorder notes what the service publishes.
type recorder struct {
	*busmemory.Bus
	mu     sync.Mutex
	events []event.Event
}

func (r *recorder) Publish(ctx context.Context, events []event.Event) (int, error) {
	r.mu.Lock()
	r.events = append(r.events, events...)
	r.mu.Unlock()
	return r.Bus.Publish(ctx, events)
}

func (r *recorder) types(subject string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.events {
		if e.Subject == subject && !slices.Contains(out, e.Type) {
			out = append(out, e.Type)
		}
	}
	return out
}

// count is how often an event of a type was published about a subject, re-sends
// of the same event left out.
func (r *recorder) count(typ, subject string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := map[string]bool{}
	for _, e := range r.events {
		if e.Type == typ && e.Subject == subject {
			ids[e.ID] = true
		}
	}
	return len(ids)
}

type world struct {
	t        *testing.T
	bus      *recorder
	dial     func(key seal.Secret) *grpc.ClientConn
	operator orderv1.MerchantServiceClient
	engine   docstore.Engine
	svc      *order.Service
}

func newWorld(t *testing.T) *world {
	t.Helper()
	keys, err := seal.ParseKeyring(seal.Generate())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	w := &world{t: t, bus: &recorder{Bus: busmemory.New(busmemory.Config{Options: bus.Options{Log: slog.New(slog.DiscardHandler)}})}}
	w.engine = memory.New()
	svc, err := order.New(t.Context(), service.Deps{
		Engine: w.engine, Bus: w.bus, Log: log, Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
		Keyring: keys, Now: time.Now,
	}, order.Config{PublicURL: "https://pay.example"})
	if err != nil {
		t.Fatal(err)
	}
	w.svc = svc
	public, err := rpc.NewServer(rpc.ServerOptions{Authenticator: svc.Reference, OperatorKey: operatorKey, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	internal, err := rpc.NewServer(rpc.ServerOptions{Listener: rpc.Internal, ServiceToken: "service", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	svc.Register(public.Registrar(), internal.Registrar())
	listener, dialer := rpc.InProcess()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{svc.Run, func(ctx context.Context) error { return public.Serve(ctx, listener) }} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				t.Errorf("ended: %v", err)
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
	w.dial = func(key seal.Secret) *grpc.ClientConn {
		conn, err := rpc.Dial("order", rpc.DialOptions{APIKey: key, Dialer: dialer})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	w.operator = orderv1.NewMerchantServiceClient(w.dial(operatorKey))
	return w
}

// merchant creates a merchant with a key and two products.
func (w *world) merchant(name string) (orderv1.OrderServiceClient, orderv1.CatalogServiceClient) {
	w.t.Helper()
	return w.sells(w.key(name))
}

// sells gives the merchant with that key two products.
func (w *world) sells(key seal.Secret) (orderv1.OrderServiceClient, orderv1.CatalogServiceClient) {
	w.t.Helper()
	conn := w.dial(key)
	catalog := orderv1.NewCatalogServiceClient(conn)
	for id, price := range map[string]int64{"tool": 999, "costly": 1 << 60} {
		if _, err := catalog.PutProduct(w.t.Context(), &orderv1.PutProductRequest{Product: &orderv1.Product{
			Id: id, Name: id, Prices: []*orderv1.Money{{Minor: price, Currency: "EUR"}},
			DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL,
		}}); err != nil {
			w.t.Fatal(err)
		}
	}
	return orderv1.NewOrderServiceClient(conn), catalog
}

// key creates a merchant and gives its API key.
func (w *world) key(name string) seal.Secret {
	w.t.Helper()
	if _, err := w.operator.PutMerchant(w.t.Context(), &orderv1.PutMerchantRequest{Merchant: &orderv1.Merchant{
		Id: name, Name: name, MailFrom: "shop@" + name + ".example", ReturnUrlAllowList: []string{"https://" + name + ".example/shop"},
	}}); err != nil {
		w.t.Fatal(err)
	}
	key, err := w.operator.RotateAPIKey(w.t.Context(), &orderv1.RotateAPIKeyRequest{MerchantId: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return seal.Secret(key.GetApiKey())
}

func good(key string) *orderv1.CreateOrderRequest {
	return &orderv1.CreateOrderRequest{
		IdempotencyKey: key, Currency: "EUR", Customer: &orderv1.Customer{Email: "ada@example.com", Name: "Ada"},
		Items: []*orderv1.OrderItem{{ProductId: "tool", Quantity: 2}}, ReturnUrl: "https://acme.example/shop/done?x=1",
	}
}

func fields(err error) []string {
	var out []string
	for _, f := range fault.FieldsOf(err) {
		out = append(out, f.Path)
	}
	return out
}
