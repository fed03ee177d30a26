package verification

import (
	"testing"
	"time"
)

func TestReferencesTakeTurns(t *testing.T) {
	v := start()
	if !v.Returned("a", t0) || v.ProviderReference != "a" || v.Returned("a", v.NextAsk.Add(time.Hour)) {
		t.Fatalf("%q %v", v.ProviderReference, v.OtherReferences)
	}
	v.Returned("b", t0)
	asked := map[string]int{}
	for i := range 4 {
		asked[v.ProviderReference]++
		if i%2 == 0 {
			v.NoAnswer("down", terms, t0)
		} else {
			v.Answer(Report{Outcome: pending}, terms, t0)
		}
	}
	if asked["a"] != 2 || asked["b"] != 2 {
		t.Fatalf("asked %v", asked)
	}
	for _, r := range []string{"c", "d", "e", "f", "g"} {
		v.Returned(r, t0)
	}
	if len(v.OtherReferences) != maxReferences-1 {
		t.Fatalf("%d references are kept", len(v.OtherReferences)+1)
	}
	v = start()
	v.Returned("a", t0)
	v.Returned("b", t0)
	if v.Answer(report(paid), terms, t0); v.ProviderReference != "b" {
		t.Fatalf("after it paid, %q is asked about", v.ProviderReference)
	}
}

func TestS4AParkedAttemptNeverExpires(t *testing.T) {
	v := start()
	v.Park("the reference is missing", t0)
	if due := NextDue(v); !due.IsZero() || v.Problem == "" || v.Facts.Outcome != pending || v.Failures != 0 {
		t.Fatalf("due %v, %+v", due, v)
	}
	late := t0.Add(10 * terms.Life)
	if !v.Returned("a", late) || v.NextAsk.After(late) {
		t.Fatalf("next %v", v.NextAsk)
	}
	v.Park("again", late)
	if !v.Announced("b", late) || v.NextAsk.IsZero() || v.Announced("b", late) {
		t.Fatalf("next %v", v.NextAsk)
	}
}

// TestAReferenceThatComesWhileItIsMissedIsNotLost: the browser that brings it and
// the question that lacks it may cross.
func TestAReferenceThatComesWhileItIsMissedIsNotLost(t *testing.T) {
	v := start()
	v.Returned("", t0) // due at once, asked without a reference
	asked := v.ProviderReference
	v.Returned("a", t0)
	v.Unaskable(asked, "the reference is missing", t0)
	if v.Parked || NextDue(v).IsZero() || NextDue(v).After(t0.Add(minGap)) {
		t.Fatalf("due %v, %+v", NextDue(v), v)
	}
	v = start()
	v.Returned("", t0)
	v.Unaskable(v.ProviderReference, "the reference is missing", t0)
	if !v.Parked || !v.NextAsk.IsZero() {
		t.Fatalf("%+v", v)
	}
}
