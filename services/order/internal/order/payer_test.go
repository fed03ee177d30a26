package order

import (
	"testing"

	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// TestPayer: only the payment that counts says who paid.
func TestPayer(t *testing.T) {
	o, _ := fresh(t, 1, false)
	tell := func(attempt string, outcome Outcome, revision int64, name string) {
		f := fact(attempt, outcome, revision, o)
		f.Payer = &orderv1.Payer{Name: name, City: "Oslo"}
		o.Verified(f, t0)
		o.PaidFrom(f)
	}
	tell("a", verificationv1.Outcome_OUTCOME_FAILED, 1, "Eve")
	if o.View().GetPayer() != nil {
		t.Fatal("a failed payment says who paid")
	}
	tell("b", verificationv1.Outcome_OUTCOME_PAID, 1, "Ada")
	tell("c", verificationv1.Outcome_OUTCOME_PAID, 1, "Eve")
	if p := o.View().GetPayer(); p.GetName() != "Ada" || p.GetCity() != "Oslo" {
		t.Fatal(p)
	}
}
