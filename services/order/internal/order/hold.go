package order

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// Hold is an open question about the order's money.
type Hold struct {
	Reason  orderv1.HoldReason `json:"reason"`
	Detail  string             `json:"detail"`
	Attempt string             `json:"attempt"`
	// Before is the order's state before the question, to which it returns if the
	// money goes back: unpaid, canceled or expired.
	Before PaymentState `json:"before,omitempty"`
	// Refund: it is decided that the money goes back.
	Refund bool `json:"refund,omitempty"`
}

// late: the money came after the order was canceled or expired.
func (h *Hold) late() bool {
	return h.Before == orderv1.PaymentState_PAYMENT_STATE_CANCELED || h.Before == orderv1.PaymentState_PAYMENT_STATE_EXPIRED
}

// hold puts an order on hold that nobody has paid yet.
func (o *Order) hold(f *eventv1.PaymentVerified, detail string, now time.Time) []Announcement {
	before := orderv1.PaymentState_PAYMENT_STATE_UNPAID
	switch o.Payment {
	case orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK,
		orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		if o.PaidBy != f.GetAttemptId() {
			return o.duplicate(f, now)
		}
		if o.Payment != orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED || o.Attempts[o.PaidBy].Accepted {
			return nil
		}
	case orderv1.PaymentState_PAYMENT_STATE_CANCELED, orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		before = o.Payment
	case orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
		if o.Hold.Attempt != f.GetAttemptId() && o.Hold.Reason == orderv1.HoldReason_HOLD_REASON_MISMATCH {
			return nil // one question after the other, see next
		}
		before = o.Hold.Before
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID, orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
	}
	reason := f.GetHoldReason()
	if reason == orderv1.HoldReason_HOLD_REASON_UNSPECIFIED {
		reason = orderv1.HoldReason_HOLD_REASON_MISMATCH
	}
	if o.Payment == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD && o.Hold.Attempt == f.GetAttemptId() && o.Hold.Reason == reason {
		o.Hold.Detail = detail // the same question, and what was decided stays
		if o.Hold.Refund {
			return nil
		}
		return o.unwanted(f.GetAttemptId(), now)
	}
	o.Payment = orderv1.PaymentState_PAYMENT_STATE_ON_HOLD
	o.Hold = &Hold{Reason: reason, Detail: detail, Attempt: f.GetAttemptId(), Before: before}
	out := []Announcement{o.announceAttempt(event.OrderOnHold, f, now)}
	return append(out, o.unwanted(f.GetAttemptId(), now)...)
}

// unwanted gives money back at once that came too late or is more than was
// ordered, if that is the merchant's policy. The order stays on hold until it
// has gone.
func (o *Order) unwanted(attempt string, now time.Time) []Announcement {
	a, cause := o.Attempts[attempt], orderv1.OperationCause_OPERATION_CAUSE_LATE
	if !o.Hold.late() {
		cause = orderv1.OperationCause_OPERATION_CAUSE_OVERPAID
		if a.Captured.Currency != o.Total.Currency || a.Captured.Minor <= o.Total.Minor {
			return nil
		}
	}
	if !a.RefundUnwanted || o.Hold.Reason != orderv1.HoldReason_HOLD_REASON_MISMATCH {
		return nil
	}
	out := o.giveBack(attempt, cause, true, now)
	o.Hold.Refund = len(out) > 0
	return out
}

// duplicate announces money of an attempt that the order can't use, because
// another one has paid or will have.
func (o *Order) duplicate(f *eventv1.PaymentVerified, now time.Time) []Announcement {
	if a := o.Attempts[f.GetAttemptId()]; a.Captured.Minor <= a.Refunded.Minor && a.Authorized.Minor == 0 {
		return nil // the transaction has paid another attempt: it brought no money
	}
	out := []Announcement{o.announceAttempt(event.PaymentDuplicate, f, now)}
	return append(out, o.giveBack(f.GetAttemptId(), orderv1.OperationCause_OPERATION_CAUSE_DUPLICATE, f.GetRefundUnwanted(), now)...)
}

// extras announces the money of the attempts that waited behind the one that
// has paid now.
func (o *Order) extras(now time.Time) (out []Announcement) {
	for _, attempt := range slices.Sorted(maps.Keys(o.Attempts)) {
		a := o.Attempts[attempt]
		waits := a.Outcome == verificationv1.Outcome_OUTCOME_PAID ||
			a.Outcome == verificationv1.Outcome_OUTCOME_ON_HOLD && a.HoldReason == orderv1.HoldReason_HOLD_REASON_MISMATCH
		if attempt != o.PaidBy && waits && !a.Refused && !o.goesBack(attempt) {
			out = append(out, o.duplicate(o.fact(attempt), now)...)
		}
	}
	return out
}

