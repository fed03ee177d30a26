package bench

import (
	"context"
	"time"
)

const rowWebhooks = "4 webhooks"

// webhooks has events of orders that never were brought to one endpoint.
func (b *bench) webhooks(ctx context.Context) error {
	// A run of fast ones is this many events for each second asked for: about what
	// a core delivers.
	const fast, steady, bytes = 1500, 200, 7000
	for _, x := range []struct {
		kind            string
		perSecond, size int
		n               int
		receiver        manners
	}{
		{"fast receiver, 1 kB", 0, 1000, int(fast * b.Webhooks.Seconds()), manners{}},
		{"receiver of 100/240 ms that refuses a fifth, 7 kB, 200/s", steady, bytes, int(steady * b.Webhooks.Seconds()),
			manners{P50: 100 * time.Millisecond, P95: 240 * time.Millisecond, Refuse: 0.2}},
	} {
		if err := b.within(ctx, func(ctx context.Context, w *world) error {
			if err := w.receiver.ask("be", x.receiver, nil); err != nil {
				return err
			}
			next := emitArgs{First: 1, N: x.n, PerSecond: x.perSecond, Bytes: x.size}
			once := func(keep func(name, unit, aim string, value float64)) (requests int, err error) {
				requests, err = webhook(ctx, w, next, keep)
				next.First += next.N
				return requests, err
			}
			for range b.Repeats {
				if _, err := once(func(name, unit, aim string, v float64) { b.report.add(rowWebhooks, x.kind, name, unit, aim, v) }); err != nil {
					return err
				}
			}
			return b.hops(w, rowWebhooks, x.kind, "ms per delivery", func() (int, error) {
				return once(func(string, string, string, float64) {})
			})
		}); err != nil {
			return err
		}
	}
	return nil
}

// webhook measures once and tells keep the figures.
func webhook(ctx context.Context, w *world, what emitArgs, keep func(name, unit, aim string, value float64)) (requests int, err error) {
	before, err := w.system.usage()
	if err != nil {
		return 0, err
	}
	hooked, err := w.accepted()
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := w.system.ask("emit", what, nil); err != nil {
		return 0, err
	}
	if err := w.received(ctx, hooked+what.N); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	after, err := w.system.usage()
	if err != nil {
		return 0, err
	}
	var got received
	if err := w.receiver.ask("take", nil, &got); err != nil {
		return 0, err
	}
	keep("deliveries", "/s", "", float64(what.N)/took.Seconds())
	keep("CPU of the services", "ms per delivery", "≤ 0.3", millis(after.CPU-before.CPU)/float64(got.Requests))
	keep("event → first request p50", "ms", "", quantile(got.First, 0.5))
	keep("event → first request p99", "ms", "", quantile(got.First, 0.99))
	keep("event → accepted p50", "ms", "", quantile(got.Done, 0.5))
	keep("event → accepted p99", "ms", "", quantile(got.Done, 0.99))
	return got.Requests, nil
}
