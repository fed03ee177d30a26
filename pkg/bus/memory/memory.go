// Package memory is a bus without a server, for simulations and fast tests.
//
// It takes and gives what package bus does. By default it loses nothing and
// keeps the order of publication; a [Config.Fate] makes it as bad as a real bus
// can be. Its only clock is package time, so that it works under a virtual one.
package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"quittance/pkg/bus"
	"quittance/pkg/event"
)

// window is how long repeats of a message id are swallowed, as by the server.
const window = 2 * time.Minute

// Config of a bus in memory.
type Config struct {
	bus.Options
	// Fate decides what becomes of a published event on its way to a service:
	// one delivery after each of the delays returned. None: it is lost; {0, 0}:
	// it is doubled; unequal delays reorder, and a late second one is a bus that
	// was set back. It is called in the order of publication, then of the
	// services' names, never twice at once. nil: one delivery at once.
	Fate func(service string, e event.Event) []time.Duration
	// Settle makes the bus deterministic: one event at a time is handled, over
	// all services, in the order of due time and publication, and before each
	// choice Settle is called to let everything else come to rest
	// (synctest.Wait).
	Settle func()
}

// Bus is a bus in memory. All methods are safe for concurrent use.
type Bus struct {
	cfg Config

	mu       sync.Mutex
	services []string // sorted
	queues   map[string]*queue
	recent   map[string]time.Time // message ids
	swept    time.Time
	sequence uint64
	// choosing: someone has called Settle; busy: something is being handled.
	choosing, busy bool
}

type queue struct {
	pending   []*delivery
	added     uint64 // how many deliveries there ever were
	consumers []*consumer
	changed   chan struct{} // closed when there may be something new to do
}

// wake lets the consumers look again.
func (q *queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

type delivery struct {
	due      time.Time
	sequence uint64 // over all queues
	turn     uint64 // within its queue
	event    event.Event
	count    int
}

func (d *delivery) compare(other *delivery) int {
	return cmp.Or(d.due.Compare(other.due), cmp.Compare(d.sequence, other.sequence))
}

func (q *queue) add(d *delivery) {
	i, _ := slices.BinarySearchFunc(q.pending, d, (*delivery).compare)
	q.pending = slices.Insert(q.pending, i, d)
}

var _ bus.PublishConsumer = (*Bus)(nil)

// New returns an empty bus.
func New(cfg Config) *Bus {
	cfg.Options = cfg.Options.WithDefaults()
	b := &Bus{cfg: cfg, services: slices.Sorted(maps.Keys(cfg.Table)), queues: map[string]*queue{}, recent: map[string]time.Time{}}
	for _, service := range b.services {
		b.queues[service] = &queue{changed: make(chan struct{})}
	}
	return b
}

// Ready implements bus.PublishConsumer.
func (b *Bus) Ready() error { return nil }

// Publish implements bus.Publisher. Like the server it keeps events for
// services that don't consume yet.
func (b *Bus) Publish(ctx context.Context, events []event.Event) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, e := range events {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		if _, err := event.Subject(e); err != nil {
			return i, fmt.Errorf("publish event %d of %d: %w", i+1, len(events), err)
		}
		now := time.Now()
		if b.repeated(e.MessageID(), now) {
			continue
		}
		for _, service := range b.services {
			if !slices.Contains(b.cfg.Table[service], e.Type) {
				continue
			}
			delays := []time.Duration{0}
			if b.cfg.Fate != nil {
				delays = b.cfg.Fate(service, e)
			}
			for _, delay := range delays {
				b.sequence++
				q := b.queues[service]
				q.added++
				q.add(&delivery{due: now.Add(delay), sequence: b.sequence, turn: q.added, event: e, count: 1})
			}
			b.wake(service)
		}
	}
	return len(events), nil
}

func (b *Bus) repeated(id string, now time.Time) bool {
	if now.Sub(b.swept) > window {
		b.swept = now
		maps.DeleteFunc(b.recent, func(_ string, at time.Time) bool { return now.Sub(at) > window })
	}
	at, known := b.recent[id]
	if known && now.Sub(at) <= window {
		return true
	}
	b.recent[id] = now
	return false
}

// wake lets the service's consumers look again, and everyone where all take
// turns. The lock is held.
func (b *Bus) wake(service string) {
	if b.cfg.Settle == nil {
		b.queues[service].wake()
		return
	}
	for _, q := range b.queues {
		q.wake()
	}
}

// Next is when the next event comes or comes again to a service that consumes;
// zero: none will.
func (b *Bus) Next() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	var next time.Time
	for _, q := range b.queues {
		if len(q.consumers) > 0 && len(q.pending) > 0 && (next.IsZero() || q.pending[0].due.Before(next)) {
			next = q.pending[0].due
		}
	}
	return next
}
