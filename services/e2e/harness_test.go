package e2e

// Real here: standalone as `make run` starts it, with its embedded NATS server,
// SQLite files, gRPC and HTTP over TCP, signatures, SMTP; the sandbox as the
// outside world, behind HTTP and SMTP only. Doubled: nothing. Tests act as
// storefronts, customers and providers do, and assert on what these see: gRPC
// answers, pages, the sandbox's books.

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"quittance/pkg/id"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/telemetry"
	"quittance/pkg/testkit"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// patience is how long anything is waited for.
const patience = 30 * time.Second

const (
	paid      = orderv1.PaymentState_PAYMENT_STATE_PAID
	unpaid    = orderv1.PaymentState_PAYMENT_STATE_UNPAID
	delivered = orderv1.DeliveryState_DELIVERY_STATE_DELIVERED
)

// world is a running system with its demonstration merchant.
type world struct {
	t             testing.TB
	sys           *standalone.System
	demo          standalone.Demo
	sandbox       *client.Client
	conn          *grpc.ClientConn
	orders        orderv1.OrderServiceClient
	payments      paymentv1.PaymentServiceClient
	deliveries    deliveryv1.DeliveryServiceClient
	verifications verificationv1.VerificationServiceClient
	notifications notificationv1.NotificationServiceClient
	email         string
}

type setup struct {
	config  func(*standalone.Config)
	options standalone.Options
	seeding func(*standalone.Seeding)
}

func config(dir string) standalone.Config {
	return standalone.Config{
		DataDir: dir, GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", SandboxAddr: "127.0.0.1:0", SandboxSMTP: "127.0.0.1:0",
		Sandbox: true, WebhookAllow: []string{"127.0.0.0/8"}, ReturnWait: 5 * time.Second, CatchUp: time.Minute, WebhookTimeout: 5 * time.Second,
		Telemetry: telemetry.Config{Output: io.Discard},
	}
}

func start(t *testing.T, with setup) *world {
	t.Helper()
	cfg := config(t.TempDir())
	if with.config != nil {
		with.config(&cfg)
	}
	sys, err := standalone.Open(t.Context(), cfg, with.options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- sys.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the system ended: %v", err)
		}
	})
	seeding := sys.Seeding()
	if with.seeding != nil {
		with.seeding(&seeding)
	}
	demo, err := sys.SeedSandbox(ctx, seeding)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, sys: sys, demo: demo, sandbox: client.New(sys.Sandbox.URL())}
	w.connect(sys.GRPCAddr(), demo.APIKey)
	w.email = strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())) + "@example.com"
	return w
}

// connect dials the public API with a merchant's key.
func (w *world) connect(addr string, key seal.Secret) {
	w.t.Helper()
	conn, err := rpc.Dial(addr, rpc.DialOptions{APIKey: key})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	w.conn = conn
	w.orders, w.payments = orderv1.NewOrderServiceClient(conn), paymentv1.NewPaymentServiceClient(conn)
	w.deliveries, w.verifications = deliveryv1.NewDeliveryServiceClient(conn), verificationv1.NewVerificationServiceClient(conn)
	w.notifications = notificationv1.NewNotificationServiceClient(conn)
}

func item(product string, quantity int64) *orderv1.OrderItem {
	return &orderv1.OrderItem{ProductId: product, Quantity: quantity}
}

