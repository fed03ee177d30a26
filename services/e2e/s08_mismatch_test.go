package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/sandbox/client"
)

const (
	onHold = orderv1.PaymentState_PAYMENT_STATE_ON_HOLD
	accept = orderv1.HoldDecision_HOLD_DECISION_ACCEPT
	refund = orderv1.HoldDecision_HOLD_DECISION_REFUND
)

func (w *world) awaitPayment(orderID string, want orderv1.PaymentState) *orderv1.Order {
	w.t.Helper()
	return w.await(orderID, want.String(), func(o *orderv1.Order) bool { return o.GetPaymentState() == want })
}

func (w *world) resolve(orderID string, d orderv1.HoldDecision) (*orderv1.Order, error) {
	return w.orders.ResolveHold(w.t.Context(), &orderv1.ResolveHoldRequest{OrderId: orderID, Decision: d})
}

// TestS8WrongAmountIsAccepted: the provider names less than was asked for. The
// order is on hold, says what differs, delivers nothing and lets the customer
// see it, until the merchant takes the money as it is. Once.
func TestS8WrongAmountIsAccepted(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	w.payAtProvider(w.startCards(o), map[string]string{"fault.status": string(client.StatusAmount)})
	held := w.awaitPayment(o.GetId(), onHold)
	if h := held.GetHold(); h.GetReason() != orderv1.HoldReason_HOLD_REASON_MISMATCH || !strings.Contains(h.GetDetail(), "19.98") || !strings.Contains(h.GetDetail(), "19.99") {
		t.Fatalf("%v", held.GetHold())
	}
	w.untouched(o.GetId())
	for range 2 {
		if o, err := w.resolve(o.GetId(), accept); err != nil || o.GetPaymentState() != paid {
			t.Fatalf("%v %v", o.GetPaymentState(), err)
		}
	}
	if _, err := w.resolve(o.GetId(), refund); fault.KindOf(err) != fault.KindConflict {
		t.Fatalf("another decision afterwards: %v", err)
	}
	w.awaitDelivered(o.GetId())
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.OrderOnHold, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)
	if n := len(w.keys(o.GetId())[1]); n != 1 {
		t.Fatalf("%d keys", n)
	}
}

// TestS8WrongCurrencyIsRefunded: the merchant refuses. The provider has no API
// to give money back, so it is done by hand and marked; the order is then open
// for another payment, which pays it.
func TestS8WrongCurrencyIsRefunded(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	a := w.startCards(o)
	w.payAtProvider(a, map[string]string{"fault.status": string(client.StatusCurrency)})
	held := w.awaitPayment(o.GetId(), onHold)
	if !strings.Contains(held.GetHold().GetDetail(), "USD") {
		t.Fatalf("%v", held.GetHold())
	}
	for range 2 {
		if o, err := w.resolve(o.GetId(), refund); err != nil || o.GetHold().GetDecision() != refund {
			t.Fatalf("%v %v", o, err)
		}
	}
	op := w.byHand(o.GetId(), a.GetId())
	if op.GetAmount().GetCurrency() != "USD" || op.GetAmount().GetMinor() != 1999 {
		t.Fatalf("%v", op)
	}
	w.untouched(o.GetId())
	w.done(op)
	w.awaitPayment(o.GetId(), unpaid)
	w.pay(o, client.Pay{})
	w.awaitDelivered(o.GetId())
}

// byHand waits for the attempt's operation on the list of what is to be done by
// hand, on which an order shows it too.
func (w *world) byHand(orderID, attemptID string) *orderv1.Operation {
	w.t.Helper()
	byHand := func(op *orderv1.Operation) bool {
		return op.GetAttemptId() == attemptID && op.GetState() == orderv1.OperationState_OPERATION_STATE_BY_HAND
	}
	w.await(orderID, "with something to do by hand", func(o *orderv1.Order) bool {
		for _, op := range o.GetOperations() {
			if byHand(op) {
				return true
			}
		}
		return false
	})
	var found *orderv1.Operation
	testkit.Eventually(w.t, patience, func() error {
		list, err := w.verifications.ListAttention(w.t.Context(), &verificationv1.ListAttentionRequest{})
		for _, v := range list.GetVerifications() {
			for _, op := range v.GetOperations() {
				if v.GetAttention() == verificationv1.Attention_ATTENTION_BY_HAND && byHand(op) {
					found = op
					return nil
				}
			}
		}
		return errors.Join(err, fmt.Errorf("not on the list: %v", list))
	})
	return found
}

// done marks an operation as done by hand, twice, after which it is off the list.
func (w *world) done(op *orderv1.Operation) {
	w.t.Helper()
	for range 2 {
		retried(w, w.verifications.MarkOperationDone, &verificationv1.MarkOperationDoneRequest{
			AttemptId: op.GetAttemptId(), OperationId: op.GetId(), Note: "in the control centre",
		})
	}
	testkit.Eventually(w.t, patience, func() error {
		list, err := w.verifications.ListAttention(w.t.Context(), &verificationv1.ListAttentionRequest{})
		for _, v := range list.GetVerifications() {
			if v.GetAttemptId() == op.GetAttemptId() {
				w.t.Fatalf("still on the list: %v", v)
			}
		}
		return err
	})
}
