package edge

import (
	"net/netip"
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
)

// limitersMax bounds the memory of limits.
const limitersMax = 10_000

// limits is a rate limit for each of many keys.
type limits struct {
	every rate.Limit
	burst int

	mu    sync.Mutex
	byKey map[string]*rate.Limiter
}

func newLimits(every rate.Limit, burst int) *limits {
	return &limits{every: every, burst: burst, byKey: map[string]*rate.Limiter{}}
}

// allow reports whether one more of the key is within the limit.
func (l *limits) allow(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	one, ok := l.byKey[key]
	if !ok {
		if len(l.byKey) >= limitersMax {
			clear(l.byKey)
		}
		one = rate.NewLimiter(l.every, l.burst)
		l.byKey[key] = one
	}
	return one.AllowN(now, 1)
}

// sender names who an address belongs to, for limits: an IPv6 address by its
// /64, the least that one customer of a network gets.
func sender(remote string) string {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		return remote
	}
	if addr = addr.Unmap(); addr.Is4() {
		return addr.String()
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return remote
	}
	return network.String()
}
