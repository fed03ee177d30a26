package order

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// nextFact draws what verification may say next of an attempt, whose amounts only
// grow, and of its operations.
func nextFact(t *rapid.T, o *Order, attempt string) *eventv1.PaymentVerified {
	a := o.Attempts[attempt]
	grown := func(name string, old int64, list ...int64) int64 {
		return max(old, rapid.SampledFrom(append(list, old)).Draw(t, name))
	}
	authorized := grown("authorized", a.Authorized.Minor, 900, 1000)
	captured := grown("captured", a.Captured.Minor, 500, 900, 1000, 1200)
	refunded := min(captured, grown("refunded", a.Refunded.Minor, 1, captured))
	outcome := verificationv1.Outcome_OUTCOME_ON_HOLD
	switch {
	case refunded > 0 && rapid.Bool().Draw(t, "shown as given back"):
		outcome = rapid.SampledFrom([]Outcome{verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_CHARGED_BACK}).Draw(t, "how")
	case captured == o.Total.Minor && refunded == 0:
		outcome = verificationv1.Outcome_OUTCOME_PAID
	case captured == 0 && rapid.Bool().Draw(t, "came to nothing"):
		outcome = rapid.SampledFrom([]Outcome{verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED}).Draw(t, "why")
	case captured == 0 && authorized == o.Total.Minor:
		outcome = verificationv1.Outcome_OUTCOME_AUTHORIZED
	}
	f := amounts(outcome, a.Revision+1, authorized, captured, refunded)
	f.AttemptId, f.DeliverOnAuthorized, f.RefundUnwanted = attempt, true, rapid.Bool().Draw(t, "refund_unwanted")
	if len(o.Operations) > 0 {
		state := rapid.IntRange(int(orderv1.OperationState_OPERATION_STATE_SENT), int(orderv1.OperationState_OPERATION_STATE_DONE_BY_HAND)).Draw(t, "operation")
		ops := said(o, orderv1.OperationState(state))
		f.Operations = slices.DeleteFunc(ops, func(op *orderv1.Operation) bool { return op.GetAttemptId() != attempt })
	}
	return f
}

// checkHold: nobody waits for the delivery of an order that is not paid, and every
// hold for a mismatch waits for an operation, or for a decision that moves it.
func checkHold(t *rapid.T, o *Order) {
	switch o.Payment {
	case isUnpaid, isHeld, isCanceled, orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		_, again := o.clone(t).Work(t0.Add(1000 * time.Hour))
		if o.awaitsDelivery() || slices.Contains(again, event.PaymentSucceeded) {
			t.Fatalf("%v, and awaits delivery", o.Payment)
		}
	}
	if (o.Hold != nil) != (o.Payment == isHeld) {
		t.Fatalf("%v with hold %+v", o.Payment, o.Hold)
	}
	if o.Hold == nil || o.Hold.Reason != orderv1.HoldReason_HOLD_REASON_MISMATCH || o.leaves(o.Hold.Attempt) {
		return
	}
	p := o.clone(t)
	out, err := p.Resolve(refund, t0)
	if err != nil || len(out) == 0 || p.Hold != nil && p.Hold.Attempt == o.Hold.Attempt && !p.leaves(o.Hold.Attempt) {
		t.Fatalf("hold %+v of %+v can't be refused: %v %q, %+v", o.Hold, o.Attempts, err, types(out), o.Operations)
	}
}

func (o *Order) clone(t *rapid.T) *Order {
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	p := &Order{}
	if err := json.Unmarshal(b, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestP1EveryHoldCanEnd whatever the provider says of amounts and operations, and
// whatever the merchant decides meanwhile.
func TestP1EveryHoldCanEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, _ := fresh(t, 1, false)
		if rapid.Bool().Draw(t, "delivered on the strength of a reservation") {
			f := amounts(verificationv1.Outcome_OUTCOME_AUTHORIZED, 1, 1000, 0, 0)
			f.DeliverOnAuthorized = true
			o.Verified(f, t0)
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			decided := o.Hold != nil && o.Hold.Refund
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				if _, err := o.Resolve(accept, t0); err == nil && decided {
					t.Fatal("accepted what was refused")
				}
			case 1:
				_, _ = o.Resolve(refund, t0)
			case 2:
				r := RefundRequest{Key: rapid.StringN(4, 4, 4).Draw(t, "key"), Attempt: "a"}
				if rapid.Bool().Draw(t, "a part") {
					r.Amount = eur(100)
				}
				_, _ = o.Refund(r, t0)
			case 3:
				_, _ = o.Capture(orderv1.OperationCause_OPERATION_CAUSE_MERCHANT, t0)
			case 4:
				if rapid.Bool().Draw(t, "cancel") {
					_, _ = o.Cancel(t0)
				} else {
					o.Work(t0.Add(ExpireAfter))
				}
			default:
				o.Verified(nextFact(t, o, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "attempt")), t0)
			}
			checkHold(t, o)
		}
	})
}
