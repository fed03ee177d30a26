package fulfillment

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestP5UntilTheOrderKnows: however facts and answers mix, a change that the
// order does not know stays due, and one that it knows does not.
func TestP5UntilTheOrderKnows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, now := &Fulfillment{Order: "ord_1", Merchant: "acme"}, t0
		user, fulfilled, highest := "", false, int64(0)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "pause")))
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				who, done := rapid.SampledFrom([]string{"", "u1", "u2"}).Draw(t, "user"), rapid.Bool().Draw(t, "success")
				news := user == "" && who != "" || !fulfilled && done
				if f.Learn(who, done, now) != news {
					t.Fatalf("news of %q, %v: %v", who, done, !news)
				}
				if user == "" {
					user = who
				}
				fulfilled = fulfilled || done
			case 1:
				revision := rapid.Int64Range(0, 4).Draw(t, "revision")
				if f.Answer(revision) && revision > f.Revision {
					t.Fatal("an answer to what was never said")
				}
				if revision <= f.Revision {
					highest = max(highest, revision)
				}
			case 2:
				f.Resend(now)
			}
			if f.User != user || f.Fulfilled.IsZero() == fulfilled {
				t.Fatalf("%+v", f)
			}
			if due := NextDue(f); due.IsZero() != (highest >= f.Revision) {
				t.Fatalf("knows %d of %d, due %s", highest, f.Revision, due)
			}
		}
	})
}

func TestResendsEndAfterNinetyDays(t *testing.T) {
	f := &Fulfillment{}
	if f.Resend(t0) || !f.Learn("u", true, t0) {
		t.Fatal("nothing to say, or nothing said")
	}
	n, last := 0, t0
	for due := NextDue(f); !due.IsZero(); due = NextDue(f) {
		if f.Resend(due.Add(-1)) || !f.Resend(due) {
			t.Fatalf("not sent at %s", due)
		}
		n, last = n+1, due
	}
	if n < 80 || last.After(t0.Add(resendFor)) {
		t.Errorf("sent %d times, last %s", n, last)
	}
}