// Resolve ends a hold for a mismatch as the merchant decides. The same decision
// again changes nothing.
func (o *Order) Resolve(decision orderv1.HoldDecision, now time.Time) ([]Announcement, error) {
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_ON_HOLD {
		if o.Resolved != orderv1.HoldDecision_HOLD_DECISION_UNSPECIFIED && o.Resolved == decision {
			return nil, nil
		}
		return nil, fmt.Errorf("resolve the hold of an order that is %s: %w", Word(o.Payment), ErrState)
	}
	if o.Hold.Reason != orderv1.HoldReason_HOLD_REASON_MISMATCH {
		return nil, fmt.Errorf("resolve a review of the provider, whose answer ends it: %w", ErrState)
	}
	if decision == orderv1.HoldDecision_HOLD_DECISION_REFUND {
		return o.refuse(now), nil
	}
	if o.Hold.Refund {
		return nil, fmt.Errorf("accept money that is on its way back: %w", ErrState)
	}
	return o.accept(now)
}

// accept takes the held money as it is. This is the one way in which an order is
// paid without the exact amount (P1): the provider confirmed the money, and the
// merchant, asked, takes it for the order.
func (o *Order) accept(now time.Time) ([]Announcement, error) {
	attempt := o.Hold.Attempt
	a := o.Attempts[attempt]
	if a.Captured.Minor <= 0 && a.Authorized.Minor <= 0 {
		return nil, fmt.Errorf("accept money that the provider does not show for this attempt: %w", ErrState)
	}
	if o.Hold.Before == orderv1.PaymentState_PAYMENT_STATE_CANCELED {
		return nil, fmt.Errorf("accept money for an order that was canceled, whose delivery is closed (refund it, or create a prepaid order): %w", ErrState)
	}
	if o.Erased() && o.AskedDelivery.IsZero() {
		return nil, fmt.Errorf("accept money for an order whose customer was erased, to whom nothing can be delivered (refund it): %w", ErrState)
	}
	if a.gone() || o.going(attempt) {
		return nil, fmt.Errorf("accept money that has gone back, or is on its way: %w", ErrState)
	}
	a.Accepted = true
	o.Attempts[attempt] = a
	o.Resolved = orderv1.HoldDecision_HOLD_DECISION_ACCEPT
	if a.Captured.Minor > 0 {
		out := []Announcement{o.pay(attempt, a.Revision, now)}
		if a.Refunded.Minor > 0 {
			o.Payment = orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED
			refunded := o.announce(event.OrderRefunded, now)
			refunded.Attempt, refunded.Revision = attempt, a.Revision
			out = append(out, refunded)
		}
		return append(out, o.extras(now)...), nil
	}
	return append(o.reserve(attempt, now), o.extras(now)...), nil
}

// going reports that operations give back all that is left of an attempt's money,
// or that one has which the provider's books don't show. What the system only put
// on the list for the merchant decides nothing.
func (o *Order) going(attempt string) bool {
	a := o.Attempts[attempt]
	if a.Captured.Minor > 0 && o.left(attempt).Minor == 0 {
		return true
	}
	return slices.ContainsFunc(o.Operations, func(op Operation) bool {
		byHand := op.State == orderv1.OperationState_OPERATION_STATE_BY_HAND && op.Cause == orderv1.OperationCause_OPERATION_CAUSE_MERCHANT ||
			op.State == orderv1.OperationState_OPERATION_STATE_DONE_BY_HAND
		switch {
		case op.Attempt != attempt:
			return false
		case op.Kind == orderv1.OperationKind_OPERATION_KIND_CANCEL:
			return a.Captured.Minor == 0 && (byHand || op.open() || op.State == orderv1.OperationState_OPERATION_STATE_CONFIRMED)
		}
		return op.Kind == orderv1.OperationKind_OPERATION_KIND_REFUND && byHand && op.Amount.Minor >= a.Captured.Minor-a.Refunded.Minor
	})
}

// refuse sends the held money back; the order is on hold until it has gone. Is
// there none (the transaction has paid another attempt), the hold just ends. Is
// there more than when it was first refused, the merchant refuses that again.
func (o *Order) refuse(now time.Time) []Announcement {
	o.Resolved = orderv1.HoldDecision_HOLD_DECISION_REFUND
	attempt := o.Hold.Attempt
	if o.Hold.Refund && o.leaves(attempt) {
		return nil
	}
	a := o.Attempts[attempt]
	if a.gone() || a.Captured.Minor == 0 && a.Authorized.Minor == 0 {
		a.Refused = true
		o.Attempts[attempt] = a
		return o.released("the merchant refused the payment", attempt, a.Revision, now)
	}
	o.Hold.Refund = true
	out := o.giveBack(attempt, orderv1.OperationCause_OPERATION_CAUSE_HOLD, true, now)
	return append(out, o.returned(attempt, now)...)
}

// leaves reports that an operation that gives an attempt's money back waits for
// the provider, or for the merchant.
func (o *Order) leaves(attempt string) bool {
	kind := orderv1.OperationKind_OPERATION_KIND_REFUND
	if o.Attempts[attempt].Captured.Minor == 0 {
		kind = orderv1.OperationKind_OPERATION_KIND_CANCEL
	}
	return slices.ContainsFunc(o.Operations, func(op Operation) bool {
		return op.Attempt == attempt && op.Kind == kind && (op.open() || needsHand(op.State))
	})
}

