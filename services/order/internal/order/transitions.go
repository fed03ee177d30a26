package order

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/money"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// ErrState is returned for a transition that the order's state forbids.
var ErrState = errors.New("the order's state forbids it")

// Create announces a new order; a prepaid one is paid in the same breath.
func (o *Order) Create(now time.Time) []Announcement {
	o.Created = now
	o.Payment = orderv1.PaymentState_PAYMENT_STATE_UNPAID
	o.Delivery = orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED
	out := []Announcement{o.announce(event.OrderCreated, now)}
	if o.Prepaid || o.Total.IsZero() {
		out = append(out, o.pay("", 0, now))
	}
	return out
}

// Cancel cancels an order that nobody has paid, or one whose money is reserved
// and of which nothing is delivered: the reservation is canceled with it.
func (o *Order) Cancel(now time.Time) ([]Announcement, error) {
	switch o.Payment {
	case orderv1.PaymentState_PAYMENT_STATE_CANCELED:
		return nil, nil
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID:
		o.Payment = orderv1.PaymentState_PAYMENT_STATE_CANCELED
		return []Announcement{o.announce(event.OrderCanceled, now)}, nil
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		return o.cancelReserved(now)
	}
	return nil, fmt.Errorf("cancel an order that is %s: %w", Word(o.Payment), ErrState)
}

func (o *Order) cancelReserved(now time.Time) ([]Announcement, error) {
	for i := range o.Operations {
		if op := &o.Operations[i]; op.Kind == orderv1.OperationKind_OPERATION_KIND_CAPTURE && op.open() {
			return nil, fmt.Errorf("cancel an order whose money is being captured: %w", ErrState)
		}
	}
	if o.Delivery != orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED && o.Delivery != orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED {
		return nil, fmt.Errorf("cancel an order of which something is delivered: %w", ErrState)
	}
	// The order is over: what its reservation still brings is late money.
	attempt := o.PaidBy
	o.Payment, o.PaidBy = orderv1.PaymentState_PAYMENT_STATE_CANCELED, ""
	out := []Announcement{o.announce(event.OrderCanceled, now)}
	return append(out, o.request(Operation{
		ID: o.OperationID("cancel/" + attempt), Kind: orderv1.OperationKind_OPERATION_KIND_CANCEL, Attempt: attempt,
		Amount: o.Attempts[attempt].Authorized, Cause: orderv1.OperationCause_OPERATION_CAUSE_MERCHANT,
	}, now)...), nil
}

// Work does what is due: remind of the payment, expire, or ask another service again, by the events of
// the types in the second result.
func (o *Order) Work(now time.Time) (out []Announcement, again []string) {
	if len(o.unanswered()) > 0 && !o.AskedOperations.Add(resend.After(o.AskedOperationsTimes)).After(now) {
		o.AskedOperations = now
		o.AskedOperationsTimes++
		again = append(again, event.RefundRequested)
	}
	if typ := o.closeAgain(now); typ != "" {
		again = append(again, typ)
	}
	if o.eraseAgain(now) {
		again = append(again, event.CustomerErased)
	}
	due := o.paymentDue()
	if due.IsZero() || due.After(now) {
		return nil, again
	}
	if o.awaitsDelivery() {
		o.AskedDelivery = now
		o.AskedTimes++
		return nil, append(again, event.PaymentSucceeded)
	}
	if now.Before(o.Created.Add(ExpireAfter)) {
		return o.remind(now), again
	}
	o.Payment = orderv1.PaymentState_PAYMENT_STATE_EXPIRED
	return []Announcement{o.announce(event.OrderExpired, now)}, again
}

