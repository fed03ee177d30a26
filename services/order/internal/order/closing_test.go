package order

import (
	"slices"
	"testing"
	"time"

	"quittance/pkg/event"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// P5: delivery is told that an order is no longer paid until it says that it
// knows, also of a chargeback after a refund.
func TestP5DeliveryIsToldOfARefundUntilItAnswers(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	o, _ := fresh(t, 1, false)
	o.Verified(fact("pay_1", verificationv1.Outcome_OUTCOME_PAID, 1, o), now)
	for i, outcome := range []Outcome{verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_CHARGED_BACK} {
		o.Verified(fact("pay_1", outcome, int64(i+2), o), now)
		if _, again := o.Work(now); len(again) != 0 {
			t.Errorf("%s: sent again at once: %v", Word(o.Payment), again)
		}
		for range 3 {
			now = NextDue(o)
			if now.IsZero() {
				t.Fatalf("%s: nothing is due", Word(o.Payment))
			}
			if out, again := o.Work(now); len(out) != 0 || !slices.Equal(again, []string{event.OrderRefunded}) {
				t.Fatalf("%s: announced %v, sent again %v", Word(o.Payment), out, again)
			}
		}
		if o.Closed(orderv1.PaymentState_PAYMENT_STATE_PAID) || !o.Closed(o.Payment) || o.Closed(o.Payment) {
			t.Errorf("%s: the answer is news once", Word(o.Payment))
		}
		if due := NextDue(o); !due.IsZero() {
			t.Errorf("%s: answered, and due at %s", Word(o.Payment), due)
		}
	}
}

// Delivery that was never asked for is not told.
func TestNothingToCloseOfAnUnpaidOrder(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	o, _ := fresh(t, 1, false)
	if _, err := o.Cancel(now); err != nil {
		t.Fatal(err)
	}
	if due := NextDue(o); !due.IsZero() || o.Closed(o.Payment) {
		t.Errorf("due at %s", due)
	}
}
