package edge

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How many refused callbacks of one account are recorded: 50 at once, then one
// a minute, so that a flood of forgeries can't fill the store. The others are
// only counted.
const (
	refusalsAtOnce = 50
	refusalsEvery  = time.Minute
	limitersMax    = 10_000
)

// refusals limits the records of refused callbacks per account.
type refusals struct {
	mu       sync.Mutex
	accounts map[string]*rate.Limiter
}

func newRefusals() *refusals { return &refusals{accounts: map[string]*rate.Limiter{}} }

// allow reports whether one more refused callback of the account may be recorded.
func (r *refusals) allow(account string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.accounts[account]
	if !ok {
		if len(r.accounts) >= limitersMax {
			clear(r.accounts)
		}
		l = rate.NewLimiter(rate.Every(refusalsEvery), refusalsAtOnce)
		r.accounts[account] = l
	}
	return l.AllowN(now, 1)
}
