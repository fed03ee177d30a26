package bench

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
)

const rowOrders = "2 orders"

// mostOrders a second are what licences are imported for.
const mostOrders = 400

// orders takes whole orders through, closed loop.
func (b *bench) orders(ctx context.Context) error {
	return b.within(ctx, func(ctx context.Context, w *world) error {
		if err := w.stock(ctx, int(mostOrders*b.Orders.Seconds())*b.Repeats*len(b.Buyers)+1000); err != nil {
			return err
		}
		if _, err := w.storm(ctx, b.Orders/2, 8); err != nil { // warm
			return err
		}
		for _, buyers := range b.Buyers {
			if err := b.profiled(w, fmt.Sprintf("orders-%d", buyers), func() error {
				for range b.Repeats {
					s, err := w.storm(ctx, b.Orders, buyers)
					if err != nil {
						return err
					}
					b.ordered(fmt.Sprintf("%d buyers", buyers), s)
				}
				return nil
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
	add("created → delivered p50", "ms", "", s.quantile(0.5))
	add("created → delivered p99", "ms", "", s.quantile(0.99))
	sum := s.count.Sum()
	add("writes", "per order", "≤ 16", float64(sum.Writes())/n)
	add("messages", "per order", "≤ 8", float64(sum.Messages)/n)
	for _, name := range slices.Sorted(maps.Keys(s.count)) {
		c := s.count[name]
		add("writes of "+name, "per order", "", float64(c.Writes())/n)
		add("messages of "+name, "per order", "", float64(c.Messages)/n)
	}
	if limit := b.limit(s); limit > 0 {
		add("share of the limit", "%", "≥ 60 with 32 buyers", 100*s.rate()/limit)
	}
}

// limit is how many orders a second there would be if the counted operations cost
// what they cost alone, one kind after the other, and all else nothing: documents
// inserted and changed, messages published and handled, requests that the
// customer's browser and the provider make, those that are made of the provider
// and the webhooks, and two calls over gRPC (create, watch). Marks, which go out in
// batches, reads and the mail are given for nothing. 0: no floors were measured.
func (b *bench) limit(s storm) float64 {
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
			return 0
		}
		seconds += each / rate
	}
	return 1 / seconds
}

// profiled writes a profile of the system while f runs, if profiles are wanted.
func (b *bench) profiled(w *world, name string, f func() error) error {
	if b.Profile == "" {
		return f()
	}
	if err := w.system.ask("profile", filepath.Join(b.Profile, name+".pprof"), nil); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return w.system.ask("profile", "", nil)
}
