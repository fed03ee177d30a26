package order_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// verified reports facts about an attempt in verification's place.
func (w *world) verified(o *orderv1.Order, attempt string, revision int64, change func(*eventv1.PaymentVerified)) {
	w.t.Helper()
	f := &eventv1.PaymentVerified{
		AttemptId: attempt, OrderId: o.GetId(), MerchantId: o.GetMerchantId(), AccountId: "cards", Provider: "flexpay",
		Outcome: verificationv1.Outcome_OUTCOME_PAID, Captured: o.GetTotal(), Revision: revision,
	}
	if change != nil {
		change(f)
	}
	e, err := event.New(event.PaymentVerified, "verification", attempt, o.GetId(), o.GetMerchantId(), time.Now(), f)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.bus.Publish(w.t.Context(), []event.Event{e}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) await(orders orderv1.OrderServiceClient, id string, what string, done func(*orderv1.Order) bool) *orderv1.Order {
	w.t.Helper()
	var o *orderv1.Order
	testkit.Eventually(w.t, 20*time.Second, func() (err error) {
		if o, err = orders.GetOrder(w.t.Context(), &orderv1.GetOrderRequest{OrderId: id}); err == nil && !done(o) {
			err = fmt.Errorf("not %s: %v", what, o)
		}
		return err
	})
	return o
}

func state(want orderv1.PaymentState) func(*orderv1.Order) bool {
	return func(o *orderv1.Order) bool { return o.GetPaymentState() == want }
}

// TestP10RefundsNameTheField and ask for nothing if they can't be. Good ones are
// asked for once per key, and never for more than is left.
func TestP10RefundsNameTheField(t *testing.T) {
	w := newWorld(t)
	orders, _ := w.merchant("acme")
	stranger, _ := w.merchant("other")
	o, err := orders.CreateOrder(t.Context(), good("k1"))
	if err != nil {
		t.Fatal(err)
	}
	refund := func(key string, minor int64) *orderv1.RefundOrderRequest {
		return &orderv1.RefundOrderRequest{OrderId: o.GetId(), IdempotencyKey: key, Amount: &orderv1.Money{Minor: minor, Currency: "EUR"}}
	}
	if _, err := orders.RefundOrder(t.Context(), refund("k", 1)); fault.KindOf(err) != fault.KindConflict {
		t.Fatalf("refund of an unpaid order: %v", err)
	}
	w.verified(o, "pay_1", 1, nil)
	w.await(orders, o.GetId(), "paid", state(orderv1.PaymentState_PAYMENT_STATE_PAID))

	for field, change := range map[string]func(*orderv1.RefundOrderRequest){
		"idempotency_key": func(r *orderv1.RefundOrderRequest) { r.IdempotencyKey = "" },
		"amount.currency": func(r *orderv1.RefundOrderRequest) { r.Amount.Currency = "USD" },
		"amount.minor":    func(r *orderv1.RefundOrderRequest) { r.Amount.Minor = 1999 },
		"attempt_id":      func(r *orderv1.RefundOrderRequest) { r.AttemptId = "pay_2" },
		"reason":          func(r *orderv1.RefundOrderRequest) { r.Reason = "two\nlines" },
	} {
		req := refund("k-"+field, 1)
		change(req)
		if _, err := orders.RefundOrder(t.Context(), req); fault.KindOf(err) != fault.KindInvalid || !slices.Contains(fields(err), field) {
			t.Errorf("%s: %v (fields %v)", field, err, fields(err))
		}
	}
	for _, minor := range []int64{0, -1} {
		if _, err := orders.RefundOrder(t.Context(), refund("k", minor)); !slices.Contains(fields(err), "amount.minor") {
			t.Errorf("%d: %v", minor, err)
		}
	}
	if _, err := stranger.RefundOrder(t.Context(), refund("k", 1)); fault.KindOf(err) != fault.KindNotFound {
		t.Errorf("P8: another merchant: %v", err)
	}
	if n := w.bus.count(event.RefundRequested, o.GetId()); n != 0 {
		t.Fatalf("asked for %d refunds", n)
	}

	for range 3 {
		got, err := orders.RefundOrder(t.Context(), refund("k1", 1000))
		if err != nil || len(got.GetOperations()) != 1 || got.GetPaymentState() != orderv1.PaymentState_PAYMENT_STATE_PAID {
			t.Fatalf("%v %v", got, err)
		}
	}
	if _, err := orders.RefundOrder(t.Context(), refund("k1", 999)); fault.KindOf(err) != fault.KindConflict {
		t.Fatalf("the same key, another amount: %v", err)
	}
	if _, err := orders.RefundOrder(t.Context(), refund("k2", 999)); !slices.Contains(fields(err), "amount.minor") {
		t.Fatalf("999 of the 998 that are left: %v", err)
	}
	rest, err := orders.RefundOrder(t.Context(), &orderv1.RefundOrderRequest{OrderId: o.GetId(), IdempotencyKey: "k3"})
	if err != nil || rest.GetOperations()[1].GetAmount().GetMinor() != 998 {
		t.Fatalf("%v %v", rest, err)
	}
	if _, err := orders.RefundOrder(t.Context(), &orderv1.RefundOrderRequest{OrderId: o.GetId(), IdempotencyKey: "k4"}); fault.KindOf(err) != fault.KindConflict {
		t.Fatalf("nothing is left: %v", err)
	}
	// The answer says how it went; the money's state follows the facts only.
	w.verified(o, "pay_1", 2, func(f *eventv1.PaymentVerified) {
		done := rest.GetOperations()[0]
		done.State = orderv1.OperationState_OPERATION_STATE_CONFIRMED
		f.Outcome, f.Refunded, f.Operations = verificationv1.Outcome_OUTCOME_REFUNDED, done.GetAmount(), rest.GetOperations()
	})
	got := w.await(orders, o.GetId(), "partially refunded", state(orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED))
	if got.GetRefunded().GetMinor() != 1000 || got.GetOperations()[0].GetState() != orderv1.OperationState_OPERATION_STATE_CONFIRMED {
		t.Fatalf("%v", got)
	}
}

// TestPrepaidOrdersAreRefundedWhereTheyWerePaid.
func TestPrepaidOrdersAreRefundedWhereTheyWerePaid(t *testing.T) {
	w := newWorld(t)
	orders, _ := w.merchant("acme")
	req := good("k1")
	req.Prepaid = true
	o, err := orders.CreateOrder(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := orders.RefundOrder(t.Context(), &orderv1.RefundOrderRequest{OrderId: o.GetId(), IdempotencyKey: "k"}); fault.KindOf(err) != fault.KindConflict {
		t.Fatal(err)
	}
}

// TestReservedMoney: it is captured or freed when the merchant says so, once; not
// freed while it is being captured.
func TestReservedMoney(t *testing.T) {
	w := newWorld(t)
	orders, _ := w.merchant("acme")
	reserved := func(key string) *orderv1.Order {
		o, err := orders.CreateOrder(t.Context(), good(key))
		if err != nil {
			t.Fatal(err)
		}
		w.verified(o, "pay_"+key, 1, func(f *eventv1.PaymentVerified) {
			f.Outcome, f.Authorized, f.Captured = verificationv1.Outcome_OUTCOME_AUTHORIZED, f.GetCaptured(), nil
		})
		return w.await(orders, o.GetId(), "authorized", state(orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED))
	}
	type call func(context.Context, string) (*orderv1.Order, error)
	capture := call(func(ctx context.Context, id string) (*orderv1.Order, error) {
		return orders.CapturePayment(ctx, &orderv1.CapturePaymentRequest{OrderId: id})
	})
	cancel := call(func(ctx context.Context, id string) (*orderv1.Order, error) {
		return orders.CancelOrder(ctx, &orderv1.CancelOrderRequest{OrderId: id})
	})
	for name, c := range map[string]struct {
		first, then call
		kind        orderv1.OperationKind
	}{
		"captured": {capture, cancel, orderv1.OperationKind_OPERATION_KIND_CAPTURE}, "freed": {cancel, capture, orderv1.OperationKind_OPERATION_KIND_CANCEL},
	} {
		o := reserved(name)
		for range 3 {
			got, err := c.first(t.Context(), o.GetId())
			if err != nil || len(got.GetOperations()) != 1 || got.GetOperations()[0].GetKind() != c.kind || got.GetOperations()[0].GetAmount().GetMinor() != o.GetTotal().GetMinor() {
				t.Fatalf("%s: %v %v", name, got, err)
			}
		}
		if _, err := c.then(t.Context(), o.GetId()); fault.KindOf(err) != fault.KindConflict {
			t.Fatalf("%s, then the other: %v", name, err)
		}
		testkit.Eventually(t, 20*time.Second, func() error { // the outbox publishes after the answer
			if n := w.bus.count(event.RefundRequested, o.GetId()); n != 1 {
				return fmt.Errorf("%s: asked for %d times", name, n)
			}
			return nil
		})
	}
}