// returned ends a hold when its money is gone in a way that the provider's word
// on the payment does not tell: the reservation was canceled, or the merchant
// says that it was given back by hand.
func (o *Order) returned(attempt string, now time.Time) []Announcement {
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_ON_HOLD || !o.Hold.Refund || o.Hold.Attempt != attempt {
		return nil
	}
	a := o.Attempts[attempt]
	byHand := int64(0)
	gone := a.gone() || slices.ContainsFunc(o.Operations, func(op Operation) bool {
		done := op.State == orderv1.OperationState_OPERATION_STATE_DONE_BY_HAND
		switch {
		case op.Attempt != attempt:
			return false
		case op.Kind == orderv1.OperationKind_OPERATION_KIND_CANCEL: // says nothing of money that was taken all the same
			return a.Captured.Minor == 0 && (done || op.State == orderv1.OperationState_OPERATION_STATE_CONFIRMED)
		case op.Kind != orderv1.OperationKind_OPERATION_KIND_REFUND || !done:
			return false
		}
		byHand += op.Amount.Minor
		return op.unwanted() || byHand >= a.Captured.Minor // a refund of a part is not all of it
	})
	if !gone {
		return nil
	}
	a.Refused = true
	o.Attempts[attempt] = a
	return o.released("the money was given back", attempt, a.Revision, now)
}

// released: the question about an attempt, or its reservation, is over and left
// nothing. The order is what it was before, unless another attempt has something to
// say. Was delivery asked for on the strength of the reservation, what is not
// delivered yet must not be: the order is canceled.
func (o *Order) released(problem, attempt string, revision int64, now time.Time) []Announcement {
	before := orderv1.PaymentState_PAYMENT_STATE_UNPAID
	if o.Hold != nil && o.Hold.late() {
		before = o.Hold.Before
	}
	says := event.PaymentFailed
	if before == orderv1.PaymentState_PAYMENT_STATE_UNPAID && !o.AskedDelivery.IsZero() {
		before, says = orderv1.PaymentState_PAYMENT_STATE_CANCELED, event.OrderCanceled
	}
	o.Payment, o.Hold, o.PaidBy, o.PaymentProblem = before, nil, "", problem
	a := o.announce(says, now)
	a.Attempt, a.Revision = attempt, revision
	return append([]Announcement{a}, o.next(now)...)
}

// next looks at the attempts that waited behind the one that came to nothing,
// in the order of what they mean: money first, then questions. Money that was
// too much once stays so: it is on its way back. Of an order that is over only
// taken money is still a question.
func (o *Order) next(now time.Time) []Announcement {
	over := o.Payment == orderv1.PaymentState_PAYMENT_STATE_CANCELED || o.Payment == orderv1.PaymentState_PAYMENT_STATE_EXPIRED
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_UNPAID && !over {
		return nil
	}
	ids := slices.Sorted(maps.Keys(o.Attempts))
	weight := func(attempt string) int {
		a := o.Attempts[attempt]
		switch {
		case a.Refused || a.gone() || o.goesBack(attempt) || over && a.Captured.Minor <= a.Refunded.Minor:
		case a.Outcome == verificationv1.Outcome_OUTCOME_ON_HOLD && a.HoldReason == orderv1.HoldReason_HOLD_REASON_MISMATCH:
			return 3
		case a.Outcome == verificationv1.Outcome_OUTCOME_PAID:
			return 4
		case a.Outcome == verificationv1.Outcome_OUTCOME_AUTHORIZED:
			return 2
		case a.Outcome == verificationv1.Outcome_OUTCOME_ON_HOLD:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(ids, func(a, b string) int {
		return weight(b)*2 - weight(a)*2 + strings.Compare(a, b)
	})
	if len(ids) == 0 || weight(ids[0]) == 0 {
		return nil
	}
	out := o.mean(o.fact(ids[0]), o.Attempts[ids[0]], now)
	if o.PaidBy != "" {
		out = append(out, o.extras(now)...)
	}
	return out
}

// goesBack: an operation was asked for because the order can't use the attempt's
// money.
func (o *Order) goesBack(attempt string) bool {
	return slices.ContainsFunc(o.Operations, func(op Operation) bool { return op.Attempt == attempt && op.unwanted() })
}

// fact is what was last said of an attempt, as far as the order keeps it.
func (o *Order) fact(attempt string) *eventv1.PaymentVerified {
	a := o.Attempts[attempt]
	return &eventv1.PaymentVerified{
		AttemptId: attempt, OrderId: o.ID, Outcome: a.Outcome, Authorized: toProto(a.Authorized), Captured: toProto(a.Captured),
		Refunded: toProto(a.Refunded), HoldReason: a.HoldReason, Detail: a.Detail, Revision: a.Revision,
		DeliverOnAuthorized: a.DeliverOnAuthorized, CaptureOn: a.CaptureOn, RefundUnwanted: a.RefundUnwanted,
	}
}

// Word is a payment state for people.
func Word(s PaymentState) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(s.String(), "PAYMENT_STATE_")), "_", " ")
}
