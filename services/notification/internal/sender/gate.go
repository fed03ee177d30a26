package sender

import (
	"sync"
	"time"
)

// maxTurn is the longest that a queue is given a turn for in advance.
const maxTurn = time.Minute

// limits are an endpoint's own; perSecond 0: none.
type limits struct{ inFlight, perSecond int }

// gates bound how many tries are under way at each endpoint, and how many there
// are in a second, so that one that hangs can't use up the places of all others.
// The bound adapts: half of it is gone with each try that hung or met an
// overloaded receiver, one is back with each that did not. An endpoint that is
// dead ends up with one try at a time, and one that is well again is soon at
// full speed. A receiver that asks for time gets it.
type gates struct {
	mu   sync.Mutex
	byID map[string]*gate
}

type gate struct {
	most, limit, busy int
	// next is when the rate allows another try.
	next time.Time
	// until is when the receiver wants to be called again.
	until time.Time
}

func newGates() *gates { return &gates{byID: map[string]*gate{}} }

// refusal says why a try must wait.
type refusal struct {
	// at is when to come again; zero: who knows.
	at time.Time
	// slot: the time is the caller's own; it may enter then without being
	// counted again.
	slot bool
}

// enter takes a place, or says why there is none.
func (g *gates) enter(id string, l limits, slot bool, now time.Time) (refusal, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.byID[id]
	if at == nil {
		at = &gate{most: l.inFlight, limit: l.inFlight}
		g.byID[id] = at
	}
	at.limit = max(1, min(at.limit+max(0, l.inFlight-at.most), l.inFlight)) // the merchant may have changed it
	at.most = l.inFlight
	switch {
	case now.Before(at.until):
		return refusal{at: at.until}, false
	case at.busy >= at.limit:
		return refusal{}, false
	case l.perSecond > 0 && !slot:
		if r, ok := at.pass(l.perSecond, now); !ok {
			return r, false
		}
	}
	at.busy++
	return refusal{}, true
}

// pass counts a try against the rate: a tenth of a second's tries may come at
// once. One too many gets the next free turn.
func (at *gate) pass(perSecond int, now time.Time) (refusal, bool) {
	apart := time.Second / time.Duration(perSecond)
	if earliest := now.Add(-time.Second / 10); at.next.Before(earliest) {
		at.next = earliest
	}
	turn := at.next.Add(apart)
	switch {
	case !turn.After(now):
		at.next = turn
		return refusal{}, true
	case turn.Sub(now) > maxTurn:
		return refusal{at: now.Add(maxTurn)}, false
	}
	at.next = turn
	return refusal{at: turn, slot: true}, false
}

// leave gives the place back. strained: the try hung or met an overloaded
// receiver; until is when that wants to be called again, zero: it did not say.
func (g *gates) leave(id string, strained bool, until, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.byID[id]
	at.busy--
	if strained {
		at.limit = max(1, at.limit/2)
	} else {
		at.limit = min(at.most, at.limit+1)
	}
	if until.After(at.until) {
		at.until = until
	}
	if at.busy == 0 && at.limit == at.most && at.until.Before(now) && at.next.Before(now) {
		delete(g.byID, id)
	}
}
