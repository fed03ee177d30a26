package due

import (
	"sync"
	"time"
)

// maxWaiting bounds the leased documents that wait for a lane; what comes on
// top is left alone until its lease ends.
const maxWaiting = 128

// Lanes makes the loop fair: documents of one key (an account, an endpoint)
// take at most width places at once, so that a slow one holds up only itself.
// What finds its lane full waits without a place, for at most half its lease;
// then it is left alone until the lease ends. It must be called before Run.
func (l *Loop[T]) Lanes(width int, key func(*T) string) *Loop[T] {
	l.lanes = &lanes[T]{key: key, width: width, freshness: l.opt.Lease / 2, busy: map[string]int{}, waiting: map[string][]*Leased[T]{}}
	return l
}

type lanes[T any] struct {
	key   func(*T) string
	width int
	// freshness is how much of its lease a document must have left.
	freshness time.Duration

	mu      sync.Mutex
	busy    map[string]int
	waiting map[string][]*Leased[T]
}

// enter reports whether the document may be worked on now. If not, it waits.
func (ls *lanes[T]) enter(key string, doc *Leased[T]) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.busy[key] < ls.width {
		ls.busy[key]++
		return true
	}
	if len(ls.waiting[key]) < maxWaiting {
		ls.waiting[key] = append(ls.waiting[key], doc)
	}
	return false
}

// next returns the document that has waited longest and is still fresh, or
// leaves the lane if there is none or the loop is stopping.
func (ls *lanes[T]) next(key string, now time.Time, stopping bool) *Leased[T] {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for q := ls.waiting[key]; len(q) > 0 && !stopping; q = ls.waiting[key] {
		doc := q[0]
		q[0] = nil
		ls.waiting[key] = q[1:]
		if doc.until.Sub(now) >= ls.freshness {
			return doc
		}
	}
	delete(ls.waiting, key)
	if ls.busy[key]--; ls.busy[key] == 0 {
		delete(ls.busy, key)
	}
	return nil
}
