package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const rowSteady = "7 half load"

// samples are how often a long run is looked at.
const samples = 20

// steady runs at half of what 32 buyers get, or the most buyers that were asked
// for, and looks whether anything grows that must not.
func (b *bench) steady(ctx context.Context) error {
	return b.within(ctx, func(ctx context.Context, w *world) error {
		if err := w.stock(ctx, int(mostOrders*b.Orders.Seconds())+1000); err != nil {
			return err
		}
		full, err := w.storm(ctx, b.Orders, 32)
		if err != nil {
			return err
		}
		perSecond := full.rate() / 2
		if err := w.stock(ctx, int(perSecond*b.Steady.Seconds())+1000); err != nil {
			return err
		}
		kind := fmt.Sprintf("%s, open loop", b.Steady)
		b.report.add(rowSteady, kind, "orders", "/s asked for", "", perSecond)
		looks := make([]look, 0, samples)
		s, err := w.measured(ctx, func() ([]life, error) {
			return w.openLoop(ctx, perSecond, b.Steady, func(orders int) error {
				l, err := w.look(orders)
				looks = append(looks, l)
				return err
			})
		})
		if err != nil {
			return err
		}
		for _, half := range []struct {
			name  string
			looks []look
		}{{"first half", looks[:len(looks)/2]}, {"second half", looks[len(looks)/2:]}} {
			for _, l := range half.looks {
				b.report.add(rowSteady, kind, "memory, "+half.name, "MiB", "flat", float64(l.RSS)/(1<<20))
				b.report.add(rowSteady, kind, "goroutines, "+half.name, "", "flat", float64(l.Goroutines))
			}
			from, to := half.looks[0], half.looks[len(half.looks)-1]
			b.report.add(rowSteady, kind, "disk, "+half.name, "KiB per order", "flat", float64(to.disk-from.disk)/1024/float64(max(to.orders-from.orders, 1)))
		}
		b.report.add(rowSteady, kind, "CPU of the services", "ms per order", "", s.cpuEach())
		b.report.add(rowSteady, kind, "created → delivered p50", "ms", "", s.quantile(0.5))
		idle := b.report.median(rowOrders, "1 buyers", "created → delivered p50")
		aim := "≤ 5 × the p50 of one buyer"
		if idle > 0 {
			aim += ", " + number(5*idle)
		}
		b.report.add(rowSteady, kind, "created → delivered p99", "ms", aim, s.quantile(0.99))
		return nil
	})
}

// look is what the system holds at a time of a long run.
type look struct {
	usage
	disk   int64
	orders int
}

func (w *world) look(orders int) (look, error) {
	u, err := w.system.usage()
	if err != nil {
		return look{}, err
	}
	disk, err := diskOf(w.args.Dir)
	return look{u, disk, orders}, err
}

// openLoop has so many customers a second buy, whatever happens to those before,
// and calls back from time to time with how many there were.
func (w *world) openLoop(ctx context.Context, perSecond float64, d time.Duration, see func(orders int) error) ([]life, error) {
	var mu sync.Mutex
	var lives []life
	var errs []error
	var wg sync.WaitGroup
	begun, seen := time.Now(), 0
	for n := 0; ; n++ {
		at := time.Duration(float64(n) / perSecond * float64(time.Second))
		if at >= d {
			break
		}
		if err := pause(ctx, time.Until(begun.Add(at))); err != nil {
			errs = append(errs, err)
			break
		}
		wg.Go(func() {
			l, err := w.buy(ctx, "")
			mu.Lock()
			defer mu.Unlock()
			if lives = append(lives, l); err != nil {
				errs = append(errs, err)
			}
		})
		for ; seen < samples && at >= d/samples*time.Duration(seen); seen++ {
			if err := see(n); err != nil {
				errs = append(errs, err)
			}
		}
	}
	wg.Wait()
	for ; seen < samples; seen++ { // those behind the last customer
		if err := see(len(lives)); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%d of %d orders, first: %w", len(errs), len(lives), errs[0])
	}
	return lives, nil
}
