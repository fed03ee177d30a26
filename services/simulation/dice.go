package simulation

import (
	"math/rand/v2"
	"time"
)

// dice decides by the seed alone: the same question gets the same answer, in
// whatever order questions come.
type dice uint64

// roll returns a number that follows from the seed and the question.
func (d dice) roll(question string, at time.Duration, nth int) *rand.Rand {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(question) {
		h = (h ^ uint64(question[i])) * 1099511628211
	}
	return rand.New(rand.NewPCG(uint64(d)^h, uint64(at)*31+uint64(nth)))
}

// chance is true with the given probability.
func chance(r *rand.Rand, p float64) bool { return r.Float64() < p }

// between is a duration in a range, to the nanosecond: what happens at one
// instant happens in no particular order, so nothing shall.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)+1))
}
