package verification_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	"quittance/pkg/provider"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

const (
	kindRefund  = orderv1.OperationKind_OPERATION_KIND_REFUND
	kindCapture = orderv1.OperationKind_OPERATION_KIND_CAPTURE
	kindCancel  = orderv1.OperationKind_OPERATION_KIND_CANCEL

	opConfirmed = orderv1.OperationState_OPERATION_STATE_CONFIRMED
	opDeclined  = orderv1.OperationState_OPERATION_STATE_DECLINED
	opByHand    = orderv1.OperationState_OPERATION_STATE_BY_HAND
)

// operation waits until the order was told that an operation is in a state, and
// returns the facts it came with.
func (w *world) operation(attempt, opID string, want orderv1.OperationState) *eventv1.PaymentVerified {
	w.t.Helper()
	var found *eventv1.PaymentVerified
	testkit.Eventually(w.t, 2*patience, func() error {
		facts := w.facts(attempt)
		if len(facts) == 0 {
			return fmt.Errorf("nothing told")
		}
		found = facts[len(facts)-1]
		for _, op := range found.GetOperations() {
			if op.GetId() == opID && op.GetState() == want {
				return nil
			}
		}
		return fmt.Errorf("operations %v", found.GetOperations())
	})
	return found
}

func (w *world) calls(opID string) int {
	w.till.mu.Lock()
	defer w.till.mu.Unlock()
	return w.till.calls[opID]
}

// TestARefundIsConfirmedByTheBooks, requested three times, sent once; a second
// part follows; what is more than is left is declined without a call.
func TestARefundIsConfirmedByTheBooks(t *testing.T) {
	w := newWorld(t)
	attempt := w.startTill(provider.Paid)
	first := w.request(attempt, kindRefund, 400)
	if f := w.operation(attempt, first, opConfirmed); f.GetOutcome() != verificationv1.Outcome_OUTCOME_REFUNDED || f.GetRefunded().GetMinor() != 400 || f.GetCaptured().GetMinor() != 999 {
		t.Fatalf("%v", f)
	}
	more := w.request(attempt, kindRefund, 600)
	w.operation(attempt, more, opDeclined)
	rest := w.request(attempt, kindRefund, 599)
	if f := w.operation(attempt, rest, opConfirmed); f.GetRefunded().GetMinor() != 999 {
		t.Fatalf("%v", f)
	}
	if w.calls(first) != 1 || w.calls(rest) != 1 || w.calls(more) != 0 {
		t.Fatalf("calls %v", w.till.calls)
	}
}

// TestARefundWithoutAnAnswerIsAskedAboutFirst: the till keeps no idempotency
// keys. If it did what it was told, it is not told again; if not, it is, once
// asking long enough has not shown it.
func TestARefundWithoutAnAnswerIsAskedAboutFirst(t *testing.T) {
	w := newWorld(t)
	for fault, calls := range map[string]int{"lost after": 1, "lost before": 2} {
		attempt := w.startTill(provider.Paid)
		w.till.with(attempt, func(p *payment) { p.fault = fault })
		op := w.request(attempt, kindRefund, 400)
		f := w.operation(attempt, op, opConfirmed)
		if got := w.till.with(attempt, func(*payment) {}); got.refunded != 400 || f.GetRefunded().GetMinor() != 400 || w.calls(op) != calls {
			t.Fatalf("%s: %d refunded by %d calls, facts %v", fault, got.refunded, w.calls(op), f)
		}
	}
}

func TestADeclinedOrImpossibleOperationIsForTheMerchant(t *testing.T) {
	w := newWorld(t)
	attempt := w.startTill(provider.Paid)
	w.till.with(attempt, func(p *payment) { p.fault = "declined" })
	op := w.request(attempt, kindRefund, 400)
	if f := w.operation(attempt, op, opDeclined); f.GetOutcome() != paid || f.GetOperations()[0].GetDetail() == "" {
		t.Fatalf("%v", f)
	}
	// FlexPay has no API for it.
	cards := w.start()
	w.provider(func(ref string) string { return sale(ref, "s1", "9.99", "EUR") })
	w.callback("clb_1", cards, "paid")
	w.told(cards, 1)
	op = w.request(cards, kindRefund, 999)
	if f := w.operation(cards, op, opByHand); f.GetOutcome() != paid {
		t.Fatalf("%v", f)
	}
}

func TestReservedMoneyIsCapturedOrFreed(t *testing.T) {
	w := newWorld(t)
	a, b := w.startTill(provider.Authorized), w.startTill(provider.Authorized)
	op := w.request(a, kindCapture, 999)
	if f := w.operation(a, op, opConfirmed); f.GetOutcome() != paid || f.GetCaptured().GetMinor() != 999 {
		t.Fatalf("%v", f)
	}
	op = w.request(b, kindCancel, 999)
	if f := w.operation(b, op, opConfirmed); f.GetOutcome() != verificationv1.Outcome_OUTCOME_CANCELED {
		t.Fatalf("%v", f)
	}
	// What is captured can't be freed any more.
	op = w.request(a, kindCancel, 999)
	w.operation(a, op, opDeclined)
}

// TestManyTriggersShareOneQuestion: callbacks and returns by the hundred while a
// slow provider is being asked lead to one more question, not to hundreds, and
// never to two at once.
func TestManyTriggersShareOneQuestion(t *testing.T) {
	w := newWorld(t)
	attempt := w.startTill(provider.OnHold)
	w.till.mu.Lock()
	w.till.slow, w.till.questions, w.till.most = time.Second, 0, 0
	w.till.mu.Unlock()
	w.till.with(attempt, func(p *payment) { p.state, p.captured = provider.Paid, 999 })
	for i := range 200 {
		w.publish(event.CallbackReceived, fmt.Sprint("clb_", i), &eventv1.CallbackReceived{
			CallbackId: fmt.Sprint("clb_", i), AccountId: "till", Provider: "till", MerchantId: "acme", Reference: attempt, Claim: "other",
			AcknowledgeTime: timestamppb.Now(), Signed: true,
		})
		w.publish(event.PaymentReturned, attempt, &eventv1.PaymentReturned{AttemptId: attempt, MerchantId: "acme"})
	}
	testkit.Eventually(t, 2*patience, func() error {
		if f := w.facts(attempt); f[len(f)-1].GetOutcome() != paid {
			return fmt.Errorf("told %v", f[len(f)-1])
		}
		return nil
	})
	w.till.mu.Lock()
	defer w.till.mu.Unlock()
	if w.till.most != 1 || w.till.questions > 5 {
		t.Fatalf("%d questions, %d at once", w.till.questions, w.till.most)
	}
}
