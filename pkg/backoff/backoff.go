// Package backoff owns the pauses between attempts.
//
// It takes a written-out table of pauses, the number of attempts that have failed and a seed, and gives how long to
// wait before the next one. It is pure: no clock, no random source, so state machines can call it.
package backoff

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"
)

// jitterShare is the part of a pause by which Jittered moves it at most, as a divisor: a fifth, ±20 %.
const jitterShare = 5

// Schedule lists the pauses after the first, the second, … failed attempt. Beyond its end the last pause repeats. An
// empty schedule has no pauses at all: everything is retried at once.
type Schedule []time.Duration

// After returns the pause after the attempt-th attempt has failed: attempt 1 is the first failure and gives the first
// entry, an attempt beyond the end gives the last. When nothing has failed yet (attempt below 1) there is no pause.
func (s Schedule) After(attempt int) time.Duration {
	if attempt < 1 || len(s) == 0 {
		return 0
	}
	return s[min(attempt, len(s))-1]
}

// Jittered returns After(attempt) moved by up to 20 % either way, so that what failed together is not retried together.
// The same seed (an id, say) and attempt give the same pause on every machine and in every release.
func (s Schedule) Jittered(attempt int, seed string) time.Duration {
	pause := s.After(attempt)
	spread := pause / jitterShare
	if spread <= 0 {
		return pause
	}
	// The attempt has a fixed width in front, so no two (attempt, seed) pairs share an input.
	input := append(binary.BigEndian.AppendUint64(nil, uint64(attempt)), seed...)
	sum := sha256.Sum256(input)
	shift := time.Duration(binary.BigEndian.Uint64(sum[:]) % uint64(2*spread+1))
	if shift > spread && pause > math.MaxInt64-(shift-spread) {
		return math.MaxInt64
	}
	return pause - spread + shift
}

// Exhausted reports whether the attempt-th failure lies beyond the end of the schedule. A schedule of n pauses thus
// allows n+1 attempts to those who give up, which not everyone does.
func (s Schedule) Exhausted(attempt int) bool { return attempt > len(s) }
