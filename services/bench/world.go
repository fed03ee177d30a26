package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/rpc"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// patience is how long anything is waited for.
const patience = 5 * time.Minute

// Of the demonstration merchant at the simulated provider.
const shopID, signatureKey = "68849", "a-signature-key-for-the-bench"

// hooks are the webhooks of a paid and delivered order.
var hooks = []string{event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered}

// world is a running system with everything outside of it.
type world struct {
	dir                       string
	args                      systemArgs
	url                       string // of the system's pages
	shop                      string // of the sandbox
	system, outside, receiver *child
	conn                      *grpc.ClientConn
	orders                    orderv1.OrderServiceClient
	payments                  paymentv1.PaymentServiceClient
	deliveries                deliveryv1.DeliveryServiceClient
	endpoints                 notificationv1.NotificationServiceClient
	imported                  int // licences
}

// within runs f with a fresh system.
func (b *bench) within(ctx context.Context, f func(ctx context.Context, w *world) error) (err error) {
	dir, err := os.MkdirTemp(b.dir, "world-")
	if err != nil {
		return err
	}
	w := &world{dir: dir}
	defer func() { err = errors.Join(err, w.close(), os.RemoveAll(dir)) }()
	if err := w.open(ctx); err != nil {
		return err
	}
	return f(ctx, w)
}

func (w *world) open(ctx context.Context) (err error) {
	var outside sandboxAnswer
	if w.outside, err = spawn(ctx, "sandbox", filepath.Join(w.dir, "sandbox"), &outside); err != nil {
		return err
	}
	var hookURL string
	if w.receiver, err = spawn(ctx, "receiver", nil, &hookURL); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(outside.SMTP)
	if err != nil {
		return err
	}
	w.args = systemArgs{Dir: filepath.Join(w.dir, "data"), GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0", SMTPHost: host}
	if w.args.SMTPPort, err = strconv.Atoi(port); err != nil {
		return err
	}
	if err := w.start(ctx); err != nil {
		return err
	}
	w.shop = outside.URL
	if err := client.New(w.shop).PutShop(ctx, client.Shop{
		ID: shopID, SignatureKey: signatureKey, PostbackURL: w.url + "/callbacks/flexpay/" + standalone.DemoAccount,
	}); err != nil {
		return err
	}
	demo, err := standalone.Seed(ctx, standalone.At(w.args.GRPC), operatorKey, w.dir, standalone.Seeding{
		FlexPayURL: w.shop + "/flexpay", FlexPayShop: shopID, SignatureKey: signatureKey, RefundWindow: "24h",
		WebhookURL: hookURL, ReturnURL: w.shop + "/shop",
		Rate: "1000", // the default, ten a second, spares providers and would be all that there is to see
	})
	if err != nil {
		return err
	}
	if w.conn, err = rpc.Dial(w.args.GRPC, rpc.DialOptions{APIKey: demo.APIKey}); err != nil {
		return err
	}
	w.orders, w.payments = orderv1.NewOrderServiceClient(w.conn), paymentv1.NewPaymentServiceClient(w.conn)
	w.deliveries, w.endpoints = deliveryv1.NewDeliveryServiceClient(w.conn), notificationv1.NewNotificationServiceClient(w.conn)
	_, err = w.endpoints.PutEndpoint(ctx, &notificationv1.PutEndpointRequest{Endpoint: &notificationv1.Endpoint{
		Id: standalone.DemoEndpoint, Url: hookURL, EventTypes: hooks,
	}})
	return err
}

// start starts the system, where it was before, and waits until it is ready.
func (w *world) start(ctx context.Context) (err error) {
	var at systemAnswer
	if w.system, err = spawn(ctx, "system", w.args, &at); err != nil {
		return err
	}
	w.url, w.args.GRPC, w.args.HTTP = at.URL, at.GRPC, strings.TrimPrefix(at.URL, "http://")
	return until(ctx, patience, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := plain.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s", resp.Status)
		}
		return w.connected(ctx)
	})
}

// connected brings the connection to a system that was started again up, if there
// is one: it would go on to pause after what it has tried in vain.
func (w *world) connected(ctx context.Context) error {
	if w.conn == nil {
		return nil
	}
	w.conn.ResetConnectBackoff()
	w.conn.Connect()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for state := w.conn.GetState(); state != connectivity.Ready; state = w.conn.GetState() {
		if !w.conn.WaitForStateChange(ctx, state) {
			return fmt.Errorf("gRPC connection: %s", state)
		}
	}
	return nil
}

func (w *world) close() error {
	if w.conn != nil {
		_ = w.conn.Close()
	}
	var errs []error
	for _, c := range []*child{w.system, w.outside, w.receiver} {
		if c != nil {
			errs = append(errs, c.stop())
		}
	}
	return errors.Join(errs...)
}

// plain is for requests of the load generator itself.
var plain = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}

// counts of the system so far.
func (w *world) counts() (c Counts, err error) {
	err = w.system.ask("counts", nil, &c)
	return c, err
}

// received waits until the receiver has accepted n webhooks over all.
func (w *world) received(ctx context.Context, n int) error {
	return until(ctx, patience, func() error {
		var got int
		if err := w.receiver.ask("count", nil, &got); err != nil {
			return err
		}
		if got < n {
			return fmt.Errorf("%d of %d webhooks", got, n)
		}
		return nil
	})
}

// accepted is how many webhooks the receiver has accepted so far.
func (w *world) accepted() (n int, err error) {
	err = w.receiver.ask("count", nil, &n)
	return n, err
}

