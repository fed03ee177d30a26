package verification

import (
	"testing"
	"time"

	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
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

// TestH6AnotherPaymentsEndIsNotOurs: a browser brings the reference of an old
// payment that failed, was given back or is under review. What became of that one
// says nothing of this attempt, and the right reference is asked about as ever.
func TestH6AnotherPaymentsEndIsNotOurs(t *testing.T) {
	const authorized, canceled, expired = verificationv1.Outcome_OUTCOME_AUTHORIZED, verificationv1.Outcome_OUTCOME_CANCELED, verificationv1.Outcome_OUTCOME_EXPIRED
	for _, outcome := range []Outcome{failed, canceled, expired, refunded, chargeback, onHold} {
		for name, whose := range map[string]Report{
			"reference": {Reference: "pay_old"}, "used": {Reference: "pay_1", UsedBy: "pay_old"}, "account": {Reference: "pay_1", Account: "I-2"},
		} {
			t.Run(outcome.String()+" by "+name, func(t *testing.T) {
				other := whose
				other.Outcome, other.TransactionID, other.Amount, other.Payer = outcome, "PT-X", price, Payer{Name: "Somebody Else"}
				right := func(o Outcome) Report {
					return Report{Outcome: o, Reference: "pay_1", TransactionID: "PT-R", Amount: price}
				}

				v := start()
				v.Returned("PT-X", t0)
				if v.Answer(other, terms, t0) || v.Facts.Outcome != pending || v.Facts.TransactionID != "" || v.NextAsk.IsZero() || v.Problem == "" || v.Payer != (Payer{}) {
					t.Fatalf("%+v next %v, problem %q", v.Facts, v.NextAsk, v.Problem)
				}
				if !v.Returned("PT-R", t0) || v.ProviderReference != "PT-R" || !v.AskDue(t0.Add(minGap)) {
					t.Fatalf("asked about %q at %v", v.ProviderReference, v.NextAsk)
				}
				if v.Answer(right(paid), terms, t0.Add(minGap)); v.Facts.Outcome != paid {
					t.Fatalf("%+v", v.Facts)
				}

				// PT-X is brought while PT-R, asked about, turns out to be authorized.
				v = start()
				v.Returned("PT-R", t0)
				v.Returned("PT-X", t0)
				v.Answer(right(authorized), terms, t0)
				v.Request([]*orderv1.Operation{wish("op1", cancel, 0)}, t0)
				v.Sending("op1", t0)
				v.Answer(other, terms, t0.Add(time.Minute))
				if v.Facts.Outcome != authorized || v.ProviderReference != "PT-R" || v.Operation("op1").State == confirmed {
					t.Fatalf("%+v, asked about %q, %+v", v.Facts, v.ProviderReference, v.Operation("op1"))
				}

				// What pays us is ours, and so is its going back.
				v = start()
				v.Answer(right(paid), terms, t0)
				if v.Answer(other, terms, t0); v.Facts.Outcome != paid {
					t.Fatalf("%+v", v.Facts)
				}
				if v.Answer(right(refunded), terms, t0); v.Facts.Outcome != refunded {
					t.Fatalf("%+v", v.Facts)
				}
			})
		}
	}
	t.Run("money that is another payment's holds until it goes back", func(t *testing.T) {
		v, other := start(), Report{Outcome: paid, Reference: "pay_old", TransactionID: "PT-X", Amount: price}
		v.Answer(other, terms, t0)
		other.Outcome = refunded
		if v.Answer(other, terms, t0.Add(time.Minute)); v.Facts.Outcome != refunded {
			t.Fatalf("%+v", v.Facts)
		}
	})
	t.Run("an echo names our reference for it", func(t *testing.T) {
		v := start()
		v.Answer(Report{Outcome: authorized, Reference: "pay_1", TransactionID: "PT-R", Amount: price}, terms, t0)
		if v.Answer(Report{Outcome: failed, Reference: "pay_1", TransactionID: "PT-X"}, terms, t0); v.Facts.Outcome != authorized {
			t.Fatalf("%+v", v.Facts)
		}
		if v.Answer(Report{Outcome: failed, Reference: "pay_1", TransactionID: "PT-R"}, terms, t0); v.Facts.Outcome != failed {
			t.Fatalf("%+v", v.Facts)
		}
	})
}

// TestH6AFailedReferenceIsNoEndForOthers: the one that failed may be a wrong one.
func TestH6AFailedReferenceIsNoEndForOthers(t *testing.T) {
	v := start()
	v.Returned("PT-R", t0)
	v.Returned("PT-X", t0)
	if v.Answer(Report{Outcome: failed, Reference: "pay_1", TransactionID: "PT-X"}, terms, t0); v.ProviderReference != "PT-R" || v.NextAsk.IsZero() {
		t.Fatalf("%+v, asked about %q at %v", v.Facts, v.ProviderReference, v.NextAsk)
	}
	if v.Answer(Report{Outcome: paid, Reference: "pay_1", TransactionID: "PT-R", Amount: price}, terms, v.NextAsk); v.Facts.Outcome != paid || v.ProviderReference != "PT-R" {
		t.Fatalf("%+v, asked about %q", v.Facts, v.ProviderReference)
	}
}
