package e2e

import (
	"testing"

	"quittance/pkg/event"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
)

// TestS12PaidTwice: two attempts are paid. One delivery; the second payment is
// announced and put on the refund-by-hand list, because FlexPay has no API to
// give money back. Its refund in the control centre closes the entry by itself.
func TestS12PaidTwice(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	first, second := w.startCards(o), w.startCards(o)
	w.payAtProvider(first, nil)
	w.awaitDelivered(o.GetId())
	w.payAtProvider(second, nil)
	op := w.byHand(o.GetId(), second.GetId())
	if op.GetKind() != orderv1.OperationKind_OPERATION_KIND_REFUND || op.GetCause() != orderv1.OperationCause_OPERATION_CAUSE_DUPLICATE || op.GetAmount().GetMinor() != 1999 {
		t.Fatalf("%v", op)
	}
	if _, err := w.sandbox.Refund(t.Context(), client.RefundOrder{Reference: second.GetReference()}); err != nil {
		t.Fatal(err)
	}
	got := w.await(o.GetId(), "with the second payment given back", func(o *orderv1.Order) bool {
		for _, op := range o.GetOperations() {
			if op.GetState() == orderv1.OperationState_OPERATION_STATE_CONFIRMED {
				return true
			}
		}
		return false
	})
	if got.GetPaymentState() != paid || got.GetPaidAttemptId() != first.GetId() || got.GetCaptured().GetMinor() != 2*1999 || got.GetRefunded().GetMinor() != 1999 {
		t.Fatalf("%v", got)
	}
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered, event.PaymentDuplicate, event.OrderActionRequired)
	if keys := w.keys(o.GetId()); len(keys[1]) != 1 || len(w.mails()) != 1 {
		t.Fatalf("%d keys, %d mails", len(keys[1]), len(w.mails()))
	}
}

// TestS18RefundAfterDelivery: the vendor gives the money back, in two parts,
// after everything was delivered. The order follows, and keeps what it delivered.
func TestS18RefundAfterDelivery(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	a := w.startCards(o)
	w.payAtProvider(a, nil)
	w.awaitDelivered(o.GetId())
	if _, err := w.sandbox.Refund(t.Context(), client.RefundOrder{Reference: a.GetReference(), Amount: "5.00"}); err != nil {
		t.Fatal(err)
	}
	w.awaitPayment(o.GetId(), orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED)
	if _, err := w.sandbox.Refund(t.Context(), client.RefundOrder{Reference: a.GetReference()}); err != nil {
		t.Fatal(err)
	}
	got := w.awaitPayment(o.GetId(), orderv1.PaymentState_PAYMENT_STATE_REFUNDED)
	if got.GetDeliveryState() != delivered || got.GetRefunded().GetMinor() != 1999 {
		t.Fatalf("%v", got)
	}
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered, event.OrderRefunded, event.OrderRefunded)
}
