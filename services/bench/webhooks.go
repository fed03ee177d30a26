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
			once := func() (burst, error) {
				s, err := w.burst(ctx, next)
				next.First += next.N
				return s, err
			}
			for range b.Repeats {
				s, err := once()
				if err != nil {
					return err
				}
				b.told(x.kind, s)
			}
			return b.hops(w, rowWebhooks, x.kind, "ms per delivery", func() (int, error) {
				s, err := once()
				return s.got.Requests, err
			})
		}); err != nil {
			return err
		}
	}
	return nil
}

// burst is what came of events.
type burst struct {
	events    int
	took, cpu time.Duration // cpu is the system's
	got       received
}

// burst brings events to the bus and waits until the receiver has accepted their
// webhooks.
func (w *world) burst(ctx context.Context, what emitArgs) (s burst, err error) {
	before, err := w.system.usage()
	if err != nil {
		return s, err
	}
	hooked, err := w.accepted()
	if err != nil {
		return s, err
	}
	begun := time.Now()
	if err := w.system.ask("emit", what, nil); err != nil {
		return s, err
	}
	if err := w.received(ctx, hooked+what.N); err != nil {
		return s, err
	}
	s.events, s.took = what.N, time.Since(begun)
	after, err := w.system.usage()
	if err != nil {
		return s, err
	}
	s.cpu = after.CPU - before.CPU
	err = w.receiver.ask("take", nil, &s.got)
	return s, err
}

func (b *bench) told(kind string, s burst) {
	add := func(name, unit, aim string, v float64) { b.report.add(rowWebhooks, kind, name, unit, aim, v) }
	add("deliveries", "/s", "", float64(s.events)/s.took.Seconds())
	add("CPU of the services", "ms per delivery", "≤ 0.3", millis(s.cpu)/float64(s.got.Requests))
	add("event → first request p50", "ms", "", quantile(s.got.First, 0.5))
	add("event → first request p99", "ms", "", quantile(s.got.First, 0.99))
	add("event → accepted p50", "ms", "", quantile(s.got.Done, 0.5))
	add("event → accepted p99", "ms", "", quantile(s.got.Done, 0.99))
}
