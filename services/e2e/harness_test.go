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
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/telemetry"
	"quittance/pkg/testkit"
	callbackv1 "quittance/proto/gen/go/quittance/callback/v1"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/notification"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// patience is how long anything is waited for.
const patience = 90 * time.Second

const (
	paid      = orderv1.PaymentState_PAYMENT_STATE_PAID
	unpaid    = orderv1.PaymentState_PAYMENT_STATE_UNPAID
	delivered = orderv1.DeliveryState_DELIVERY_STATE_DELIVERED
)

// world is a running system with its demonstration merchant.
type world struct {
	t testing.TB
	// shop and public are the base URLs of the sandbox and of the system.
	shop, public string
	// edge is where providers reach the callbacks.
	edge          string
	at            standalone.Addresses
	operatorKey   seal.Secret
	webhookURL    string
	sandbox       *client.Client
	callbacks     callbackv1.CallbackServiceClient
	orders        orderv1.OrderServiceClient
	shops         orderv1.ShopServiceClient
	catalog       orderv1.CatalogServiceClient
	payments      paymentv1.PaymentServiceClient
	deliveries    deliveryv1.DeliveryServiceClient
	verifications verificationv1.VerificationServiceClient
	notifications notificationv1.NotificationServiceClient
	email         string
	// key is the demonstration merchant's.
	key seal.Secret
	// kept are the directories of all that the system stores, its bus included.
	kept []string
	// fleet is nil if all is one process.
	fleet *fleet
}

type setup struct {
	config  func(*standalone.Config)
	options standalone.Options
	seeding func(*standalone.Seeding)
	fleet   fleetSetup
}

func config(dir string) standalone.Config {
	return standalone.Config{
		DataDir: dir, GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", SandboxAddr: "127.0.0.1:0", SandboxSMTP: "127.0.0.1:0",
		Sandbox: true, ReturnWait: 5 * time.Second, Notification: notification.Config{AllowCIDRs: []string{"127.0.0.0/8"}, CatchUp: time.Minute, Timeout: 5 * time.Second},
		ServiceAllow: []string{"127.0.0.0/8"},
		Telemetry:    telemetry.Config{Output: io.Discard},
	}
}

// start starts the system for one test: in this process, or as processes of
// its own if QUITTANCE_TEST_MODE says "processes", two of each service if it
// says "replicas".
func start(t *testing.T, with setup) *world {
	t.Helper()
	cfg := config(t.TempDir())
	if with.config != nil {
		with.config(&cfg)
	}
	if mode := os.Getenv("QUITTANCE_TEST_MODE"); mode == "processes" || mode == "replicas" {
		if with.options.Engine != nil || with.options.Bus != nil || with.options.Now != nil || len(cfg.Telemetry.SpanProcessors) > 0 {
			t.Skip("looks inside the process: standalone only")
		}
		if mode == "replicas" {
			with.fleet.replicas = 2
		}
		return startProcesses(t, cfg, with)
	}
	w, _ := startHere(t, cfg, with)
	return w
}

// waits has a test that waits more than it works run beside others of its kind,
// when all the rest have ended.
func waits(t *testing.T) {
	t.Helper()
	t.Parallel()
}

// startHere starts the system in this process; stop ends it before the test does,
// so that it can be started again on the same directory.
func startHere(t *testing.T, cfg standalone.Config, with setup) (_ *world, stop func()) {
	t.Helper()
	sys, err := standalone.Open(t.Context(), cfg, with.options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- sys.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the system ended: %v", err)
		}
	})
	t.Cleanup(stop)
	seeding := sys.Seeding()
	if with.seeding != nil {
		with.seeding(&seeding)
	}
	demo, err := sys.SeedSandbox(ctx, seeding)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, shop: sys.Sandbox.URL(), public: sys.PublicURL(), edge: sys.PublicURL(), at: standalone.At(sys.GRPCAddr()), operatorKey: sys.OperatorKey(),
		webhookURL: seeding.WebhookURL, sandbox: client.New(sys.Sandbox.URL()), email: emailOf(t),
		kept: []string{cfg.DataDir},
	}
	w.key = demo.APIKey
	w.connect(demo.APIKey)
	return w, stop
}

