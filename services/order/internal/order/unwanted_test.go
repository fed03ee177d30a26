package order

import (
	"slices"
	"testing"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// TestUnwantedMoneyGoesBackByItself, if that is the merchant's policy; the order
// is afterwards what it was before. Without the policy a second payment waits
// for a hand, and the rest for a decision.
func TestUnwantedMoneyGoesBackByItself(t *testing.T) {
	const byHand, requested = orderv1.OperationState_OPERATION_STATE_BY_HAND, orderv1.OperationState_OPERATION_STATE_REQUESTED
	for name, c := range map[string]struct {
		before        func(*Order)
		captured      int64
		during, after PaymentState
		cause         orderv1.OperationCause
		otherwise     orderv1.OperationState // without the policy; 0: no operation
	}{
		"a second payment": {func(o *Order) { o.Verified(fact("a", verificationv1.Outcome_OUTCOME_PAID, 1, o), t0) }, 1000,
			orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.OperationCause_OPERATION_CAUSE_DUPLICATE, byHand},
		"after cancellation": {func(o *Order) { _, _ = o.Cancel(t0) }, 1000,
			orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, orderv1.PaymentState_PAYMENT_STATE_CANCELED, orderv1.OperationCause_OPERATION_CAUSE_LATE, 0},
		"after expiry": {func(o *Order) { o.Work(t0.Add(ExpireAfter)) }, 1000,
			orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, orderv1.PaymentState_PAYMENT_STATE_EXPIRED, orderv1.OperationCause_OPERATION_CAUSE_LATE, 0},
		"more than ordered": {func(*Order) {}, 1001,
			orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, orderv1.PaymentState_PAYMENT_STATE_UNPAID, orderv1.OperationCause_OPERATION_CAUSE_OVERPAID, 0},
	} {
		for _, policy := range []bool{true, false} {
			o, _ := fresh(t, 1, false)
			c.before(o)
			f := fact("b", verificationv1.Outcome_OUTCOME_PAID, 1, o)
			f.Captured, f.RefundUnwanted = toProto(eur(c.captured)), policy
			got, _ := o.Verified(f, t0)
			want := c.otherwise
			if policy {
				want = requested
			}
			switch {
			case o.Payment != c.during:
				t.Fatalf("%s: %v", name, o.Payment)
			case want == 0 && len(o.Operations) > 0:
				t.Fatalf("%s: %+v", name, o.Operations)
			case want == 0:
				continue
			case len(o.Operations) != 1 || o.Operations[0].State != want || o.Operations[0].Cause != c.cause || o.Operations[0].Amount != eur(c.captured) ||
				!slices.Contains(types(got), event.RefundRequested):
				t.Fatalf("%s: %+v %v", name, o.Operations, types(got))
			}
			if _, err := o.Resolve(orderv1.HoldDecision_HOLD_DECISION_ACCEPT, t0); err == nil {
				t.Fatalf("%s: accepted on its way back", name)
			}
			back := fact("b", verificationv1.Outcome_OUTCOME_REFUNDED, 2, o)
			back.Captured, back.Refunded = f.GetCaptured(), f.GetCaptured()
			if o.Verified(back, t0); o.Payment != c.after || o.Hold != nil {
				t.Fatalf("%s: afterwards %v %+v", name, o.Payment, o.Hold)
			}
		}
	}
}

// TestOperationsAreAskedForUntilAnswered, all that are not in one event.
func TestOperationsAreAskedForUntilAnswered(t *testing.T) {
	o, _ := fresh(t, 1, true)
	o.Completed([]int32{1}, t0)
	for _, attempt := range []string{"a", "b"} {
		o.Verified(fact(attempt, verificationv1.Outcome_OUTCOME_PAID, 1, o), t0)
	}
	now := t0
	for range 10 {
		due := NextDue(o)
		if !due.After(now) {
			t.Fatalf("due %v at %v", due, now)
		}
		now = due
		if _, again := o.Work(now); !slices.Equal(again, []string{event.RefundRequested}) || len(o.Requested().GetOperations()) != 2 {
			t.Fatalf("%v %v", again, o.Requested())
		}
	}
	for i, attempt := range []string{"a", "b"} {
		f := fact(attempt, verificationv1.Outcome_OUTCOME_PAID, 2, o)
		f.Operations = views(o.Operations[i : i+1])
		if got, _ := o.Verified(f, now); !slices.Equal(types(got), []string{event.OrderActionRequired}) {
			t.Fatalf("%v", types(got))
		}
	}
	if due := NextDue(o); !due.IsZero() {
		t.Fatalf("answered, but due %v", due)
	}
}

// TestReservedMoneyIsCapturedByPolicy at the point the account names.
func TestReservedMoneyIsCapturedByPolicy(t *testing.T) {
	for point, want := range map[string][2]int{CaptureOnAuthorized: {1, 1}, CaptureOnDelivered: {0, 1}, "": {0, 0}} {
		o, _ := fresh(t, 1, false)
		f := fact("a", verificationv1.Outcome_OUTCOME_AUTHORIZED, 1, o)
		f.DeliverOnAuthorized, f.CaptureOn = true, point
		o.Verified(f, t0)
		if len(o.Operations) != want[0] {
			t.Fatalf("%q: reserved, %+v", point, o.Operations)
		}
		o.Completed([]int32{1}, t0)
		if len(o.Operations) != want[1] {
			t.Fatalf("%q: delivered, %+v", point, o.Operations)
		}
		o.Verified(&eventv1.PaymentVerified{
			AttemptId: "a", Outcome: verificationv1.Outcome_OUTCOME_PAID, Captured: toProto(o.Total), Authorized: toProto(o.Total), Revision: 2, CaptureOn: point,
		}, t0)
		if o.Payment != orderv1.PaymentState_PAYMENT_STATE_PAID || o.Delivery != orderv1.DeliveryState_DELIVERY_STATE_DELIVERED {
			t.Fatalf("%v %v", o.Payment, o.Delivery)
		}
	}
}

// TestTheMerchantIsToldOnce that something is to be done by hand, whether the
// order knew so from the start or the provider declined.
func TestTheMerchantIsToldOnce(t *testing.T) {
	for _, said := range []orderv1.OperationState{orderv1.OperationState_OPERATION_STATE_BY_HAND, orderv1.OperationState_OPERATION_STATE_DECLINED} {
		o, _ := fresh(t, 1, true)
		f := fact("a", verificationv1.Outcome_OUTCOME_PAID, 1, o)
		f.RefundUnwanted = said == orderv1.OperationState_OPERATION_STATE_DECLINED
		o.Verified(f, t0)
		for revision := int64(2); revision < 5; revision++ {
			f := fact("a", verificationv1.Outcome_OUTCOME_PAID, revision, o)
			f.Operations = views(o.Operations)
			f.Operations[0].State = said
			got, _ := o.Verified(f, t0)
			want := []string{}
			if revision == 2 {
				want = append(want, event.OrderActionRequired)
			}
			if !slices.Equal(types(got), want) {
				t.Fatalf("%v, revision %d: %v", said, revision, types(got))
			}
		}
	}
}
