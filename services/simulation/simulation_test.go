package simulation

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"quittance/services/sabotage"
)

// sample is how many histories `make test` lives, fewer with -short.
func sample() int {
	if testing.Short() {
		return 30
	}
	return 100
}

// TestHistoriesKeepThePromises (P1–P7) on a sample; `make simulate` lives as
// many as you have time for.
func TestHistoriesKeepThePromises(t *testing.T) {
	notRaced(t)
	output, err := children(t, 0, sample(), sabotage.Honest, false, func(r report) {
		if len(r.Violations) > 0 {
			t.Errorf("seed %d\n%s\n%s", r.Seed, strings.Join(r.Steps, "\n"), strings.Join(r.Violations, "\n"))
		}
	})
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// TestTheCheckerNoticesSabotage: each broken promise is found within a bounded
// number of histories, and named for what it is.
func TestTheCheckerNoticesSabotage(t *testing.T) {
	notRaced(t)
	const first, bound = 100, 300
	for s, sign := range map[sabotage.Kind]string{
		sabotage.AckBeforeRecord: `^P2: .* were acknowledged, .* on record`,
		sabotage.SkipAmount:      `^P1: .* got something`,
		sabotage.ClaimBlindly:    `^P3: `,
		sabotage.PublishOutside:  `^P6: .* has counted`,
		sabotage.ForgetResend:    `^P4: .* nothing says why`,
	} {
		t.Run(string(s), func(t *testing.T) {
			named := regexp.MustCompile(sign)
			noticed := false
			for lived := 0; lived < bound && !noticed; lived += fewer {
				output, err := children(t, uint64(first+lived), min(fewer, bound-lived), s, false, func(r report) {
					if !noticed && slices.ContainsFunc(r.Violations, named.MatchString) {
						noticed = true
						t.Logf("history %d, seed %d: %q", r.Seed-first+1, r.Seed, r.Violations)
					}
				})
				if err != nil {
					t.Fatalf("%v\n%s", err, output)
				}
			}
			if !noticed {
				t.Errorf("not noticed in %d histories", bound)
			}
		})
	}
}

// TestASeedIsAHistory: a seed gives the same steps and the same end whenever
// and after whatever it is lived.
func TestASeedIsAHistory(t *testing.T) {
	notRaced(t)
	const n = 24
	lived := func(seed uint64, n int) (digests []string) {
		output, err := children(t, seed, n, sabotage.Honest, false, func(r report) { digests = append(digests, r.Digest) })
		if err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		return digests
	}
	together := lived(100, n)
	if len(together) != n {
		t.Fatalf("%d histories", len(together))
	}
	var alone []string
	for i := range uint64(n) {
		alone = append(alone, lived(100+i, 1)...)
	}
	for i := range together {
		if together[i] != alone[i] {
			t.Errorf("seed %d is two histories", 100+i)
		}
	}
	if together[0] == together[1] {
		t.Error("two seeds are one history")
	}
}

// notRaced skips a test under the race detector, whose runtime (Go 1.26.8) ends
// with SIGSEGV in bubbles of this size. Every package that the histories run
// through has tests of its own under it.
func notRaced(t *testing.T) {
	t.Helper()
	if raced {
		t.Skip("the race detector's runtime crashes in large synctest bubbles")
	}
}
