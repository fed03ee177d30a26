package edge_test

import (
	"fmt"
	"testing"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/payment-redirect/internal/fulfillment"
)

// TestErasedCustomers: attempts, what they left for later purchases, and what the
// fulfilment URL learned name nobody any more; repeats bring nothing back, and
// nobody pays.
func TestErasedCustomers(t *testing.T) {
	w := newWorld(t)
	w.buys("canary-2") // another order of somebody else
	o, _ := w.orders.add(func(o *orderv1.Order) {
		o.UserId, o.Customer = "canary-1", &orderv1.Customer{Email: "canary@example.com"}
	})
	a := w.start(o.GetId(), cards)
	w.brought(a, verificationv1.Outcome_OUTCOME_PAID, 1, cardToken)
	eventually(t, "the token is kept", func() bool { return w.saved(merchant, "canary-1") == cards })
	if err := w.checkout.Fulfillments.Learn(t.Context(), merchant, o.GetId(), "canary-1", true); err != nil {
		t.Fatal(err)
	}
	collections := []string{"attempts", "saved_payments", "fulfillments", "checkout_sessions", "parked"}
	holding := func() []string { return testkit.Holding(t, w.engine, collections, "canary@", "canary-1") }
	if found := holding(); len(found) != 3 {
		t.Fatalf("before: %v", found)
	}
	erase := func() {
		t.Helper()
		e, err := event.New(event.CustomerErased, "order", o.GetId(), o.GetId(), merchant, time.Now(), &eventv1.OrderEvent{Order: &orderv1.Order{Id: o.GetId(), MerchantId: merchant}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.bus.Publish(t.Context(), []event.Event{e}); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, 5*time.Second, func() error {
			if found := holding(); len(found) > 0 {
				return fmt.Errorf("found in %v", found)
			}
			return nil
		})
	}
	erase()
	w.brought(a, verificationv1.Outcome_OUTCOME_PAID, 2, cardToken) // again, with the token
	other, _ := w.orders.add(of(""))
	w.brought(w.start(other.GetId(), cards), verificationv1.Outcome_OUTCOME_PAID, 1, "")
	erase()
	if got := w.saved(merchant, "canary-1"); got != "" {
		t.Errorf("saved %q", got)
	}
	if got := w.saved(merchant, "canary-2"); got != cards {
		t.Errorf("somebody else has saved %q", got)
	}
	got, err := w.payments.GetAttempt(w.as(merchant), &paymentv1.GetAttemptRequest{AttemptId: a.GetId()})
	if err != nil || got.GetState() != paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED || got.GetAmount().GetMinor() != a.GetAmount().GetMinor() {
		t.Errorf("left %v, %v", got, err)
	}
	// The order was read as unpaid before it was erased.
	_, err = w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{IdempotencyKey: id.Token(), OrderId: o.GetId(), AccountId: cards})
	if fault.KindOf(err) != fault.KindConflict {
		t.Errorf("started: %v", err)
	}
	f := &fulfillment.Fulfillment{Order: o.GetId(), User: "x"}
	if !f.Erase() || f.Erase() || f.User != "" {
		t.Errorf("%+v", f)
	}
}
