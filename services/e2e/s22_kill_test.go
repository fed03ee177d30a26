package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// storm is a run of kills under load. The sandbox is a process of its own, so
// that its books survive.
type storm struct {
	*world
	system  *process
	dataDir string
	grpc    string
	back    string // where orders return to
	kills   atomic.Int64
}

const stormShop, stormKey = "68849", "a-signature-key-for-storms"

func newStorm(t testing.TB) *storm {
	grpcAddr, httpAddr, sandboxAddr, smtpAddr := freeAddr(t), freeAddr(t), freeAddr(t), freeAddr(t)
	dir := t.TempDir()
	newProcess(t, "quittance/services/sandbox/cmd/sandbox", "http://"+sandboxAddr+"/readyz", []string{
		"SANDBOX_ADDR=" + sandboxAddr, "SANDBOX_SMTP_ADDR=" + smtpAddr, "SANDBOX_DATA_DIR=" + t.TempDir(),
		"SANDBOX_ORDER_TARGET=" + grpcAddr, "SANDBOX_SHOP_ID=" + stormShop, "SANDBOX_SIGNATURE_KEY=" + stormKey,
		"SANDBOX_POSTBACK_URL=http://" + httpAddr + "/callbacks/flexpay/" + standalone.DemoAccount,
		"SANDBOX_LOG_LEVEL=error",
	}).ready()
	host, port, _ := strings.Cut(smtpAddr, ":")
	s := &storm{world: &world{t: t, sandbox: client.New("http://" + sandboxAddr)}, dataDir: dir, grpc: grpcAddr}
	s.system = newProcess(t, "quittance/services/standalone/cmd/standalone", "http://"+httpAddr+"/readyz", []string{
		"QUITTANCE_DATA_DIR=" + dir, "QUITTANCE_GRPC_ADDR=" + grpcAddr, "QUITTANCE_HTTP_ADDR=" + httpAddr,
		"QUITTANCE_SMTP_HOST=" + host, "QUITTANCE_SMTP_PORT=" + port, "QUITTANCE_SMTP_TLS=none",
		"QUITTANCE_WEBHOOK_ALLOW_CIDRS=127.0.0.0/8", "QUITTANCE_RETURN_WAIT=300ms", "QUITTANCE_CATCH_UP=5s",
		"QUITTANCE_OPERATOR_KEY=operator-key-for-storms", "QUITTANCE_LOG_LEVEL=error",
	}, "serve")
	s.system.ready()
	s.back = "http://" + sandboxAddr + "/shop"
	demo, err := standalone.Seed(t.Context(), standalone.At(grpcAddr), "operator-key-for-storms", t.TempDir(), standalone.Seeding{
		FlexPayURL: "http://" + sandboxAddr + "/flexpay", FlexPayShop: stormShop, SignatureKey: stormKey, RefundWindow: "15s",
		WebhookURL: "http://" + sandboxAddr + "/webhooks/" + standalone.DemoEndpoint, ReturnURL: s.back,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.sandbox.PutWebhook(t.Context(), standalone.DemoEndpoint, demo.WebhookSecret.Reveal()); err != nil {
		t.Fatal(err)
	}
	s.at, s.edge = standalone.At(grpcAddr), "http://"+httpAddr
	s.key = demo.APIKey
	s.connect(demo.APIKey)
	s.stock()
	return s
}

// customer buys until the system has taken the order and the provider's button
// is pressed, whatever is down meanwhile. It never pays twice. Its result is
// the acknowledged order.
func (s *storm) customer(ctx context.Context, n int) (string, error) {
	req := &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("storm"), Currency: "EUR", Customer: &orderv1.Customer{Email: fmt.Sprintf("storm-%d@example.com", n)},
		Items: []*orderv1.OrderItem{item("notepad", 1+int64(n%3))}, ReturnUrl: s.back + "/return",
	}
	var o *orderv1.Order
	if err := again(ctx, func() (err error) {
		o, err = s.orders.CreateOrder(ctx, req)
		if k := fault.KindOf(err); err != nil && k != fault.KindUnavailable && k != fault.KindInternal {
			return fmt.Errorf("create: %w", err)
		}
		return err
	}); err != nil {
		return "", err
	}
	return o.GetId(), again(ctx, func() error {
		visit, err := client.PayLikeABrowser(ctx, o.GetPayUrl(), client.Pay{Method: standalone.DemoAccount, Patience: time.Second})
		switch {
		case visit.Ordered:
			return nil // paid; whether the way back worked is no matter
		case err == nil:
			return fmt.Errorf("the provider was not reached: %v", visit.URLs)
		}
		return err
	})
}

// again repeats f, with pauses, until it works or ctx ends.
func again(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		timer := time.NewTimer(100 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-timer.C:
		}
	}
}

// kill kills and restarts the system at random moments, n times, and deletes
// the JetStream directory before two of the restarts.
func (s *storm) killer(n int, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range n {
		timer := time.NewTimer(time.Duration(rng.IntN(700)) * time.Millisecond)
		<-timer.C
		s.system.kill()
		if i == n/3 || i == 2*n/3 {
			if err := os.RemoveAll(filepath.Join(s.dataDir, "nats")); err != nil {
				s.t.Error(err)
			}
		}
		s.kills.Add(1)
		s.system.start()
		s.system.ready()
	}
}

func setting(t *testing.T, name string, fallback int) int {
	t.Helper()
	if v := os.Getenv(name); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	return fallback
}