// Verified merges what the provider said of one attempt. known is true if the
// order knew it already; then nothing changed.
func (o *Order) Verified(f *eventv1.PaymentVerified, now time.Time) (out []Announcement, known bool) {
	before := o.Attempts[f.GetAttemptId()]
	if f.GetRevision() <= before.Revision {
		return nil, true
	}
	after := before
	after.Outcome, after.Revision, after.HoldReason, after.Detail = f.GetOutcome(), f.GetRevision(), f.GetHoldReason(), f.GetDetail()
	after.Authorized = largest(before.Authorized, fromProto(f.GetAuthorized()))
	after.Captured = largest(before.Captured, fromProto(f.GetCaptured()))
	after.Refunded = largest(before.Refunded, fromProto(f.GetRefunded()))
	after.DeliverOnAuthorized, after.CaptureOn, after.RefundUnwanted = f.GetDeliverOnAuthorized(), f.GetCaptureOn(), f.GetRefundUnwanted()
	if o.Attempts == nil {
		o.Attempts = map[string]Attempt{}
	}
	o.Attempts[f.GetAttemptId()] = after
	byHand := o.answer(f)
	if !before.says(after) {
		out = o.mean(f, before, now)
	}
	out = append(out, o.returned(f.GetAttemptId(), now)...)
	if byHand {
		out = append(out, o.announce(event.OrderActionRequired, now))
	}
	return out, false
}

// mean says what the latest facts of an attempt mean for the order, known so far
// as before.
func (o *Order) mean(f *eventv1.PaymentVerified, before Attempt, now time.Time) []Announcement {
	a := o.Attempts[f.GetAttemptId()]
	switch a.Outcome {
	case verificationv1.Outcome_OUTCOME_PAID:
		return o.paid(f, before, now)
	case verificationv1.Outcome_OUTCOME_AUTHORIZED:
		return o.authorized(f, now)
	case verificationv1.Outcome_OUTCOME_ON_HOLD:
		if a.Accepted && o.PaidBy == f.GetAttemptId() && a.Refunded.Minor > before.Refunded.Minor {
			return o.givenBack(f, before, a, now) // the merchant took the money as it was, and now some of it is gone
		}
		if a.Accepted && o.PaidBy == f.GetAttemptId() && a.Captured.Minor > 0 && o.Payment == orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED {
			return o.paid(f, before, now) // the merchant took the reservation as it was, and now it is taken
		}
		return o.questioned(f, now)
	case verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_CHARGED_BACK:
		return o.givenBack(f, before, a, now)
	case verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED,
		verificationv1.Outcome_OUTCOME_EXPIRED:
		return o.failed(f, before, f.GetDetail(), now)
	case verificationv1.Outcome_OUTCOME_PENDING, verificationv1.Outcome_OUTCOME_UNSPECIFIED:
	}
	return nil
}

// paid: the provider confirmed that the attempt's money was taken.
func (o *Order) paid(f *eventv1.PaymentVerified, before Attempt, now time.Time) []Announcement {
	if a := o.Attempts[f.GetAttemptId()]; a.Captured != o.Total && !a.Accepted {
		got := a.Captured
		return o.hold(f, fmt.Sprintf("paid %s, ordered %s", got, o.Total), now)
	}
	switch o.Payment {
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID:
		return []Announcement{o.pay(f.GetAttemptId(), f.GetRevision(), now)}
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		if o.PaidBy != f.GetAttemptId() {
			return o.duplicate(f, now)
		}
		if a := o.Attempts[o.PaidBy]; a.Accepted && !a.taken() {
			a.Accepted = false // the merchant took the reservation, not this
			o.Attempts[o.PaidBy] = a
			return o.hold(f, fmt.Sprintf("paid %s, accepted %s", a.Captured, a.Authorized), now)
		}
		asked := !o.AskedDelivery.IsZero()
		if asked { // announced and delivered on the strength of the authorization
			o.Payment, o.PaidAt = orderv1.PaymentState_PAYMENT_STATE_PAID, now
			return nil
		}
		return []Announcement{o.pay(f.GetAttemptId(), f.GetRevision(), now)}
	case orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
		return o.paidOnHold(f, now)
	case orderv1.PaymentState_PAYMENT_STATE_CANCELED, orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		return o.hold(f, fmt.Sprintf("paid %s after the order was %s", o.Total, Word(o.Payment)), now)
	case orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK:
		if o.PaidBy == f.GetAttemptId() || before.Outcome == verificationv1.Outcome_OUTCOME_PAID {
			return nil
		}
		return o.duplicate(f, now)
	case orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
	}
	return nil
}

