package simulation

import (
	"testing"
)

func TestHistories(t *testing.T) {
	n := 250
	bad := 0
	starts, rounds := 0, 0
	for seed := range n {
		r := Run(t, Options{Seed: uint64(seed)})
		if len(r.Violations) > 0 {
			if bad++; bad <= 3 {
				t.Error(r)
			} else {
				t.Error(seed, r.Violations)
			}
		}
	}
	t.Log(starts, rounds)
}
