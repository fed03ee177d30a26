package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	"quittance/pkg/id"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

const rowGrowth = "6 growth"

// growthBuyers are as many as the comparison of sizes has.
const growthBuyers = 8

// growth measures with more and more orders in the stores.
func (b *bench) growth(ctx context.Context) error {
	return b.within(ctx, func(ctx context.Context, w *world) error {
		if err := w.stock(ctx, int(mostOrders*b.Orders.Seconds())*(b.Repeats+1)*len(b.Sizes)+1000); err != nil {
			return err
		}
		if _, err := w.storm(ctx, b.Orders/2, growthBuyers); err != nil { // warm
			return err
		}
		if err := w.template(ctx); err != nil {
			return err
		}
		stored := 0
		for _, size := range b.Sizes {
			if err := b.grow(ctx, w, size-stored, size); err != nil {
				return err
			}
			stored = size
			if err := b.grown(ctx, w, fmt.Sprintf("%d stored orders", size)); err != nil {
				return err
			}
		}
		return nil
	})
}

// template takes the order through that is multiplied.
func (w *world) template(ctx context.Context) error {
	if err := w.settle(ctx); err != nil {
		return err
	}
	if err := w.system.ask("remember", nil, nil); err != nil {
		return err
	}
	if _, err := w.measured(ctx, func() ([]life, error) {
		l, err := w.buy(ctx, templateEmail)
		return []life{l}, err
	}); err != nil {
		return err
	}
	return w.settle(ctx)
}

// grow stores more orders and measures what they take on the disk.
func (b *bench) grow(ctx context.Context, w *world, more, size int) error {
	before, err := diskOf(w.args.Dir)
	if err != nil {
		return err
	}
	begun := time.Now()
	var documents int
	if err := w.system.ask("multiply", more, &documents); err != nil {
		return err
	}
	kind := fmt.Sprintf("%d stored orders", size)
	b.report.add(rowGrowth, kind, "seeding", "orders/s", "", float64(more)/time.Since(begun).Seconds())
	b.report.add(rowGrowth, kind, "documents", "per order", "", float64(documents))
	after, err := diskOf(w.args.Dir)
	b.report.add(rowGrowth, kind, "disk", "KiB per order", "", float64(after-before)/1024/float64(more))
	return err
}

// grown measures at one size.
func (b *bench) grown(ctx context.Context, w *world, kind string) error {
	add := func(name, unit, aim string, v float64) { b.report.add(rowGrowth, kind, name, unit, aim, v) }
	if _, err := w.storm(ctx, b.Orders/2, growthBuyers); err != nil { // warm
		return err
	}
	some, err := w.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{PageSize: 100})
	if err != nil {
		return err
	}
	var known []string
	for _, o := range some.GetOrders() {
		known = append(known, o.GetId())
	}
	for range b.Repeats {
		s, err := w.storm(ctx, b.Orders, growthBuyers)
		if err != nil {
			return err
		}
		add(fmt.Sprintf("orders, %d buyers", growthBuyers), "/s", "≤ 10 % less at 10^5 than at 10^3", s.rate())
		add("CPU of the services", "ms per order", "", s.cpuEach())
		add("created → delivered p99", "ms", "", s.quantile(0.99))
		if err := b.lookups(ctx, w, rowGrowth, kind, known); err != nil {
			return err
		}
	}
	u, err := w.system.usage()
	if err != nil {
		return err
	}
	add("memory", "MiB", "", float64(u.RSS)/(1<<20))
	for range b.Repeats {
		if err := w.system.kill(); err != nil {
			return err
		}
		begun := time.Now()
		if err := w.start(ctx); err != nil {
			return err
		}
		add("restart after a kill", "s", "≤ 5 at 10^5", time.Since(begun).Seconds())
	}
	took, err := w.loseBus(ctx, b.InFlight)
	add(fmt.Sprintf("%d orders delivered and told after the bus was lost", b.InFlight), "s", "", took.Seconds())
	return err
}

// loseBus kills the system while orders are under way, deletes what the bus
// kept, and returns how long it takes from the new start until all of these are
// delivered and their webhooks received.
func (w *world) loseBus(ctx context.Context, n int) (time.Duration, error) {
	hooked, err := w.accepted()
	if err != nil {
		return 0, err
	}
	orders := make([]*orderv1.Order, n)
	for i := range orders {
		if orders[i], err = w.create(ctx, "", 1, false); err != nil {
			return 0, err
		}
		a, err := w.payments.StartPayment(ctx, &paymentv1.StartPaymentRequest{
			IdempotencyKey: id.New("bench"), OrderId: orders[i].GetId(), AccountId: standalone.DemoAccount,
		}, grpc.WaitForReady(true))
		if err != nil {
			return 0, err
		}
		if _, err := client.PayLikeABrowser(ctx, a.GetRedirect().GetUrl(), client.Pay{Fields: map[string]string{"fault.skipRedirect": "on"}}); err != nil {
			return 0, err
		}
	}
	if err := w.system.kill(); err != nil {
		return 0, err
	}
	if err := os.RemoveAll(filepath.Join(w.args.Dir, "nats")); err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := w.start(ctx); err != nil {
		return 0, err
	}
	for _, o := range orders {
		if err := until(ctx, patience, func() error {
			_, err := w.delivered(ctx, o)
			return err
		}); err != nil {
			return 0, err
		}
	}
	err = w.received(ctx, hooked+len(hooks)*n)
	return time.Since(begun), err
}

// diskOf is what a directory takes, in bytes.
func diskOf(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a log of the bus that was deleted meanwhile
		}
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