// paidOnHold: the exact money came while a question was open. A review is
// answered by it. A mismatch of this attempt stays the merchant's to decide; the
// money of another attempt is now too much, which is announced. An order that was
// over is not brought back by paying it twice: that is too much as well.
func (o *Order) paidOnHold(f *eventv1.PaymentVerified, now time.Time) []Announcement {
	held := *o.Hold
	if held.Reason == orderv1.HoldReason_HOLD_REASON_MISMATCH && held.Attempt == f.GetAttemptId() {
		return nil
	}
	if held.late() {
		if held.Attempt == f.GetAttemptId() {
			return nil
		}
		return o.duplicate(f, now)
	}
	out := []Announcement{o.pay(f.GetAttemptId(), f.GetRevision(), now)}
	if held.Reason == orderv1.HoldReason_HOLD_REASON_MISMATCH {
		out = append(out, o.extras(now)...)
	}
	return out
}

// authorized: the money is reserved. Whether that is enough to deliver is the
// account's policy.
func (o *Order) authorized(f *eventv1.PaymentVerified, now time.Time) []Announcement {
	switch {
	case o.Payment == orderv1.PaymentState_PAYMENT_STATE_UNPAID,
		o.Payment == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD && o.Hold.Reason == orderv1.HoldReason_HOLD_REASON_PROVIDER_REVIEW:
	case o.Payment == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD || o.PaidBy == f.GetAttemptId():
		return nil // one question after the other, see next
	case o.Payment == orderv1.PaymentState_PAYMENT_STATE_CANCELED || o.Payment == orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		return o.giveBack(f.GetAttemptId(), orderv1.OperationCause_OPERATION_CAUSE_LATE, f.GetRefundUnwanted(), now)
	default:
		return o.giveBack(f.GetAttemptId(), orderv1.OperationCause_OPERATION_CAUSE_DUPLICATE, f.GetRefundUnwanted(), now)
	}
	if got := fromProto(f.GetAuthorized()); got != o.Total {
		return o.hold(f, fmt.Sprintf("authorized %s, ordered %s", got, o.Total), now)
	}
	return o.reserve(f.GetAttemptId(), now)
}

// reserve makes the order authorized, and asks for its delivery if that is
// enough for the account.
func (o *Order) reserve(attempt string, now time.Time) []Announcement {
	a := o.Attempts[attempt]
	if !a.DeliverOnAuthorized {
		o.Payment, o.PaidBy, o.Hold = orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, attempt, nil
		return o.captureBy(CaptureOnAuthorized, now)
	}
	out := []Announcement{o.pay(attempt, a.Revision, now)}
	o.Payment, o.PaidAt = orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, time.Time{}
	return append(out, o.captureBy(CaptureOnAuthorized, now)...)
}

// When reserved money is taken without the merchant asking: an account's
// setting capture_on.
const (
	CaptureOnAuthorized = "authorized"
	CaptureOnDelivered  = "delivered"
)

// questioned: the provider reviews, or its answer differs from what was asked.
func (o *Order) questioned(f *eventv1.PaymentVerified, now time.Time) []Announcement {
	if f.GetHoldReason() == orderv1.HoldReason_HOLD_REASON_PROVIDER_REVIEW &&
		o.Payment != orderv1.PaymentState_PAYMENT_STATE_UNPAID {
		return nil
	}
	if o.Attempts[f.GetAttemptId()].Refused {
		return nil
	}
	return o.hold(f, f.GetDetail(), now)
}

// failed: this attempt came to nothing. The order stays open for another one.
func (o *Order) failed(f *eventv1.PaymentVerified, before Attempt, reason string, now time.Time) []Announcement {
	if reason == "" { // the provider gives none
		reason = "the payment " + strings.ToLower(strings.TrimPrefix(f.GetOutcome().String(), "OUTCOME_"))
		if f.GetOutcome() == verificationv1.Outcome_OUTCOME_CANCELED {
			reason = "the payment was canceled"
		}
	}
	questioned := o.Payment == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD && o.Hold.Attempt == f.GetAttemptId()
	reserved := o.Payment == orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED && o.PaidBy == f.GetAttemptId()
	switch {
	case questioned, reserved:
		return append(o.released(reason, f.GetAttemptId(), f.GetRevision(), now), o.giveUp(f, now)...)
	case o.Payment != orderv1.PaymentState_PAYMENT_STATE_UNPAID, over(before.Outcome):
		return nil
	}
	o.PaymentProblem = reason
	return append([]Announcement{o.announceAttempt(event.PaymentFailed, f, now)}, o.giveUp(f, now)...)
}