// order creates an order that returns to the shop.
func (w *world) order(items ...*orderv1.OrderItem) *orderv1.Order {
	w.t.Helper()
	o, err := w.orders.CreateOrder(w.t.Context(), &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Customer: &orderv1.Customer{Email: w.email, Name: "Ada"},
		Items: items, ReturnUrl: w.sys.Sandbox.URL() + "/shop/return?shop=kept",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// pay walks from the pay page through the provider and back.
func (w *world) pay(o *orderv1.Order, how client.Pay) client.Visit {
	w.t.Helper()
	if how.Method == "" {
		how.Method = standalone.DemoAccount
	}
	visit, err := client.PayLikeABrowser(w.t.Context(), o.GetPayUrl(), how)
	if err != nil {
		w.t.Fatalf("pay: %v; visited %v", err, visit.URLs)
	}
	return visit
}

// startCards opens an attempt by cards for a customer who has not gone yet.
func (w *world) startCards(o *orderv1.Order) *paymentv1.Attempt {
	w.t.Helper()
	a, err := w.payments.StartPayment(w.t.Context(), &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.New("key"), OrderId: o.GetId(), AccountId: standalone.DemoAccount,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// payAtProvider walks the provider's pages only, until it sends the browser back.
func (w *world) payAtProvider(a *paymentv1.Attempt, fields map[string]string) client.Visit {
	w.t.Helper()
	visit, err := client.PayLikeABrowser(w.t.Context(), a.GetRedirect().GetUrl(), client.Pay{Fields: fields})
	if err != nil {
		w.t.Fatalf("pay: %v; visited %v", err, visit.URLs)
	}
	return visit
}

// await follows the order until done says so.
func (w *world) await(orderID string, what string, done func(*orderv1.Order) bool) *orderv1.Order {
	w.t.Helper()
	var o *orderv1.Order
	testkit.Eventually(w.t, patience, func() (err error) {
		if o, err = w.orders.GetOrder(w.t.Context(), &orderv1.GetOrderRequest{OrderId: orderID}); err != nil {
			return err
		}
		if !done(o) {
			return fmt.Errorf("not %s: %v, %v, %q, %q", what, o.GetPaymentState(), o.GetDeliveryState(), o.GetPaymentProblem(), o.GetDeliveryProblem())
		}
		return nil
	})
	return o
}

func (w *world) awaitDelivered(orderID string) *orderv1.Order {
	w.t.Helper()
	return w.await(orderID, "paid and delivered", func(o *orderv1.Order) bool {
		return o.GetPaymentState() == paid && o.GetDeliveryState() == delivered
	})
}

// keys returns the licence keys that the merchant sees delivered, by line.
func (w *world) keys(orderID string) map[int32][]string {
	w.t.Helper()
	d, err := w.deliveries.GetDelivery(w.t.Context(), &deliveryv1.GetDeliveryRequest{OrderId: orderID})
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[int32][]string{}
	for _, l := range d.GetLines() {
		out[l.GetLineNumber()] = l.GetLicenseKeys()
	}
	return out
}

// mails returns the mails that the customer got.
func (w *world) mails() []client.Mail {
	w.t.Helper()
	mails, err := w.sandbox.Mails(w.t.Context(), w.email)
	if err != nil {
		w.t.Fatal(err)
	}
	return mails
}

// untouched asserts that nothing was delivered and nothing counted as paid.
func (w *world) untouched(orderID string) {
	w.t.Helper()
	o, err := w.orders.GetOrder(w.t.Context(), &orderv1.GetOrderRequest{OrderId: orderID})
	if err != nil {
		w.t.Fatal(err)
	}
	if o.GetPaymentState() == paid || o.GetDeliveryState() != orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED {
		w.t.Fatalf("%v, %v", o.GetPaymentState(), o.GetDeliveryState())
	}
	if m := w.mails(); len(m) != 0 {
		w.t.Fatalf("%d mails", len(m))
	}
}

// webhooks returns the event types that the endpoint accepted for an order, in
// the order of arrival, repeats left out.
func (w *world) webhooks(orderID string) []string {
	w.t.Helper()
	hooks, err := w.sandbox.Webhooks(w.t.Context(), standalone.DemoEndpoint)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, h := range hooks {
		if h.Accepted && h.Repeat == 0 && strings.Contains(h.Body, orderID) {
			out = append(out, h.Type)
		}
	}
	return out
}

func (w *world) awaitWebhooks(orderID string, want ...string) {
	w.t.Helper()
	testkit.Eventually(w.t, patience, func() error {
		if got := w.webhooks(orderID); strings.Join(got, " ") != strings.Join(want, " ") {
			return fmt.Errorf("webhooks %v, want %v", got, want)
		}
		return nil
	})
}
