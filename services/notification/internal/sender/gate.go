package sender

import "sync"

// gates bound how many tries are under way at each endpoint, so that one that
// hangs can't use up the places of all others. The bound adapts: half of it is
// gone with each try that hung, one is back with each that did not. An endpoint
// that is dead ends up with one try at a time, and one that is well again is
// soon at full speed.
type gates struct {
	most int

	mu   sync.Mutex
	byID map[string]*gate
}

type gate struct{ limit, busy int }

func newGates(most int) *gates { return &gates{most: most, byID: map[string]*gate{}} }

// enter takes a place, false if none is free.
func (g *gates) enter(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.byID[id]
	if at == nil {
		at = &gate{limit: g.most}
		g.byID[id] = at
	}
	if at.busy >= at.limit {
		return false
	}
	at.busy++
	return true
}

// leave gives the place back.
func (g *gates) leave(id string, hung bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.byID[id]
	at.busy--
	if hung {
		at.limit = max(1, at.limit/2)
	} else {
		at.limit = min(g.most, at.limit+1)
	}
	if at.busy == 0 && at.limit == g.most {
		delete(g.byID, id)
	}
}
