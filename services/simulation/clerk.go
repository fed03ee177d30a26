package simulation

import (
	"fmt"
	"time"

	"quittance/pkg/fault"
	"quittance/pkg/money"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// Resolution is what the merchant decides about a mismatch.
type Resolution string

// Resolutions.
const (
	LeaveHold  Resolution = "leave it"
	AcceptHold Resolution = "accept it"
	RefundHold Resolution = "give it back"
)

// clerk is the merchant at the desk: holds are decided, orders refunded, and what
// is to be done by hand is done.
func (s *shop) clerk(at time.Duration) {
	s.w.rest(at)
	s.mu.Lock()
	orders := s.orders
	s.mu.Unlock()
	for _, b := range orders {
		s.attend(b)
	}
	client := verificationv1.NewVerificationServiceClient(s.w.merchant(verificationName))
	var list *verificationv1.ListAttentionResponse
	if !s.w.insist(10, func() (ok bool) {
		var err error
		list, err = client.ListAttention(s.w.ctx, &verificationv1.ListAttentionRequest{})
		return err == nil
	}) {
		return
	}
	for _, v := range list.GetVerifications() {
		for _, op := range v.GetOperations() {
			if op.GetState() == orderv1.OperationState_OPERATION_STATE_BY_HAND {
				s.byHand(client, v, op)
			}
		}
	}
}

// attend looks at one order.
func (s *shop) attend(b *bought) {
	w := s.w
	orders := orderv1.NewOrderServiceClient(w.merchant(orderName))
	o, err := orders.GetOrder(w.ctx, &orderv1.GetOrderRequest{OrderId: b.id})
	if err != nil {
		return
	}
	decision := orderv1.HoldDecision_HOLD_DECISION_REFUND
	if b.plan.Hold == AcceptHold {
		decision = orderv1.HoldDecision_HOLD_DECISION_ACCEPT
	}
	switch o.GetPaymentState() {
	case onHold:
		if b.plan.Hold == LeaveHold || o.GetHold().GetReason() != orderv1.HoldReason_HOLD_REASON_MISMATCH {
			return
		}
		b.accepted = b.accepted || b.plan.Hold == AcceptHold // even if no answer comes
		_, err = orders.ResolveHold(w.ctx, &orderv1.ResolveHoldRequest{OrderId: b.id, Decision: decision})
		w.note("the merchant decides on the hold of order %d: %s: %v", b.n, b.plan.Hold, err == nil)
		w.count("the merchant decides on a hold: " + string(b.plan.Hold))
	case paid, partly:
		if b.plan.Refund == 0 {
			return
		}
		amount := &orderv1.Money{Minor: o.GetTotal().GetMinor() / b.plan.Refund, Currency: o.GetTotal().GetCurrency()}
		_, err = orders.RefundOrder(w.ctx, &orderv1.RefundOrderRequest{
			OrderId: b.id, IdempotencyKey: fmt.Sprint("refund-", b.n), Amount: amount, Reason: "asked for",
		})
		w.note("the merchant refunds %d of order %d: %v", amount.GetMinor(), b.n, err == nil)
		w.count("the merchant refunds an order")
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		if b.plan.Refund > 0 { // as good as any other choice
			_, err = orders.CapturePayment(w.ctx, &orderv1.CapturePaymentRequest{OrderId: b.id})
			w.note("the merchant wants the reserved money of order %d: %v", b.n, err == nil)
			w.count("the merchant wants reserved money")
		}
	case unpaid, refunded, chargedBack, canceled, expired, orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
	}
	if b.n%2 == 0 {
		s.erase(orders, b)
	}
}

// erase has the customer of an order forgotten, if the order doesn't need them any
// more.
func (s *shop) erase(orders orderv1.OrderServiceClient, b *bought) {
	_, err := orders.EraseCustomer(s.w.ctx, &orderv1.EraseCustomerRequest{By: &orderv1.EraseCustomerRequest_OrderId{OrderId: b.id}})
	s.w.note("the customer of order %d is erased: %v", b.n, err == nil)
	if err == nil {
		s.w.count("a customer is erased")
	}
}

// byHand does at the provider, or the bank, what the system can't, and says so.
func (s *shop) byHand(client verificationv1.VerificationServiceClient, v *verificationv1.Verification, op *orderv1.Operation) {
	w, p := s.w, s.w.provider
	sale := p.sales[v.GetReference()]
	if sale == nil {
		w.fail("P1: an operation by hand for %s, which the provider does not know", v.GetReference())
		return
	}
	amount := money.Amount{Minor: op.GetAmount().GetMinor(), Currency: op.GetAmount().GetCurrency()}
	w.note("the merchant does by hand: %v of %s", op.GetKind(), amount)
	w.count("an operation is done by hand")
	switch op.GetKind() {
	case orderv1.OperationKind_OPERATION_KIND_REFUND:
		w.spawn(func() { p.giveBack(sale, amount, "credit") })
	case orderv1.OperationKind_OPERATION_KIND_CANCEL:
		w.spawn(func() { p.void(sale) })
	case orderv1.OperationKind_OPERATION_KIND_CAPTURE:
		p.approve(sale, Visit{Method: sale.method}, sale.ordered)
	case orderv1.OperationKind_OPERATION_KIND_UNSPECIFIED:
		w.fail("P10: an operation without a kind")
	}
	w.insist(10, func() bool {
		_, err := client.MarkOperationDone(w.ctx, &verificationv1.MarkOperationDoneRequest{
			AttemptId: v.GetAttemptId(), OperationId: op.GetId(), Note: "by hand",
		})
		kind := fault.KindOf(err)
		return err == nil || kind != fault.KindUnavailable && kind != fault.KindInternal
	})
}
