package webservices

import (
	"sync"
	"time"
)

const (
	// blows is how many calls in a row must fail for a fuse to blow.
	blows = 5
	// restFirst and restMost bound how long a blown fuse lets nobody through; it
	// doubles with each probe that fails.
	restFirst = 10 * time.Second
	restMost  = 10 * time.Minute
	// most is how many calls of one web service are under way at once, so that one
	// that hangs leaves places for others.
	most = 4
	// crowded is how long a call waits for a place.
	crowded = time.Second
)

// fuses keep a web service that does not answer from being called for every
// order that waits for it (a circuit breaker each), in this process.
type fuses struct {
	mu   sync.Mutex
	byID map[string]*fuse
}

type fuse struct {
	busy   int
	failed int // in a row
	rest   time.Duration
	until  time.Time // blown: nobody passes before
}

func newFuses() *fuses { return &fuses{byID: map[string]*fuse{}} }

// enter lets a call through, or says how long it must wait. With the fuse blown,
// one call passes as a probe when its rest is over.
func (f *fuses) enter(id string, now time.Time) (wait time.Duration, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.byID[id]
	if at == nil {
		at = &fuse{}
		f.byID[id] = at
	}
	switch {
	case now.Before(at.until):
		return at.until.Sub(now), false
	case at.busy >= most, at.failed >= blows && at.busy > 0:
		return crowded, false
	}
	at.busy++
	return 0, true
}

// leave notes how a call ended: failed for now, or not.
func (f *fuses) leave(id string, failed bool, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.byID[id]
	if at == nil {
		return // mended meanwhile
	}
	at.busy--
	switch {
	case !failed:
		at.failed, at.rest, at.until = 0, 0, time.Time{}
		if at.busy <= 0 {
			delete(f.byID, id)
		}
	default:
		if at.failed++; at.failed >= blows {
			at.rest = min(max(2*at.rest, restFirst), restMost)
			at.until = now.Add(at.rest)
		}
	}
}

// mend forgets what was: the service was changed, or somebody asks to try again.
func (f *fuses) mend(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at := f.byID[id]; at != nil {
		at.failed, at.rest, at.until = 0, 0, time.Time{}
	}
}
