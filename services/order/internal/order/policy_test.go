package order

import (
	"slices"
	"testing"

	"quittance/pkg/event"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// TestCancelOnFailure: the shop's policy counts when nothing else may still
// bring the money; money that comes all the same is on hold, not lost.
func TestCancelOnFailure(t *testing.T) {
	const (
		failed, canceled = verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED
		expired, pending = verificationv1.Outcome_OUTCOME_EXPIRED, verificationv1.Outcome_OUTCOME_PENDING
		paid, held       = verificationv1.Outcome_OUTCOME_PAID, verificationv1.Outcome_OUTCOME_ON_HOLD

		isUnpaid, isCanceled = orderv1.PaymentState_PAYMENT_STATE_UNPAID, orderv1.PaymentState_PAYMENT_STATE_CANCELED
		isHeld, isPaid       = orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, orderv1.PaymentState_PAYMENT_STATE_PAID
	)
	type step struct {
		attempt string
		outcome Outcome
		want    PaymentState
		events  []string
	}
	over := []string{event.PaymentFailed, event.OrderCanceled}
	for name, c := range map[string]struct {
		policy bool
		steps  []step
	}{
		"off":      {false, []step{{"a", failed, isUnpaid, []string{event.PaymentFailed}}, {"b", paid, isPaid, []string{event.PaymentSucceeded}}}},
		"failed":   {true, []step{{"a", failed, isCanceled, over}, {"a", failed, isCanceled, nil}}},
		"canceled": {true, []step{{"a", canceled, isCanceled, over}}},
		"not paid in time": {true, []step{
			{"a", expired, isUnpaid, []string{event.PaymentFailed}}, {"b", paid, isPaid, []string{event.PaymentSucceeded}},
		}},
		"another under way": {true, []step{
			{"a", pending, isUnpaid, nil}, {"b", failed, isUnpaid, []string{event.PaymentFailed}}, {"a", failed, isCanceled, over},
		}},
		"reviewed, then rejected": {true, []step{
			{"a", held, isHeld, []string{event.OrderOnHold}}, {"a", failed, isCanceled, over},
		}},
		"the same attempt succeeds after all": {true, []step{
			{"a", failed, isCanceled, over}, {"a", paid, isHeld, []string{event.OrderOnHold}},
		}},
	} {
		o, _ := fresh(t, 1, false)
		o.CancelOnFailure = c.policy
		for i, s := range c.steps {
			list, _ := o.Verified(fact(s.attempt, s.outcome, int64(i+1), o), t0)
			if got := types(list); o.Payment != s.want || !slices.Equal(got, s.events) && len(got)+len(s.events) > 0 {
				t.Errorf("%s, step %d: %s with %v, want %s with %v", name, i+1, o.Payment, got, s.want, s.events)
			}
		}
	}
}