// TestS22S23KilledAtRandomMoments: the system is killed (SIGKILL) while orders
// are in flight, and loses its JetStream directory twice. Every acknowledged
// order is delivered, or given back by the provider for want of an OK; no key
// goes out twice; every paid unit has one; every event reaches the endpoint.
// QUITTANCE_TEST_KILLS and QUITTANCE_TEST_ORDERS set how much.
func TestS22S23KilledAtRandomMoments(t *testing.T) {
	if testing.Short() {
		t.Skip("about a minute: not with -short")
	}
	kills, orders := setting(t, "QUITTANCE_TEST_KILLS", 8), setting(t, "QUITTANCE_TEST_ORDERS", 40)
	seed := uint64(setting(t, "QUITTANCE_TEST_SEED", int(time.Now().UnixNano()%1_000_000)))
	t.Logf("%d kills, %d orders, seed %d", kills, orders, seed)
	s := newStorm(t)
	begun := time.Now()

	const customers = 8
	acknowledged := make([]string, orders)
	var next atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	for range customers {
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < orders && ctx.Err() == nil; n = int(next.Add(1)) - 1 {
				var err error
				if acknowledged[n], err = s.customer(ctx, n); err != nil {
					t.Errorf("customer %d: %v", n, err)
				}
				// Customers come as long as kills do.
				for !t.Failed() && s.kills.Load()*int64(orders) < int64(n*kills) && ctx.Err() == nil {
					timer := time.NewTimer(20 * time.Millisecond)
					<-timer.C
				}
			}
		})
	}
	s.killer(kills, seed)
	wg.Wait()
	t.Logf("storm over after %s", time.Since(begun).Round(time.Second))

	ends := map[string]int{}
	for _, orderID := range acknowledged {
		ends[s.settled(orderID)]++
	}
	t.Logf("all orders settled after %s: %v", time.Since(begun).Round(time.Second), ends)
	s.checkKeys(acknowledged)
	s.checkWebhooks(acknowledged)
}

// settled waits until an order has come to its end and returns which.
func (s *storm) settled(orderID string) (end string) {
	s.t.Helper()
	testkit.Eventually(s.t, 3*time.Minute, func() error {
		o, err := s.orders.GetOrder(s.t.Context(), &orderv1.GetOrderRequest{OrderId: orderID})
		if err != nil {
			return err
		}
		switch state := o.GetPaymentState(); {
		case state == paid && o.GetDeliveryState() == delivered:
			end = "delivered"
			return nil
		case state == unpaid && o.GetPaymentProblem() != "":
			end = "given back"
			return nil
		case state == orderv1.PaymentState_PAYMENT_STATE_REFUNDED:
			end = "refunded"
			return nil
		}
		return fmt.Errorf("%s: %v, %v, %q", orderID, o.GetPaymentState(), o.GetDeliveryState(), o.GetDeliveryProblem())
	})
	return end
}

// checkKeys compares what merchants see, what customers got by mail and what
// the provider's book says.
func (s *storm) checkKeys(orderIDs []string) {
	s.t.Helper()
	mails, err := s.sandbox.Mails(s.t.Context(), "")
	if err != nil {
		s.t.Fatal(err)
	}
	book, err := s.sandbox.Book(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	sales := map[string]client.Sale{}
	for _, sale := range book.Sales {
		sales[sale.ReferenceID] = sale
	}
	owner, byAddress := map[string]string{}, mailedKeys(mails)
	for n, orderID := range orderIDs {
		o, err := s.orders.GetOrder(s.t.Context(), &orderv1.GetOrderRequest{OrderId: orderID})
		if err != nil {
			s.t.Fatal(err)
		}
		mailed := byAddress[fmt.Sprintf("storm-%d@example.com", n)]
		if o.GetPaidAttemptId() == "" {
			if len(mailed) > 0 {
				s.t.Errorf("P1: %s is not paid, but keys were mailed", orderID)
			}
			continue
		}
		sale := sales[o.GetPaidAttemptId()]
		if sale.Captured.Minor != o.GetTotal().GetMinor() {
			s.t.Errorf("P1: %s counts as paid, the provider's book says %v of %v", orderID, sale.Captured, o.GetTotal())
		}
		if o.GetPaymentState() == paid && sale.State != client.Approved {
			s.t.Errorf("%s is paid, the provider's book says %s", orderID, sale.State)
		}
		keys := s.keys(orderID)[1]
		if want := int(o.GetLines()[0].GetQuantity()); len(keys) != want || len(mailed) != want {
			s.t.Errorf("P3: %s has %d keys and %d mailed for %d units", orderID, len(keys), len(mailed), want)
		}
		for _, k := range keys {
			if mailed[k] == nil {
				s.t.Errorf("P3: a key of %s was not mailed", orderID)
			}
			if other, taken := owner[k]; taken {
				s.t.Errorf("P3: a key went to %s and to %s", orderID, other)
			}
			owner[k] = orderID
		}
	}
	s.t.Logf("%d keys, each with one owner; %d mails; %d sales in the provider's book", len(owner), len(mails), len(book.Sales))
}

// checkWebhooks compares the orders' public history with what the endpoint got.
func (s *storm) checkWebhooks(orderIDs []string) {
	s.t.Helper()
	events := 0
	testkit.Eventually(s.t, 2*time.Minute, func() (err error) {
		var found findings
		if events, found, err = s.missingEvents(s.t.Context(), orderIDs); err != nil {
			return err
		}
		return found.err()
	})
	hooks, err := s.sandbox.Webhooks(s.t.Context(), standalone.DemoEndpoint)
	if err != nil {
		s.t.Fatal(err)
	}
	repeats := 0
	for _, h := range hooks {
		if h.Accepted {
			repeats += min(h.Repeat, 1)
		}
	}
	s.t.Logf("%d events, all received; %d webhooks came more than once, with the same id", events, repeats)
}
