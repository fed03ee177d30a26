package simulation

import (
	"context"
	"slices"
	"sync"
	"time"

	"quittance/pkg/docstore"
)

const (
	// soon is how long before something is due its loop is let through to wait
	// for it by itself: a loop's own pause between looks at the store.
	soon = time.Second
	// enough turns of catching up without anything new: what is read reaches back
	// some seconds behind the turn, so one alone might miss the last event.
	enough = 2
	// After so many failed turns of catching up the next one comes after resigned
	// instead of ten seconds: the order service may be down for hours.
	failing  = 5
	resigned = 5 * time.Minute
)

// Collections of notification that are due for ever.
const (
	cursors = "cursors"
	sweeps  = "sweeps"
)

// bell stands for the loops' polling. A real loop asks its store every second
// whether something is due, which in virtual days would cost most of the real
// time. Here the question isn't answered before the answer is of use; a write by
// any process of the service rings.
type bell struct {
	mu      sync.Mutex
	waiting []*waiter
}

// waiter waits for what is due before a time, zero: ever.
type waiter struct {
	what   string
	before time.Time
	rung   chan struct{}
}

// ring tells those who wait for it that something is due at a time.
func (b *bell) ring(what string, at time.Time) {
	if at.IsZero() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = slices.DeleteFunc(b.waiting, func(w *waiter) bool {
		rings := w.what == what && (w.before.IsZero() || at.Before(w.before))
		if rings {
			close(w.rung)
		}
		return rings
	})
}

// wait returns when the bell rings for something due before the given time, at
// that time, or with ctx. rang tells which.
func (b *bell) wait(ctx context.Context, what string, before time.Time) (rang bool) {
	me := &waiter{what: what, before: before, rung: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, me)
	b.mu.Unlock()
	var timer <-chan time.Time
	if !before.IsZero() {
		timer = time.After(time.Until(before))
	}
	select {
	case <-me.rung:
		return true
	case <-timer:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = slices.DeleteFunc(b.waiting, func(w *waiter) bool { return w == me })
	return false
}

// relay is what the relay of a process waits for.
const relay = "events to relay"

// wrote rings for what a write made due.
func (s *store) wrote(rec *docstore.Record) {
	if rec == nil {
		return
	}
	n := s.life.node
	n.bell.ring(s.name, claimable(rec))
	n.bell.ring(relay, rec.RelayAt)
	switch news := n.w.nodes[notificationName]; {
	case n == news && s.name == cursors:
		news.turned(rec)
	case n == news && s.name == sweeps:
	case n == news, s.name == "orders":
		news.turns.Store(0)
		news.bell.ring(cursors, time.Now())
	}
}

// turned counts a turn of catching up that has ended.
func (n *node) turned(rec *docstore.Record) {
	switch {
	case rec.Lease != 0: // it begins
	case time.Until(rec.Due) > catchUp/2:
		n.turns.Add(1)
		n.failed.Store(0)
	default: // it failed, or has more to read
		n.failed.Add(1)
	}
}

// claimable is when a document can be claimed, zero for never.
func claimable(rec *docstore.Record) time.Time {
	if rec.Due.IsZero() || rec.Due.After(rec.LeaseUntil) {
		return rec.Due
	}
	return rec.LeaseUntil
}

// NextDue implements docstore.Store. It answers when something will be due soon.
func (s *store) NextDue(ctx context.Context) (time.Time, error) {
	n := s.life.node
	for rang := false; ; {
		at, err := s.inner.NextDue(ctx)
		if err != nil {
			return at, err
		}
		now := time.Now()
		switch nap := n.w.napping(); {
		case nap.After(now):
			at = later(at, nap.Add(soon))
		case (s.name == cursors || s.name == sweeps) && n.turns.Load() >= enough:
			at = time.Time{}
		case s.name == cursors && n.failed.Load() >= failing:
			n.failed.Store(failing - 1)
			at = later(at, now.Add(resigned))
		case rang && !at.IsZero() && !at.After(now):
			// What another process left is found when the loop looks next.
			pause(between(n.w.ask("look "+s.life.place.name+s.name), 0, soon))
			rang = false
			continue
		}
		if !at.IsZero() && at.Sub(now) <= soon {
			return at, nil
		}
		before := at
		if !at.IsZero() {
			before = at.Add(-soon)
		}
		rang = n.bell.wait(ctx, s.name, before)
		if err := ctx.Err(); err != nil {
			return time.Time{}, err
		}
	}
}

// later of two times, of which zero is never.
func later(a, b time.Time) time.Time {
	if a.IsZero() || a.After(b) {
		return a
	}
	return b
}

// Unpublished implements docstore.Store. It answers when one of the service's
// collections has something for the relay, which asks one after the other.
func (s *store) Unpublished(ctx context.Context, now time.Time, limit int) ([]*docstore.Record, error) {
	if err := s.life.engine.unrelayed(ctx); err != nil {
		return nil, err
	}
	recs, err := s.inner.Unpublished(ctx, later(now, time.Now()), limit)
	if err != nil || len(recs) == 0 {
		return recs, err
	}
	return recs, s.look("unpublished", func() error { return nil })
}

// unrelayed waits until something is left to the relay.
func (t *tap) unrelayed(ctx context.Context) error {
	for {
		next, err := t.relayAt(ctx)
		if err != nil || !next.IsZero() && !next.After(time.Now()) {
			return err
		}
		t.life.node.bell.wait(ctx, relay, next)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// relayAt is when the relay has something to do next, zero if never.
func (t *tap) relayAt(ctx context.Context) (time.Time, error) {
	var next time.Time
	for _, s := range t.stores {
		recs, err := s.inner.Unpublished(ctx, far, 1)
		if err != nil {
			return next, err
		}
		if len(recs) > 0 {
			next = earlier(next, recs[0].RelayAt)
		}
	}
	return next, nil
}

// far is later than anything in a history.
var far = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
