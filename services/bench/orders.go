package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

const rowOrders = "2 orders"

// mostOrders a second are what licences are imported for.
const mostOrders = 400

// orders takes whole orders through, closed loop.
func (b *bench) orders(ctx context.Context) error {
	return b.within(ctx, func(ctx context.Context, w *world) error {
		if err := w.stock(ctx, int(mostOrders*b.Orders.Seconds())*(b.Repeats+1)*len(b.Buyers)+1000); err != nil {
			return err
		}
		if _, err := w.storm(ctx, b.Orders/2, 8); err != nil { // warm
			return err
		}
		for _, buyers := range b.Buyers {
			kind := fmt.Sprintf("%d buyers", buyers)
			for range b.Repeats {
				s, err := w.storm(ctx, b.Orders, buyers)
				if err != nil {
					return err
				}
				b.ordered(kind, s)
			}
			if err := b.hops(w, rowOrders, kind, "ms per order", func() (int, error) {
				s, err := w.storm(ctx, b.Orders, buyers)
				return len(s.lives), err
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bench) ordered(kind string, s storm) {
	n := float64(max(len(s.lives), 1))
	add := func(name, unit, aim string, v float64) { b.report.add(rowOrders, kind, name, unit, aim, v) }
	add("orders", "/s", "", s.rate())
	add("CPU of the services", "ms per order", "≤ 4", s.cpuEach())
	add("CPU of sandbox and load generator", "ms per order", "", s.restEach())
	add("created → delivered p50", "ms", "", s.quantile(0.5))
	add("created → delivered p99", "ms", "", s.quantile(0.99))
	sum := s.count.Sum()
	add("reads", "per order", "", float64(sum.Reads())/n)
	add("writes", "per order", "≤ 16", float64(sum.Writes())/n)
	add("messages", "per order", "≤ 8", float64(sum.Messages)/n)
	for _, name := range slices.Sorted(maps.Keys(s.count)) {
		c := s.count[name]
		add("writes of "+name, "per order", "", float64(c.Writes())/n)
		add("messages of "+name, "per order", "", float64(c.Messages)/n)
	}
	if limit, cpu := b.limit(s); limit > 0 {
		add("share of the limit", "%", "≥ 60 with 32 buyers", 100*s.rate()/limit)
		add("CPU at the floors' prices", "ms per order", "", cpu)
	}
}

// limit is how many orders a second there would be if the counted operations cost
// what they cost alone, one kind after the other, and all else nothing: documents
// inserted and changed, messages published and handled, requests that the
// customer's browser and the provider make, those that are made of the provider
// and the webhooks, and two calls over gRPC (create, watch). Marks, which go out in
// batches, reads and the mail are given for nothing. cpu is the processor time of
// an order by the same count, in ms; a request that is served is taken to cost what
// one costs that is made. 0: no floors were measured.
func (b *bench) limit(s storm) (rate, cpu float64) {
	sum, n := s.count.Sum(), float64(max(len(s.lives), 1))
	pages := 0
	for _, l := range s.lives {
		pages += l.pages
	}
	const callback, status = 1, 1
	seconds := 0.0
	for name, each := range map[string]float64{
		floorInsert:  float64(sum.Inserts) / n,
		floorCAS:     float64(sum.Changes) / n,
		floorPublish: float64(sum.Messages) / n,
		floorConsume: float64(sum.Handled) / n,
		floorPost:    float64(pages)/n + callback + status + float64(len(hooks)),
		floorUnary:   2,
	} {
		rate := b.report.median(rowFloors, name, "rate")
		if rate == 0 {
			return 0, 0
		}
		seconds += each / rate
		cpu += each * b.report.median(rowFloors, name, "CPU") / 1000
	}
	return 1 / seconds, cpu
}
