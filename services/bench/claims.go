package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

const rowClaims, rowLookups = "5 licence claims", "5 status lookups"

// units is how many licences one order of the claims takes.
const units = 50

// claims measures how fast one pool is emptied, by prepaid orders of many units,
// and how many orders a second are looked up.
func (b *bench) claims(ctx context.Context) error {
	return b.within(ctx, func(ctx context.Context, w *world) error {
		const most = 5000 // claims a second that there are licences for
		for range b.Repeats {
			if err := w.stock(ctx, int(most*b.Short.Seconds())+crew*units); err != nil {
				return err
			}
			before, err := w.system.usage()
			if err != nil {
				return err
			}
			d, err := measure(ctx, b.Short, crew, func(ctx context.Context, _ int) error {
				o, err := w.create(ctx, "", units, true)
				if err != nil {
					return err
				}
				_, err = w.delivered(ctx, o)
				return err
			})
			if err != nil {
				return err
			}
			after, err := w.system.usage()
			if err != nil {
				return err
			}
			kind := fmt.Sprintf("prepaid orders of %d, %d at once, one pool", units, crew)
			b.report.add(rowClaims, kind, "claims", "/s", "", float64(d.N*units)/d.Took.Seconds())
			b.report.add(rowClaims, kind, "CPU of the services", "ms per claim", "", millis(after.CPU-before.CPU)/float64(d.N*units))
		}
		o, err := w.create(ctx, "", 1, false)
		if err != nil {
			return err
		}
		for range b.Repeats {
			if err := b.lookups(ctx, w, rowLookups, fmt.Sprintf("GetOrder, %d at once", crew), []string{o.GetId()}); err != nil {
				return err
			}
		}
		return nil
	})
}

// lookups asks for orders over gRPC, one after the other.
func (b *bench) lookups(ctx context.Context, w *world, row, kind string, orders []string) error {
	before, err := w.system.usage()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var took []time.Duration
	next := 0
	d, err := measure(ctx, b.Short, crew, func(ctx context.Context, _ int) error {
		mu.Lock()
		next++
		which := orders[next%len(orders)]
		mu.Unlock()
		begun := time.Now()
		_, err := w.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: which})
		mu.Lock()
		defer mu.Unlock()
		took = append(took, time.Since(begun))
		return err
	})
	if err != nil {
		return err
	}
	after, err := w.system.usage()
	if err != nil {
		return err
	}
	b.report.add(row, kind, "lookups", "/s", "", float64(d.N)/d.Took.Seconds())
	b.report.add(row, kind, "lookup p99", "ms", "", quantile(took, 0.99))
	b.report.add(row, kind, "CPU of a lookup", "µs each", "", float64((after.CPU-before.CPU).Microseconds())/float64(max(d.N, 1)))
	return nil
}
