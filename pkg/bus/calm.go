package bus

import (
	"context"
	"sync"
	"time"

	"quittance/pkg/backoff"
)

// Pauses of each worker before its next event while nothing succeeds any more,
// by how many rounds (one failure per worker) have passed since the last success:
//
//	round  1       2    3    4 …
//	pause  100 ms  1 s  2 s  5 s
//
// The first success ends them all at once.
var calming = backoff.Schedule{100 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second}

// calm slows a consumer down whose handlers all fail: then it is not the events.
type calm struct {
	workers int

	mu       sync.Mutex
	failures int // since the last success
	relief   chan struct{}
}

func (c *calm) note(failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if failed {
		c.failures++
		return
	}
	c.failures = 0
	if c.relief != nil {
		close(c.relief)
		c.relief = nil
	}
}

// wait returns when the next event may be tried, or ctx is done.
func (c *calm) wait(ctx context.Context) {
	c.mu.Lock()
	pause := calming.After(c.failures / c.workers)
	if pause > 0 && c.relief == nil {
		c.relief = make(chan struct{})
	}
	relief := c.relief
	c.mu.Unlock()
	if pause == 0 {
		return
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-relief:
	case <-ctx.Done():
	}
}