// givenBack: money went back to the customer, or never stayed.
func (o *Order) givenBack(f *eventv1.PaymentVerified, before, a Attempt, now time.Time) []Announcement {
	var out []Announcement
	partly := a.Outcome != verificationv1.Outcome_OUTCOME_CHARGED_BACK && a.Refunded.Minor < a.Captured.Minor
	if o.Payment == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD && o.Hold.Attempt == f.GetAttemptId() && o.Hold.Reason == orderv1.HoldReason_HOLD_REASON_MISMATCH {
		switch {
		case partly: // the rest is the same question
			return nil
		case o.AskedDelivery.IsZero() || o.PaidBy != f.GetAttemptId():
			return o.failed(f, before, "the provider gave the money back", now)
		}
	}
	if o.PaidBy == f.GetAttemptId() && o.Payment == orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED {
		// Reserved money was taken, and went back before we heard that it was taken.
		switch {
		case partly:
			if out = o.paid(f, before, now); o.Payment != orderv1.PaymentState_PAYMENT_STATE_PAID {
				return out
			}
		case o.AskedDelivery.IsZero():
			return o.failed(f, before, "the provider gave the money back", now)
		}
	}
	if o.PaidBy != f.GetAttemptId() {
		if !partly || a.Refused {
			return o.failed(f, before, "the provider gave the money back", now)
		}
		// What is left of it counts as the whole did: it pays the order, comes
		// late or is too much. If we heard of the whole, that is decided.
		if before.Outcome == verificationv1.Outcome_OUTCOME_PAID || before.Outcome == verificationv1.Outcome_OUTCOME_REFUNDED {
			return nil
		}
		if out = o.paid(f, before, now); o.PaidBy != f.GetAttemptId() {
			return out
		}
	}
	questioned := o.Hold != nil
	o.Hold = nil
	switch {
	case a.Outcome == verificationv1.Outcome_OUTCOME_CHARGED_BACK:
		o.Payment = orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK
	case a.Refunded.Minor >= a.Captured.Minor:
		o.Payment = orderv1.PaymentState_PAYMENT_STATE_REFUNDED
	default:
		o.Payment = orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED
	}
	out = append(out, o.announceAttempt(event.OrderRefunded, f, now))
	if questioned {
		out = append(out, o.extras(now)...)
	}
	return out
}

// Licensed notes which licences the units of delivered lines got. The first
// word stays.
func (o *Order) Licensed(list []*orderv1.LineLicenses) {
	for _, l := range list {
		if n := int(l.GetLineNumber()); n >= 1 && n <= len(o.Lines) && len(o.Lines[n-1].Licenses) == 0 {
			o.Lines[n-1].Licenses = l.GetLicenseIds()
		}
	}
}

// Completed merges which lines have reached the customer. known is true if the
// order knew all of them.
func (o *Order) Completed(lines []int32, now time.Time) (out []Announcement, known bool) {
	for _, n := range lines {
		if n < 1 || int(n) > len(o.Lines) || o.Lines[n-1].State == orderv1.DeliveryState_DELIVERY_STATE_DELIVERED {
			continue
		}
		o.Lines[n-1].State = orderv1.DeliveryState_DELIVERY_STATE_DELIVERED
		a := o.announce(event.ProductDelivered, now)
		a.Line = int(n)
		out = append(out, a)
	}
	if len(out) == 0 {
		return nil, true
	}
	if o.Delivery = o.deliveryState(); o.Delivery == orderv1.DeliveryState_DELIVERY_STATE_DELIVERED {
		o.Delivered, o.DeliveryProblem = now, ""
		out = append(out, o.announce(event.OrderDelivered, now))
		out = append(out, o.captureBy(CaptureOnDelivered, now)...)
	}
	return out, false
}

