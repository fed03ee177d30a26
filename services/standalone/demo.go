package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"quittance/pkg/id"
	"quittance/pkg/rpc"
	"quittance/pkg/service"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
)

const (
	demoEmail = "ada@example.com"
	// demoPatience is how long the demonstration waits for anything.
	demoPatience = 30 * time.Second
)

// RunDemo takes one order from creation to licence, e-mail and webhook, on a
// fresh data directory and free ports, and tells w about it.
func RunDemo(ctx context.Context, cfg Config, w io.Writer) error {
	if err := os.RemoveAll(cfg.DataDir); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	cfg.Sandbox, cfg.Notification.AllowCIDRs = true, []string{"127.0.0.0/8"}
	cfg.GRPCAddr, cfg.HTTPAddr, cfg.SandboxAddr, cfg.SandboxSMTP = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	var tl *timeline
	s, err := Open(ctx, cfg, Options{Bus: func(b service.Bus) service.Bus {
		if tl == nil {
			tl = &timeline{Bus: b}
		}
		return tl
	}})
	if err != nil {
		return err
	}
	return s.During(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, demoPatience)
		defer cancel()
		d := &demo{System: s, timeline: tl, w: w, sandbox: client.New(s.Sandbox.URL())}
		return d.run(ctx)
	})
}

// During runs the system for as long as f runs.
func (s *System) During(ctx context.Context, f func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	select {
	case err := <-ended:
		return errors.Join(errors.New("the system ended"), err)
	case err := <-done:
		stop()
		return errors.Join(err, <-ended)
	}
}

type demo struct {
	*System
	timeline *timeline
	w        io.Writer
	sandbox  *client.Client
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.w, format+"\n", args...) }

func (d *demo) run(ctx context.Context) error {
	seeded, err := d.SeedSandbox(ctx, d.Seeding())
	if err != nil {
		return err
	}
	d.say("Merchant %q: products notepad, backup (100 licences each) and handbook, cards by a simulated FlexPay, one webhook endpoint.", DemoMerchant)

	conn, err := rpc.Dial(d.GRPCAddr(), rpc.DialOptions{APIKey: seeded.APIKey})
	if err != nil {
		return err
	}
	defer conn.Close()
	orders := orderv1.NewOrderServiceClient(conn)
	start := time.Now()
	o, err := orders.CreateOrder(ctx, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("demo"), Reference: "4711", Currency: "EUR",
		Customer:  &orderv1.Customer{Email: demoEmail, Name: "Ada Lovelace"},
		Items:     []*orderv1.OrderItem{{ProductId: "notepad", Quantity: 2}},
		ReturnUrl: d.Sandbox.URL() + "/shop/return",
	})
	if err != nil {
		return fmt.Errorf("create order: %w", err)
	}
	d.say("Order %s over %d.%02d EUR; the customer goes to %s and pays.\n", o.GetId(), o.GetTotal().GetMinor()/100, o.GetTotal().GetMinor()%100, o.GetPayUrl())

	trip, err := client.PayLikeABrowser(ctx, o.GetPayUrl(), client.Pay{Method: DemoAccount})
	if err != nil {
		return fmt.Errorf("pay: %w", err)
	}
	d.say("The customer's browser:")
	for _, u := range trip.URLs {
		d.say("  %s", shorten(u))
	}
	if got := trip.FulfillmentStatus(); got != "success" {
		return fmt.Errorf("the browser ended with fulfillmentStatus=%q on a page with status %d: %s", got, trip.Last.Status, trip.Last.Body)
	}
	if o, err = d.awaitDelivered(ctx, orders, o.GetId()); err != nil {
		return err
	}
	if err := d.report(ctx, start, o); err != nil {
		return err
	}
	d.say("\nStored in %s: one SQLite file per service, the bus in nats/, the sandbox's books in sandbox/.", d.cfg.DataDir)
	return nil
}

// SeedSandbox seeds the demonstration merchant with the sandbox of this process
// as its outside world.
func (s *System) SeedSandbox(ctx context.Context, with Seeding) (Demo, error) {
	return SeedWithSandbox(ctx, At(s.GRPCAddr()), s.secrets.operatorKey, s.cfg.DataDir, s.Sandbox.URL(), with)
}

// awaitDelivered follows the order until all of it is delivered.
func (d *demo) awaitDelivered(ctx context.Context, orders orderv1.OrderServiceClient, orderID string) (*orderv1.Order, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := orders.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: orderID})
	if err != nil {
		return nil, fmt.Errorf("watch order: %w", err)
	}
	for {
		o, err := stream.Recv()
		if err != nil {
			return nil, fmt.Errorf("watch order: %w", err)
		}
		if o.GetDeliveryState() == orderv1.DeliveryState_DELIVERY_STATE_DELIVERED {
			return o, nil
		}
	}
}

// shorten cuts signatures and other long parameters for reading.
func shorten(u string) string {
	const most = 150
	if len(u) > most {
		return u[:most] + "…"
	}
	return u
}
