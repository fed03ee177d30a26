package notification_test

// A rig is the service as its program builds it: SQLite, JetStream, HTTP over
// loopback, the real clock. Doubled: the order service, which knows what
// happened, and the receivers. Used by benchmarks and by tests that kill it.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/bus"
	"quittance/pkg/docstore/sqlite"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification"
)

// past is an order service with a long memory.
type past struct {
	orderv1.UnimplementedReferenceServiceServer
	mu      sync.Mutex
	events  []*orderv1.PublicEvent
	byOrder map[string][]*orderv1.PublicEvent
}

func newPast() *past { return &past{byOrder: map[string][]*orderv1.PublicEvent{}} }

// happen adds an event of an order and returns it as the bus would bring it.
func (p *past) happen(o *orderv1.Order, typ string) (event.Event, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	view := &orderv1.Order{
		Id: o.GetId(), MerchantId: o.GetMerchantId(), Customer: o.GetCustomer(), Lines: o.GetLines(), Total: o.GetTotal(),
		Sequence: int64(len(p.byOrder[o.GetId()]) + 1),
	}
	e, err := event.New(typ, "order", o.GetId(), o.GetId(), o.GetMerchantId(), time.Now(), &eventv1.OrderEvent{Order: view, Sequence: view.GetSequence()})
	if err != nil {
		return e, err
	}
	told := &orderv1.PublicEvent{Id: e.ID, Type: typ, Time: timestamppb.New(e.Time), OrderId: o.GetId(), Sequence: view.GetSequence(), Order: view}
	p.events = append(p.events, told)
	p.byOrder[o.GetId()] = append(p.byOrder[o.GetId()], told)
	return e, nil
}

// ListEventsForService pages by event; its cursor is how many were listed.
func (p *past) ListEventsForService(_ context.Context, req *orderv1.ListEventsForServiceRequest) (*orderv1.ListEventsResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id := req.GetOrderId(); id != "" {
		if len(p.byOrder[id]) == 0 {
			return nil, fault.ToStatus(fault.NotFound("order")).Err()
		}
		return &orderv1.ListEventsResponse{Events: p.byOrder[id]}, nil
	}
	from, _ := strconv.Atoi(req.GetCursor())
	to := min(from+max(1, int(req.GetPageSize())), len(p.events))
	return &orderv1.ListEventsResponse{Events: p.events[from:to], Cursor: strconv.Itoa(to), More: to < len(p.events)}, nil
}

// serve serves the past at an address of its own.
func (p *past) serve(tb testing.TB) string {
	tb.Helper()
	var lc net.ListenConfig
	listener, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	server := grpc.NewServer()
	orderv1.RegisterReferenceServiceServer(server, p)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	tb.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	return listener.Addr().String()
}

// rig is a running service.
type rig struct {
	tb   testing.TB
	bus  *bus.Bus
	past *past
	api  notificationv1.NotificationServiceServer
}

// RegisterService implements grpc.ServiceRegistrar.
func (r *rig) RegisterService(_ *grpc.ServiceDesc, impl any) {
	r.api, _ = impl.(notificationv1.NotificationServiceServer)
}

func newRig(tb testing.TB, cfg notification.Config) *rig {
	tb.Helper()
	r := &rig{tb: tb, past: newPast()}
	table := bus.Table{"notification": bus.Topology()["notification"]}
	o := bus.Options{Log: slog.New(slog.DiscardHandler), Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(), Table: table}
	b, err := bus.Connect(tb.Context(), bus.Config{InProcess: testkit.NATS(tb), Options: o})
	if err != nil {
		tb.Fatal(err)
	}
	r.bus = b
	if err := b.Ensure(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	stop, err := runService(context.WithoutCancel(tb.Context()), tb.TempDir(), r.past.serve(tb), seal.Generate(), b, cfg, r)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Error(err)
		}
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}