// deliveryState is the order's, as it follows from its lines'.
func (o *Order) deliveryState() DeliveryState {
	delivered, failed := 0, 0
	for _, l := range o.Lines {
		switch l.State {
		case orderv1.DeliveryState_DELIVERY_STATE_DELIVERED:
			delivered++
		case orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED:
			failed++
		case orderv1.DeliveryState_DELIVERY_STATE_UNSPECIFIED, orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED,
			orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED:
		}
	}
	switch {
	case delivered == len(o.Lines):
		return orderv1.DeliveryState_DELIVERY_STATE_DELIVERED
	case failed > 0:
		return orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED
	case delivered > 0:
		return orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED
	}
	return orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED
}

// Delayed notes that lines can't be delivered now, and why. A line is announced
// once when it must wait, and whenever nothing is tried for it any more; changed
// is false if nothing is news.
func (o *Order) Delayed(f *eventv1.DeliveryDelayed, now time.Time) (out []Announcement, changed bool) {
	older := f.GetRevision() < o.DelayRevision || f.GetRevision() == o.DelayRevision && f.GetProblem() == o.DeliveryProblem
	if older || o.Delivery == orderv1.DeliveryState_DELIVERY_STATE_DELIVERED {
		return nil, false
	}
	o.DeliveryProblem, o.DelayRevision = f.GetProblem(), f.GetRevision()
	var news []int
	for i := range o.Lines {
		l, n := &o.Lines[i], int32(i+1)
		if l.State == orderv1.DeliveryState_DELIVERY_STATE_DELIVERED {
			continue
		}
		before := *l
		l.State = orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED
		if slices.Contains(f.GetFailedLineNumbers(), n) {
			l.State = orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED
		}
		l.Delayed = before.Delayed || slices.Contains(f.GetLineNumbers(), n)
		failed := l.State == orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED && l.State != before.State
		if failed || l.Delayed && !before.Delayed {
			news = append(news, i+1)
		}
	}
	o.Delivery = o.deliveryState()
	for _, n := range news {
		a := o.announce(event.ProductDeliveryDelayed, now)
		a.Line = n
		out = append(out, a)
	}
	return out, true
}

// Revoked merges how many units of lines may use their licence no more. known
// is true if the order knew of all of them.
func (o *Order) Revoked(lines []*eventv1.LineRevoked, now time.Time) (out []Announcement, known bool) {
	for _, r := range lines {
		n := int(r.GetLineNumber())
		if n < 1 || n > len(o.Lines) || r.GetUnits() <= o.Lines[n-1].Revoked {
			continue
		}
		o.Lines[n-1].Revoked = r.GetUnits()
		a := o.announce(event.ProductRevoked, now)
		a.Line = n
		out = append(out, a)
	}
	return out, len(out) == 0
}

// pay makes the order paid and asks for its delivery.
func (o *Order) pay(attempt string, revision int64, now time.Time) Announcement {
	o.Payment, o.PaidBy, o.PaidAt = orderv1.PaymentState_PAYMENT_STATE_PAID, attempt, now
	o.Hold, o.PaymentProblem = nil, ""
	o.AskedDelivery, o.AskedTimes = now, 1
	a := o.announce(event.PaymentSucceeded, now)
	a.Attempt, a.Revision = attempt, revision
	return a
}

func (o *Order) announce(typ string, now time.Time) Announcement {
	o.Sequence++
	o.Changed = now
	return Announcement{Type: typ, Sequence: o.Sequence}
}

func (o *Order) announceAttempt(typ string, f *eventv1.PaymentVerified, now time.Time) Announcement {
	a := o.announce(typ, now)
	a.Attempt, a.Revision = f.GetAttemptId(), f.GetRevision()
	return a
}

// over: the attempt had already come to nothing.
func over(o Outcome) bool {
	switch o {
	case verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED, verificationv1.Outcome_OUTCOME_EXPIRED,
		verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_CHARGED_BACK:
		return true
	case verificationv1.Outcome_OUTCOME_UNSPECIFIED, verificationv1.Outcome_OUTCOME_PENDING, verificationv1.Outcome_OUTCOME_ON_HOLD,
		verificationv1.Outcome_OUTCOME_AUTHORIZED, verificationv1.Outcome_OUTCOME_PAID:
	}
	return false
}

func largest(a, b money.Amount) money.Amount {
	if a.Currency == "" || b.Minor > a.Minor {
		return b
	}
	return a
}
