// Package outbox brings the events that documents announced to the bus. It is
// the only way there.
//
// It takes committed documents ([docstore.Relay]) and gives their events to a
// [Publisher], right after the write. That an event is on the bus is written
// down with the document's next write, or for whole batches of documents after
// some seconds; what a crash or an outage left over is found by its RelayAt
// time and sent again.
package outbox

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
)

// Publisher puts events on the bus. It returns how many of them, counted from
// the first, are certainly there.
type Publisher interface {
	Publish(ctx context.Context, events []event.Event) (int, error)
}

// Limits and pauses of the relay.
const (
	queueSize = 4096 // documents waiting to be published; more are left to the sweep
	batchSize = 256  // documents published together
	sweepSize = 256  // leftovers read together
	markAfter = 2 * time.Second
	markEvery = time.Second
	sweepWait = time.Second
	// sweepMax bounds the growing pause between sweeps while the bus is away.
	sweepMax = 15 * time.Second
)

type key struct {
	store docstore.Store
	id    string
}

type known struct {
	emitted int64
	since   time.Time
}

type item struct {
	key     key
	emitted int64
	events  []event.Event
}

// Relay implements docstore.Relay.
type Relay struct {
	pub Publisher
	log *slog.Logger
	now func() time.Time
	// queued and unmarked hold a token when there may be something to publish, to
	// mark.
	queued, unmarked chan struct{}

	mu     sync.Mutex
	stores []docstore.Store
	known  map[key]known
	queue  []item
}

var _ docstore.Relay = (*Relay)(nil)

// New returns a relay; it does nothing until Run.
func New(pub Publisher, log *slog.Logger, now func() time.Time) *Relay {
	return &Relay{
		pub: pub, log: log, now: now, known: map[key]known{},
		queued: make(chan struct{}, 1), unmarked: make(chan struct{}, 1),
	}
}

// Watch implements docstore.Relay.
func (r *Relay) Watch(s docstore.Store) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stores = append(r.stores, s)
}

// Committed implements docstore.Relay. A full queue leaves the document to the
// sweep.
func (r *Relay) Committed(s docstore.Store, rec *docstore.Record) {
	k := key{s, rec.ID}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[k].emitted >= rec.Emitted || len(r.queue) >= queueSize {
		return
	}
	r.queue = append(r.queue, item{k, rec.Emitted, rec.Pending()})
	signal(r.queued)
}

// signal leaves a token, if there is none yet.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Known implements docstore.Relay.
func (r *Relay) Known(s docstore.Store, id string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[key{s, id}].emitted
}

// Marked implements docstore.Relay.
func (r *Relay) Marked(s docstore.Store, id string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := (key{s, id}); r.known[k].emitted <= n {
		delete(r.known, k)
	}
}

// Run publishes until ctx is done, then publishes and marks what is queued.
func (r *Relay) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { r.sweep(ctx) })
	wg.Go(func() { r.mark(ctx) })
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case <-r.queued:
			if err := r.publish(ctx, r.batch()); err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "events left to the relay", "error", err)
			}
		}
	}
	wg.Wait()
	return r.flush(context.WithoutCancel(ctx))
}

// flushTimeout bounds the last publishing on the way out.
const flushTimeout = 5 * time.Second

func (r *Relay) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	for {
		items := r.batch()
		if len(items) == 0 {
			r.markKnown(ctx, r.now())
			return nil
		}
		if err := r.publish(ctx, items); err != nil {
			r.log.WarnContext(ctx, "events left for the next start", "error", err)
			return nil
		}
	}
}

// batch takes what is to be published together.
func (r *Relay) batch() []item {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.queue), batchSize)
	items := slices.Clone(r.queue[:n])
	if r.queue = slices.Delete(r.queue, 0, n); len(r.queue) > 0 {
		signal(r.queued)
	}
	return items
}

// publish sends the items' events in order and notes which items are complete.
func (r *Relay) publish(ctx context.Context, items []item) error {
	var events []event.Event
	for _, it := range items {
		events = append(events, it.events...)
	}
	if len(events) == 0 {
		return nil
	}
	n, err := r.pub.Publish(ctx, events)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for _, it := range items {
		if n -= len(it.events); n < 0 {
			break
		}
		if k := r.known[it.key]; k.emitted < it.emitted {
			r.known[it.key] = known{it.emitted, now}
			signal(r.unmarked)
		}
	}
	return err
}

// mark writes down, in batches, what no other write has written down.
func (r *Relay) mark(ctx context.Context) {
	var timer <-chan time.Time // nil while there is nothing to mark
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.unmarked:
			if timer == nil {
				timer = time.After(markEvery)
			}
		case <-timer:
			timer = nil
			if r.markKnown(ctx, r.now().Add(-markAfter)) {
				timer = time.After(markEvery)
			}
		}
	}
}

// markKnown marks what was published before the given time, and reports
// whether something is left.
func (r *Relay) markKnown(ctx context.Context, before time.Time) bool {
	batches := map[docstore.Store][]docstore.Mark{}
	r.mu.Lock()
	for k, v := range r.known {
		if !v.since.After(before) {
			batches[k.store] = append(batches[k.store], docstore.Mark{ID: k.id, Emitted: v.emitted})
		}
	}
	r.mu.Unlock()
	for store, marks := range batches {
		if err := store.MarkPublished(ctx, marks); err != nil {
			if ctx.Err() == nil {
				r.log.WarnContext(ctx, "published events not marked", "error", err)
			}
			continue
		}
		for _, m := range marks {
			r.Marked(store, m.ID, m.Emitted)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.known) > 0
}

// sweep looks after events that are due for the relay: leftovers of a crash, of
// a full queue, of an outage of the bus.
func (r *Relay) sweep(ctx context.Context) {
	pause := sweepWait
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := r.sweepOnce(ctx); err != nil {
			if ctx.Err() == nil {
				r.log.WarnContext(ctx, "relay waits for bus or store", "error", err, "pause", pause)
			}
			pause = min(2*pause, sweepMax)
		} else {
			pause = sweepWait
		}
		timer.Reset(pause)
	}
}

func (r *Relay) sweepOnce(ctx context.Context) error {
	r.mu.Lock()
	stores := append([]docstore.Store(nil), r.stores...)
	r.mu.Unlock()
	for _, store := range stores {
		for {
			recs, err := store.Unpublished(ctx, r.now(), sweepSize)
			if err != nil {
				return err
			}
			var items []item
			marks := make([]docstore.Mark, 0, len(recs))
			for _, rec := range recs {
				marks = append(marks, docstore.Mark{ID: rec.ID, Emitted: rec.Emitted})
				if r.Known(store, rec.ID) < rec.Emitted {
					items = append(items, item{key{store, rec.ID}, rec.Emitted, rec.Pending()})
				}
			}
			if err := r.publish(ctx, items); err != nil {
				return err
			}
			if err := store.MarkPublished(ctx, marks); err != nil {
				return err
			}
			for _, m := range marks {
				r.Marked(store, m.ID, m.Emitted)
			}
			if len(recs) < sweepSize {
				break
			}
		}
	}
	return nil
}