// runService runs the service on a database in a directory.
func runService(ctx context.Context, dir, orders, keyring string, b service.Bus, cfg notification.Config, r grpc.ServiceRegistrar) (stop func() error, err error) {
	keys, err := seal.ParseKeyring(keyring)
	if err != nil {
		return nil, err
	}
	engine, err := sqlite.Open(ctx, filepath.Join(dir, "notification.db"), sqlite.Options{})
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(orders, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	cfg.AllowCIDRs = []string{"127.0.0.0/8"}
	ctx, cancel := context.WithCancel(ctx)
	svc, err := notification.New(ctx, service.Deps{
		Engine: engine, Bus: b, Log: slog.New(slog.DiscardHandler),
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(), Keyring: keys, Now: time.Now,
	}, cfg, conn, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	svc.Register(r, nil)
	ended := make(chan error, 1)
	go func() { ended <- svc.Run(ctx) }()
	return func() error {
		cancel()
		err := <-ended
		_ = conn.Close()
		_ = engine.Close()
		return err
	}, nil
}

func asMerchant(ctx context.Context, merchant string) context.Context {
	return rpc.WithPrincipal(ctx, rpc.Principal{Role: rpc.RoleMerchant, Merchant: merchant})
}

func (r *rig) endpoint(merchant, id, url string) {
	r.tb.Helper()
	_, err := r.api.PutEndpoint(asMerchant(r.tb.Context(), merchant), &notificationv1.PutEndpointRequest{
		Endpoint: &notificationv1.Endpoint{Id: id, Url: url},
	})
	if err != nil {
		r.tb.Fatal(err)
	}
}

// emit makes an event happen and brings it to the bus.
func (r *rig) emit(o *orderv1.Order, typ string) {
	e, err := r.past.happen(o, typ)
	if err == nil {
		_, err = r.bus.Publish(r.tb.Context(), []event.Event{e})
	}
	if err != nil {
		r.tb.Error(err)
	}
}

// order is one whose webhooks have about 7 kB.
func sevenKB(merchant string, n int) *orderv1.Order {
	o := &orderv1.Order{
		Id: fmt.Sprintf("ord_%s_%06d", merchant, n), MerchantId: merchant,
		Customer: &orderv1.Customer{Email: "ada@example.com", Name: "Ada Lovelace", Locale: "en"},
		Total:    &orderv1.Money{Minor: 39_980, Currency: "EUR"},
	}
	for i := range 20 {
		o.Lines = append(o.Lines, &orderv1.Line{
			Number: int32(i + 1), ProductId: fmt.Sprintf("product-%02d", i), Name: "A product with a name of the usual length", Quantity: 1,
			UnitPrice: &orderv1.Money{Minor: 1999, Currency: "EUR"}, Amount: &orderv1.Money{Minor: 1999, Currency: "EUR"},
			DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL, DeliveryState: orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED,
		})
	}
	return o
}

// Environment of a process of the tests' own.
const (
	envRole   = "QUITTANCE_TEST_ROLE"
	envOrders = "QUITTANCE_TEST_ORDERS"
	envDir    = "QUITTANCE_TEST_DIR"
	envKeys   = "QUITTANCE_TEST_KEYS"
	envURLs   = "QUITTANCE_TEST_URLS"
)

func TestMain(m *testing.M) {
	switch os.Getenv(envRole) {
	case "receiver":
		os.Exit(beReceiver())
	case "notification":
		os.Exit(beNotification())
	}
	os.Exit(m.Run())
}

// spawn starts this program in a role and returns it with the first line it says.
func spawn(tb testing.TB, role string, env ...string) (*exec.Cmd, string) {
	tb.Helper()
	cmd, said, _ := spawnStoppable(tb, role, env...)
	return cmd, said
}

// spawnStoppable returns a function too that lets the program end in order.
func spawnStoppable(tb testing.TB, role string, env ...string) (*exec.Cmd, string, func() error) {
	tb.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), os.Args[0]) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), append(env, envRole+"="+role)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // its end is the child's end
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatalf("%s says nothing: %v", role, err)
	}
	return cmd, strings.TrimSpace(line), func() error {
		if err := in.Close(); err != nil {
			return err
		}
		return cmd.Wait()
	}
}

// orphaned ends when the parent does.
func orphaned() { _, _ = io.Copy(io.Discard, os.Stdin) }

// beReceiver answers 204 to every POST and the number of those to every GET.
func beReceiver() int {
	var lc net.ListenConfig
	listener, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 1
	}
	var mu sync.Mutex
	n := 0
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			mu.Lock()
			defer mu.Unlock()
			_, _ = fmt.Fprint(w, n)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		n++
		mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	})}
	go func() { _ = server.Serve(listener) }()
	fmt.Println("http://" + listener.Addr().String())
	orphaned()
	return 0
}