// emailOf is a customer of this test only.
func emailOf(t *testing.T) string {
	return strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())) + "@example.com"
}

// connect dials the public APIs with a merchant's key.
func (w *world) connect(key seal.Secret) {
	w.t.Helper()
	dial := func(addr string) *grpc.ClientConn {
		conn, err := rpc.Dial(addr, rpc.DialOptions{APIKey: key})
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	orders := dial(w.at.Order)
	w.shops, w.catalog = orderv1.NewShopServiceClient(orders), orderv1.NewCatalogServiceClient(orders)
	w.orders, w.payments = orderv1.NewOrderServiceClient(orders), paymentv1.NewPaymentServiceClient(dial(w.at.Payment))
	w.deliveries, w.callbacks = deliveryv1.NewDeliveryServiceClient(dial(w.at.Delivery)), callbackv1.NewCallbackServiceClient(dial(w.at.Callback))
	w.verifications = verificationv1.NewVerificationServiceClient(dial(w.at.Verification))
	w.notifications = notificationv1.NewNotificationServiceClient(dial(w.at.Notification))
}

// stock imports keys enough for every order of a long test.
func (w *world) stock() {
	w.t.Helper()
	stream, err := w.deliveries.ImportLicenses(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	req := &deliveryv1.ImportLicensesRequest{ProductId: "notepad"}
	for i := range 5000 {
		if req.Keys = append(req.Keys, fmt.Sprintf("STORM-%04d", i)); len(req.Keys) < 1000 {
			continue
		}
		if err := stream.Send(req); err != nil {
			w.t.Fatal(err)
		}
		req.Keys = nil
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		w.t.Fatal(err)
	}
}

func item(product string, quantity int64) *orderv1.OrderItem {
	return &orderv1.OrderItem{ProductId: product, Quantity: quantity}
}

// order creates an order that returns to the shop.
func (w *world) order(items ...*orderv1.OrderItem) *orderv1.Order {
	w.t.Helper()
	return retried(w, w.orders.CreateOrder, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Customer: &orderv1.Customer{Email: w.email, Name: "Ada"},
		Items: items, ReturnUrl: w.shop + "/shop/return?shop=kept",
	})
}

// retried calls a method that may be repeated until its service is there.
func retried[Q, A any](w *world, call func(context.Context, Q, ...grpc.CallOption) (A, error), req Q) (answer A) {
	w.t.Helper()
	testkit.Eventually(w.t, patience, func() (err error) {
		if answer, err = call(w.t.Context(), req); err != nil && fault.KindOf(err) != fault.KindUnavailable {
			w.t.Fatal(err)
		}
		return err
	})
	return answer
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
	return retried(w, w.payments.StartPayment, &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.New("key"), OrderId: o.GetId(), AccountId: standalone.DemoAccount,
	})
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
	return w.awaitWithin(patience, orderID, what, done)
}

func (w *world) awaitWithin(patience time.Duration, orderID string, what string, done func(*orderv1.Order) bool) *orderv1.Order {
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
	d := retried(w, w.deliveries.GetDelivery, &deliveryv1.GetDeliveryRequest{OrderId: orderID})
	out := map[int32][]string{}
	for _, l := range d.GetLines() {
		out[l.GetLineNumber()] = l.GetLicenseKeys()
	}
	return out
}

// Kinds of mails, as their Message-IDs begin: of the delivery service, and
// letters of the notification service.
const (
	goods        = "mail_"
	instructions = "instructions_"
	receipt      = "receipt_"
	reminder     = "reminder_"
	expired      = "expired_"
)

// onlyMails gives the mails of a kind.
func onlyMails(mails []client.Mail, kind string) []client.Mail {
	return slices.DeleteFunc(mails, func(m client.Mail) bool { return !strings.HasPrefix(m.MessageID, kind) })
}

// mails returns the mails with what was bought that the customer got.
func (w *world) mails() []client.Mail {
	w.t.Helper()
	return w.letters(goods)
}

// letters returns the mails of a kind that the customer got.
func (w *world) letters(kind string) []client.Mail {
	w.t.Helper()
	mails, err := w.sandbox.Mails(w.t.Context(), w.email)
	if err != nil {
		w.t.Fatal(err)
	}
	return onlyMails(mails, kind)
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
