package testkit

import (
	"testing"
	"time"
)

// Eventually calls check every few milliseconds until it returns nil. If it has
// not within the given time, the test ends with the last error.
func Eventually(t testing.TB, within time.Duration, check func() error) {
	t.Helper()
	const every = 10 * time.Millisecond
	deadline := time.Now().Add(within)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", within, err)
		}
		<-tick.C
	}
}
