package licenses

import (
	"sync"
	"time"
)

const (
	// lookAhead is how many free licences a look into a pool brings, for the claims
	// that come next.
	lookAhead = 32
	// fresh is how long they are worth trying, as others claim from the pool too,
	// and at least how long nobody here tries one again.
	fresh = 2 * time.Second
	// maxPools is of how many pools they are kept.
	maxPools = 1000
)

// ahead keeps, per pool, licences that were free a moment ago, so that not every
// claim has to look, and remembers which ones were tried, so that claimers of one
// process try different ones. All of it is nothing but hints: only the
// compare-and-set on a licence gives it to a unit.
type ahead struct {
	mu     sync.Mutex
	byPool map[string]hints
	// tried since turned, and in the time before.
	tried, before map[string]bool
	turned        time.Time
}

type hints struct {
	licenses []string
	at       time.Time
}

// take returns up to n hints, which nobody else gets.
func (a *ahead) take(pool string, n int, now time.Time) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.byPool[pool]
	if now.Sub(h.at) > fresh {
		delete(a.byPool, pool)
		return nil
	}
	var out []string
	for len(h.licenses) > 0 && len(out) < n {
		if a.first(h.licenses[0], now) {
			out = append(out, h.licenses[0])
		}
		h.licenses = h.licenses[1:]
	}
	a.byPool[pool] = h
	return out
}

// keep replaces the hints of a pool by newer ones.
func (a *ahead) keep(pool string, licenses []string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.byPool) >= maxPools || a.byPool == nil {
		a.byPool = map[string]hints{}
	}
	a.byPool[pool] = hints{licenses, now}
}

// next returns up to n of the licences that nobody has tried lately; skipped are
// those before them that somebody has, rest those behind.
func (a *ahead) next(licenses []string, n int, now time.Time) (out, skipped, rest []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(licenses) > 0 && len(out) < n {
		if a.first(licenses[0], now) {
			out = append(out, licenses[0])
		} else {
			skipped = append(skipped, licenses[0])
		}
		licenses = licenses[1:]
	}
	return out, skipped, licenses
}

// first reports whether nobody has tried the licence lately, and notes that
// somebody does now.
func (a *ahead) first(license string, now time.Time) bool {
	if now.Sub(a.turned) > fresh {
		a.before, a.tried, a.turned = a.tried, map[string]bool{}, now
	}
	if a.tried[license] || a.before[license] {
		return false
	}
	a.tried[license] = true
	return true
}
