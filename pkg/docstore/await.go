package docstore

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Await reads a document until it is there and done says so, and returns it; it
// looks again after every write of this process and at least every poll (other
// processes' writes are found that way). When ctx ends first it returns the
// document as last read, nil if there was none, together with ctx's error.
func (c *Collection[T]) Await(ctx context.Context, id string, poll time.Duration, done func(*Doc[T]) bool) (*Doc[T], error) {
	wake, stop := c.watchers.add(id)
	defer stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var last *Doc[T]
	for {
		doc, err := c.Get(ctx, id)
		switch {
		case err == nil && done(doc):
			return doc, nil
		case err == nil:
			last = doc
		case !errors.Is(err, ErrNotFound) && ctx.Err() == nil:
			return nil, err
		}
		if err := ctx.Err(); err != nil { // whatever else is ready as well
			return last, err
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-wake:
		case <-tick.C:
		}
	}
}

// watchers wakes those who await documents.
type watchers struct {
	mu   sync.Mutex
	byID map[string]map[chan struct{}]struct{}
}

func (w *watchers) add(id string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID == nil {
		w.byID = map[string]map[chan struct{}]struct{}{}
	}
	if w.byID[id] == nil {
		w.byID[id] = map[chan struct{}]struct{}{}
	}
	w.byID[id][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byID[id], ch)
		if len(w.byID[id]) == 0 {
			delete(w.byID, id)
		}
	}
}

func (w *watchers) wake(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.byID[id] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
