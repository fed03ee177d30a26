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
// then a few at a time probe, ever less often; other accounts notice nothing. The
// first answer ends it.
func TestABrokenAccountIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs, begun, calls := testGates(), time.Now(), 0
		down := true
		ask := func(account string) time.Time {
			leave, later, err := gs.enter(t.Context(), account, 100, call{urgent: true})
			if err != nil {
				t.Fatal(err)
			}
			if later != nil {
				return later.until
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
			if later := ask("a"); !later.IsZero() {
				if !ask("b").IsZero() {
					t.Fatal("another account is put off")
				}
				calls--
				time.Sleep(time.Until(later))
			}
		}
		// 5, then as many after pauses of 10, 20, 30, 30 … s.
		if calls < 20*probes || calls > 22*probes {
			t.Fatalf("%d calls in ten minutes", calls)
		}
		down = false
		for !ask("a").IsZero() {
			time.Sleep(time.Second)
		}
		for range 50 {
			if !ask("a").IsZero() {
				t.Fatal("put off after it answered")
			}
		}
	})
}

// TestAFewProbeWhileTheOthersWait, and an answer that declines is an answer.
func TestAFewProbeWhileTheOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs := testGates()
		for range breakAfter {
			leave, _, err := gs.enter(t.Context(), "a", 100, call{urgent: true})
			if err != nil {
				t.Fatal(err)
			}
			leave(errDown)
		}
		time.Sleep(firstBreak)
		var leaves []func(error)
		for range probes {
			leave, later, err := gs.enter(t.Context(), "a", 100, call{urgent: true})
			if err != nil || later != nil {
				t.Fatal(later, err)
			}
			leaves = append(leaves, leave)
		}
		if _, later, _ := gs.enter(t.Context(), "a", 100, call{urgent: true}); later == nil {
			t.Fatal("too many probe at once")
		}
		leaves[0](errDown)
		if _, later, _ := gs.enter(t.Context(), "a", 100, call{urgent: true}); later == nil {
			t.Fatal("a probe that failed has made room for another")
		}
		leaves[1](provider.ErrDeclined)
		if _, later, err := gs.enter(t.Context(), "a", 100, call{urgent: true}); later != nil || err != nil {
			t.Fatal(later, err)
		}
	})
}

// TestAPaymentThatHasNoAnswerDoesNotStandForAll: if the provider fails for some
// payments only, the next that it answers for ends the break.
func TestAPaymentThatHasNoAnswerDoesNotStandForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs := testGates()
		ask := func(err error) bool {
			leave, later, _ := gs.enter(t.Context(), "a", 100, call{urgent: true})
			if later != nil {
				return false
			}
			leave(err)
			return true
		}
		for range 3 {
			for ask(errDown) {
			}
		}
		time.Sleep(longestBreak)
		for range probes - 1 {
			if !ask(errDown) {
				t.Fatal("put off while it probes")
			}
		}
		for range 50 {
			if !ask(nil) {
				t.Fatal("put off although it answers")
			}
		}
	})
}

// TestPaymentsThatFailByThemselvesDoNotKeepTheBreakerOpen: once the provider has
// answered for another payment, those that failed before it are asked about on
// their own schedule, as often as they fail; the breaker still trips on others.
func TestPaymentsThatFailByThemselvesDoNotKeepTheBreakerOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs := testGates()
		ask := func(failingSince time.Time, err error) bool {
			leave, later, _ := gs.enter(t.Context(), "a", 1000, call{failingSince, true})
			if later != nil {
				return false
			}
			leave(err)
			return true
		}
		since := time.Now()
		for range breakAfter - 1 {
			ask(since, errDown)
		}
		time.Sleep(time.Second)
		ask(time.Time{}, nil)
		for range 10 * breakAfter {
			if !ask(since, errDown) {
				t.Fatal("put off for what is the payments' own failure")
			}
		}
		time.Sleep(time.Second)
		for range breakAfter {
			ask(time.Now(), errDown)
		}
		if ask(since, errDown) || ask(time.Time{}, nil) {
			t.Fatal("asked while the provider is left alone")
		}
		time.Sleep(firstBreak)
		for range 10 * probes {
			if !ask(since, errDown) {
				t.Fatal("they take no probe's place")
			}
		}
		if !ask(since, nil) || !ask(time.Time{}, errDown) || !ask(time.Time{}, errDown) {
			t.Fatal("their answer ends the break")
		}
	})
}

// TestUrgentQuestionsComeFirst: questions by the schedule take what the urgent
// ones leave of the account's rate, and all of it if they leave that.
func TestUrgentQuestionsComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs := testGates()
		ask := func(urgent bool) bool {
			leave, later, err := gs.enter(t.Context(), "a", 10, call{urgent: urgent})
			if err != nil {
				t.Fatal(err)
			}
			if later != nil {
				if later.problem != "" || time.Until(later.until) != crowded {
					t.Fatalf("%+v", later)
				}
				return false
			}
			leave(nil)
			return true
		}
		routine := 0
		for range 1000 {
			if ask(false) {
				routine++
			}
		}
		if routine != 6 { // of a burst of ten
			t.Errorf("%d questions by the schedule at once", routine)
		}
		begun := time.Now()
		for range 100 {
			if ask(true); ask(false) {
				t.Fatal("a question by the schedule comes before one that somebody waits for")
			}
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("100 urgent questions took %v at 10 a second", took)
		}
		for time.Sleep(time.Second); ask(false); time.Sleep(100 * time.Millisecond) {
			if routine++; routine == 100 {
				return
			}
		}
		t.Error("the schedule doesn't get the rate that nobody else takes")
	})
}

// TestTheRateGoesByOneClock: where the logic's clock is behind the machine's, what
// nobody waits for is asked all the same once the rate is free.
func TestTheRateGoesByOneClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs := newGates(func() time.Time { return time.Now().Add(-time.Hour) }, slog.New(slog.DiscardHandler))
		for _, urgent := range []bool{true, true, true, true, true, true, true, true, true, true, false} {
			if !urgent {
				time.Sleep(time.Second)
			}
			leave, later, err := gs.enter(t.Context(), "a", 10, call{urgent: urgent})
			if err != nil || later != nil {
				t.Fatal(later, err)
			}
			leave(nil)
		}
	})
}

// TestCallsPerSecondAreBounded: beyond the burst of a second's worth, callers
// wait, and not longer than they may.
func TestCallsPerSecondAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs, begun := testGates(), time.Now()
		for range 60 {
			leave, later, err := gs.enter(t.Context(), "a", 10, call{urgent: true})
			if err != nil || later != nil {
				t.Fatal(later, err)
			}
			leave(nil)
		}
		if took := time.Since(begun); took < 4900*time.Millisecond || took > 6*time.Second {
			t.Fatalf("60 calls at 10 a second took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, _, err := gs.enter(ctx, "a", 10, call{urgent: true}); err == nil {
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