// settle waits until the system writes nothing any more, for as long as its
// batches take.
func (w *world) settle(ctx context.Context) error {
	const quiet = 4 * time.Second
	for {
		before, err := w.counts()
		if err != nil {
			return err
		}
		if err := pause(ctx, quiet); err != nil {
			return err
		}
		after, err := w.counts()
		if err != nil {
			return err
		}
		if after.Sum().Done() == before.Sum().Done() {
			return nil
		}
	}
}

// stock imports n more licences.
func (w *world) stock(ctx context.Context, n int) error {
	stream, err := w.deliveries.ImportLicenses(ctx)
	if err != nil {
		return err
	}
	for n > 0 {
		req := &deliveryv1.ImportLicensesRequest{ProductId: "notepad"}
		for range min(n, 1000) {
			w.imported++
			req.Keys = append(req.Keys, fmt.Sprintf("BENCH-%08d", w.imported))
		}
		n -= len(req.Keys)
		if err := stream.Send(req); err != nil {
			return err
		}
	}
	_, err = stream.CloseAndRecv()
	return err
}

func (w *world) create(ctx context.Context, email string, quantity int64, prepaid bool) (*orderv1.Order, error) {
	return w.orders.CreateOrder(ctx, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("bench"), Currency: "EUR", Customer: &orderv1.Customer{Email: cmp.Or(email, "bench@example.com")}, Prepaid: prepaid,
		Items: []*orderv1.OrderItem{{ProductId: "notepad", Quantity: quantity}}, ReturnUrl: w.shop + "/shop/return",
	})
}

// delivered follows an order until it is, and returns how long that took, by the
// order's own times.
func (w *world) delivered(ctx context.Context, o *orderv1.Order) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	watch, err := w.orders.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: o.GetId()})
	for err == nil && o.GetDeliveryState() != orderv1.DeliveryState_DELIVERY_STATE_DELIVERED {
		o, err = watch.Recv()
	}
	if err != nil {
		return 0, err
	}
	return o.GetDeliveredTime().AsTime().Sub(o.GetCreateTime().AsTime()), nil
}

// life is one whole order, as a customer and a storefront see it.
type life struct {
	took time.Duration
	// pages are the requests that the customer's browser made of the system.
	pages int
}

// buy takes one order from its creation to its delivery.
func (w *world) buy(ctx context.Context, email string) (life, error) {
	o, err := w.create(ctx, email, 1, false)
	if err != nil {
		return life{}, err
	}
	visit, err := client.PayLikeABrowser(ctx, o.GetPayUrl(), client.Pay{Method: standalone.DemoAccount})
	if err != nil || !visit.Ordered {
		return life{}, errors.Join(fmt.Errorf("pay: visited %v", visit.URLs), err)
	}
	var l life
	for _, url := range visit.URLs {
		if strings.HasPrefix(url, w.url) {
			l.pages++
		}
	}
	l.took, err = w.delivered(ctx, o)
	return l, err
}

// storm is what buyers at once have done.
type storm struct {
	lives []life
	took  time.Duration // until the last webhook
	cpu   time.Duration // of the system
	rest  time.Duration // of the processor, for the sandbox, the receiver and the load generator
	count Counts
}

// storm has buyers buy again and again for a time.
func (w *world) storm(ctx context.Context, d time.Duration, buyers int) (storm, error) {
	return w.measured(ctx, func() ([]life, error) {
		var mu sync.Mutex
		var lives []life
		_, err := measure(ctx, d, buyers, func(ctx context.Context, _ int) error {
			l, err := w.buy(ctx, "")
			mu.Lock()
			defer mu.Unlock()
			lives = append(lives, l)
			return err
		})
		return lives, err
	})
}

// measured counts what f costs, until all webhooks of its orders have come.
func (w *world) measured(ctx context.Context, f func() ([]life, error)) (s storm, err error) {
	hooked, err := w.accepted()
	if err != nil {
		return s, err
	}
	counts, err := w.counts()
	if err != nil {
		return s, err
	}
	cpu, rest, err := w.spent()
	if err != nil {
		return s, err
	}
	begun := time.Now()
	if s.lives, err = f(); err != nil {
		return s, err
	}
	if err := w.received(ctx, hooked+len(hooks)*len(s.lives)); err != nil {
		return s, err
	}
	s.took = time.Since(begun)
	if s.cpu, s.rest, err = w.spent(); err != nil {
		return s, err
	}
	s.cpu, s.rest = s.cpu-cpu, s.rest-rest
	now, err := w.counts()
	s.count = now.Since(counts)
	return s, err
}

// spent is the processor time of the system, and of all that is around it.
func (w *world) spent() (system, rest time.Duration, err error) {
	u, err := w.system.usage()
	if err != nil {
		return 0, 0, err
	}
	own, err := usageNow()
	if err != nil {
		return 0, 0, err
	}
	rest = own.CPU
	for _, c := range []*child{w.outside, w.receiver} {
		around, err := c.usage()
		if err != nil {
			return 0, 0, err
		}
		rest += around.CPU
	}
	return u.CPU, rest, nil
}

func (s storm) rate() float64 { return float64(len(s.lives)) / s.took.Seconds() }

// cpuEach is the system's processor time per order, in ms, restEach that around it.
func (s storm) cpuEach() float64  { return millis(s.cpu) / float64(max(len(s.lives), 1)) }
func (s storm) restEach() float64 { return millis(s.rest) / float64(max(len(s.lives), 1)) }

func (s storm) quantile(q float64) float64 {
	took := make([]time.Duration, 0, len(s.lives))
	for _, l := range s.lives {
		took = append(took, l.took)
	}
	return quantile(took, q)
}
