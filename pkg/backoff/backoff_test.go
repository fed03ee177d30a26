package backoff_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quittance/pkg/backoff"
)

var schedule = backoff.Schedule{time.Second, 10 * time.Second, time.Minute}

func TestAfter(t *testing.T) {
	tests := []struct {
		schedule  backoff.Schedule
		attempt   int
		want      time.Duration
		exhausted bool
	}{
		{schedule, -1, 0, false},
		{schedule, 0, 0, false},
		{schedule, 1, time.Second, false},
		{schedule, 2, 10 * time.Second, false},
		{schedule, 3, time.Minute, false},
		{schedule, 4, time.Minute, true},
		{schedule, math.MaxInt, time.Minute, true},
		{nil, 0, 0, false},
		{nil, 1, 0, true},
	}
	for _, tt := range tests {
		if got := tt.schedule.After(tt.attempt); got != tt.want {
			t.Errorf("%v.After(%d) = %v, want %v", tt.schedule, tt.attempt, got, tt.want)
		}
		if got := tt.schedule.Exhausted(tt.attempt); got != tt.exhausted {
			t.Errorf("%v.Exhausted(%d) = %t, want %t", tt.schedule, tt.attempt, got, tt.exhausted)
		}
	}
}

func TestJitteredStaysWithinAFifth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pause := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "pause"))
		attempt := rapid.IntRange(1, 100).Draw(t, "attempt")
		seed := rapid.String().Draw(t, "seed")
		s := backoff.Schedule{pause}

		got := s.Jittered(attempt, seed)
		distance := got - pause
		if distance < 0 {
			distance = -distance
		}
		if got < 0 || distance > pause/5 {
			t.Fatalf("Jittered = %v, more than a fifth from %v", got, pause)
		}
		if again := s.Jittered(attempt, seed); again != got {
			t.Fatalf("Jittered = %v, then %v", got, again)
		}
	})
}

// TestJitteredSpreads: seeds scatter over the whole range, and one seed does not always fall on the same side.
func TestJitteredSpreads(t *testing.T) {
	s := backoff.Schedule{100 * time.Second}
	lowest, highest := s.After(1), s.After(1)
	for i := range 1000 {
		pause := s.Jittered(1, fmt.Sprint("seed", i))
		lowest, highest = min(lowest, pause), max(highest, pause)
	}
	if lowest > 82*time.Second || highest < 118*time.Second {
		t.Errorf("1000 seeds lie within [%v, %v], want nearly [80s, 120s]", lowest, highest)
	}
	if s.Jittered(1, "a") == s.Jittered(2, "a") {
		t.Error("the attempt does not change the jitter")
	}
}

// TestJitteredIsForEver pins one value: replays of recorded histories depend on it.
func TestJitteredIsForEver(t *testing.T) {
	if got, want := schedule.Jittered(3, "ord_1"), time.Duration(61167157133); got != want {
		t.Errorf("Jittered = %d, want %d", got, want)
	}
}
