package bus

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := calm{workers: 2}
		waits := func(want time.Duration) {
			t.Helper()
			start := time.Now()
			c.wait(t.Context())
			if got := time.Since(start); got != want {
				t.Errorf("after %d failures it waits %s, want %s", c.failures, got, want)
			}
		}
		waits(0)
		for _, want := range []time.Duration{0, 100 * time.Millisecond, 100 * time.Millisecond, time.Second, time.Second, 2 * time.Second} {
			c.note(true)
			waits(want)
		}
		relieved := make(chan time.Duration)
		start := time.Now()
		go func() {
			c.wait(t.Context())
			relieved <- time.Since(start)
		}()
		<-time.After(time.Second)
		c.note(false)
		if got := <-relieved; got != time.Second {
			t.Errorf("a success ends the wait after %s, want at once", got)
		}
		waits(0)
	})
}
