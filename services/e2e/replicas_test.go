package e2e

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"

	"quittance/pkg/id"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// load is customers who buy, one order after the other, while something is done
// to the system. They expect that nothing of it shows: no call fails, no page
// either. Calls go through the ordinary client, which retries what a stopping
// replica could not take.
type load struct {
	*world
	attempts *tracetest.SpanRecorder
	client   orderv1.OrderServiceClient
	calls    atomic.Int64
	failed   atomic.Int64

	mu     sync.Mutex
	orders []string
}

func newLoad(w *world) *load {
	w.t.Helper()
	l := &load{world: w, attempts: tracetest.NewSpanRecorder()}
	conn, err := rpc.Dial(w.at.Order, rpc.DialOptions{
		APIKey: w.key, Tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(l.attempts)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	l.client = orderv1.NewOrderServiceClient(conn)
	return l
}

// counted makes a call and counts it.
func counted[Q, A any](ctx context.Context, l *load, call func(context.Context, Q, ...grpc.CallOption) (A, error), req Q) (A, error) {
	l.calls.Add(1)
	answer, err := call(ctx, req)
	if err != nil && ctx.Err() == nil {
		l.failed.Add(1)
		l.t.Errorf("a call failed: %v", err)
	}
	return answer, err
}

// during lets customers buy as long as f takes.
func (l *load) during(customers int, f func()) {
	ctx, cancel := context.WithCancel(l.t.Context())
	defer cancel()
	var wg sync.WaitGroup
	over := make(chan struct{})
	for range customers {
		wg.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					l.buy(ctx)
				}
			}
		})
	}
	f()
	close(over)
	wg.Wait()
}

// buy creates an order, pays it and looks at it a few times.
func (l *load) buy(ctx context.Context) {
	o, err := counted(ctx, l, l.client.CreateOrder, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("load"), Currency: "EUR", Customer: &orderv1.Customer{Email: l.email},
		Items: []*orderv1.OrderItem{item("notepad", 1)}, ReturnUrl: l.shop + "/shop/return",
	})
	if err != nil {
		return
	}
	l.mu.Lock()
	l.orders = append(l.orders, o.GetId())
	l.mu.Unlock()
	if visit, err := client.PayLikeABrowser(ctx, o.GetPayUrl(), client.Pay{Method: standalone.DemoAccount}); err != nil {
		l.failed.Add(1)
		l.t.Errorf("a page failed: %v; visited %v", err, visit.URLs)
	}
	for range 5 {
		if _, err := counted(ctx, l, l.client.GetOrder, &orderv1.GetOrderRequest{OrderId: o.GetId()}); err != nil {
			return
		}
	}
}

// settle awaits every order's delivery and says how it went.
func (l *load) settle(what string, begun time.Time) {
	l.t.Helper()
	keys := map[string]string{}
	for _, orderID := range l.orders {
		l.awaitDelivered(orderID)
		for _, k := range l.keys(orderID)[1] {
			if other, taken := keys[k]; taken {
				l.t.Errorf("P3: a key went to %s and to %s", orderID, other)
			}
			keys[k] = orderID
		}
	}
	if len(keys) != len(l.orders) {
		l.t.Errorf("%d keys for %d orders of one unit", len(keys), len(l.orders))
	}
	calls := l.calls.Load()
	l.t.Logf("%s in %s: %d calls, %d of them made again, %d failed; %d orders, all delivered", what,
		time.Since(begun).Round(100*time.Millisecond), calls, int64(len(l.attempts.Ended()))-calls, l.failed.Load(), len(l.orders))
}

// TestS1Replicas: the happy path with two replicas of every service on shared
// SQLite files. All other stories run so with QUITTANCE_TEST_MODE=replicas.
func TestS1Replicas(t *testing.T) {
	w := startProcesses(t, config(""), setup{fleet: fleetSetup{replicas: 2}})
	for range 4 { // each replica gets something to do
		o := w.order(item("notepad", 2), item("handbook", 1))
		if visit := w.pay(o, client.Pay{}); visit.FulfillmentStatus() != "success" {
			t.Fatalf("came back to %s", visit.Last.URL)
		}
		w.awaitDelivered(o.GetId())
		if n := len(w.keys(o.GetId())[1]); n != 2 {
			t.Errorf("%d keys", n)
		}
		w.awaitWebhooks(o.GetId(), "order.created", "payment.succeeded", "product.delivered", "product.delivered", "order.delivered")
	}
}

// TestRollingRestart: every replica of every service is restarted, one after
// the other, while customers buy, and those that answer the calls are killed
// besides. What was under way ends, or is taken up by the other replica; no call
// and no page fails.
func TestRollingRestart(t *testing.T) {
	w := startProcesses(t, config(""), setup{fleet: fleetSetup{replicas: 2}})
	w.stock()
	l := newLoad(w)
	begun := time.Now()
	restarts := 0
	l.during(setting(t, "QUITTANCE_TEST_CUSTOMERS", 3), func() {
		for replica := range 2 {
			for _, name := range fleetNames {
				if err := w.fleet.restart(name, replica); err != nil {
					t.Error(err)
				}
				restarts++
			}
			p := w.fleet.services["order"][replica]
			p.kill()
			p.start()
			p.ready()
			restarts++
		}
	})
	l.settle(fmt.Sprintf("%d rolling restarts", restarts), begun)
	if len(l.orders) < restarts {
		t.Errorf("%d orders are no load", len(l.orders))
	}
}

// TestOneReplicaOfEachIsKilled: one of the two is killed while customers buy,
// and stays away. The other one finishes what was under way when its lease ends.
func TestOneReplicaOfEachIsKilled(t *testing.T) {
	if setting(t, "QUITTANCE_TEST_LONG", 0) == 0 {
		t.Skip("leases end after a minute or more: with QUITTANCE_TEST_LONG=1 only")
	}
	w := startProcesses(t, config(""), setup{fleet: fleetSetup{replicas: 2}})
	w.stock()
	var orders []string
	for i, name := range fleetNames {
		for range 4 {
			o := w.order(item("notepad", 1))
			orders = append(orders, o.GetId())
			w.payAtProvider(w.startCards(o), map[string]string{"fault.skipRedirect": "on"})
		}
		w.fleet.before[name].set(w.fleet.http[name][i%2], false)
		w.fleet.services[name][i%2].kill()
	}
	begun := time.Now()
	for _, orderID := range orders {
		w.awaitWithin(3*time.Minute, orderID, "delivered", func(o *orderv1.Order) bool { return o.GetDeliveryState() == delivered })
	}
	t.Logf("%d orders delivered %s after the last kill", len(orders), time.Since(begun).Round(time.Second))
}
