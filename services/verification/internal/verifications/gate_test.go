package verifications

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/provider"
)

var errDown = errors.New("connection refused")

func testGates() *gates { return newGates(time.Now, slog.New(slog.DiscardHandler)) }

// TestABrokenAccountIsLeftAlone: after failures in a row its calls are put off,
// then one at a time probes, ever less often; other accounts notice nothing. The
// first answer ends it.
func TestABrokenAccountIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs, begun, calls := testGates(), time.Now(), 0
		down := true
		call := func(account string) time.Time {
			leave, later, err := gs.enter(t.Context(), account, 100)
			if err != nil {
				t.Fatal(err)
			}
			if !later.IsZero() {
				return later
			}
			calls++
			if down && account == "a" {
				leave(errDown)
			} else {
				leave(nil)
			}
			return time.Time{}
		}
		for time.Since(begun) < 10*time.Minute {
			if later := call("a"); !later.IsZero() {
				if !call("b").IsZero() {
					t.Fatal("another account is put off")
				}
				calls--
				time.Sleep(time.Until(later))
			}
		}
		// 5, then after pauses of 10, 20, 40, 80, 120, 120, 120, 120 s.
		if calls < 10 || calls > 14 {
			t.Fatalf("%d calls in ten minutes", calls)
		}
		down = false
		for !call("a").IsZero() {
			time.Sleep(time.Second)
		}
		for range 50 {
			if !call("a").IsZero() {
				t.Fatal("put off after it answered")
			}
		}
	})
}

// TestOneProbesWhileTheOthersWait, and an answer that declines is an answer.
func TestOneProbesWhileTheOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs := testGates()
		for range breakAfter {
			leave, _, err := gs.enter(t.Context(), "a", 100)
			if err != nil {
				t.Fatal(err)
			}
			leave(errDown)
		}
		time.Sleep(firstBreak)
		probe, later, err := gs.enter(t.Context(), "a", 100)
		if err != nil || !later.IsZero() {
			t.Fatal(later, err)
		}
		if _, later, _ := gs.enter(t.Context(), "a", 100); later.IsZero() {
			t.Fatal("two probe at once")
		}
		probe(provider.ErrDeclined)
		if _, later, err := gs.enter(t.Context(), "a", 100); !later.IsZero() || err != nil {
			t.Fatal(later, err)
		}
	})
}

// TestCallsPerSecondAreBounded: beyond the burst of a second's worth, callers
// wait, and not longer than they may.
func TestCallsPerSecondAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs, begun := testGates(), time.Now()
		for range 60 {
			leave, later, err := gs.enter(t.Context(), "a", 10)
			if err != nil || !later.IsZero() {
				t.Fatal(later, err)
			}
			leave(nil)
		}
		if took := time.Since(begun); took < 4900*time.Millisecond || took > 6*time.Second {
			t.Fatalf("60 calls at 10 a second took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, _, err := gs.enter(ctx, "a", 10); err == nil {
			t.Fatal("waited longer than its context")
		}
	})
}

// TestUnsignedCallbacksOfAnAccountAreBounded: a flood over many attempts causes
// two questions a second at most; each waits a minute at most.
func TestUnsignedCallbacksOfAnAccountAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs := testGates()
		soon, latest := 0, time.Duration(0)
		for range 5000 {
			pause := gs.hint("a")
			if pause < 10*time.Second {
				soon++
			}
			latest = max(latest, pause)
		}
		if soon > hintBurst+10*hintRate || latest != hintWait {
			t.Fatalf("%d questions in the next ten seconds, the last in %v", soon, latest)
		}
		if gs.hint("b") != 0 {
			t.Fatal("another account waits")
		}
	})
}
