package order

import (
	"errors"
	"fmt"
	"slices"
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

// Cancel cancels an order that nobody has paid.
func (o *Order) Cancel(now time.Time) ([]Announcement, error) {
	switch o.Payment {
	case orderv1.PaymentState_PAYMENT_STATE_CANCELED:
		return nil, nil
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID:
		o.Payment = orderv1.PaymentState_PAYMENT_STATE_CANCELED
		return []Announcement{o.announce(event.OrderCanceled, now)}, nil
	}
	return nil, fmt.Errorf("cancel an order that is %s: %w", o.Payment, ErrState)
}

// Work does what is due: expire, or ask the delivery service again, which the
// second result tells.
func (o *Order) Work(now time.Time) (out []Announcement, askDelivery bool) {
	due := NextDue(o)
	if due.IsZero() || due.After(now) {
		return nil, false
	}
	if o.awaitsDelivery() {
		o.AskedDelivery = now
		o.AskedTimes++
		return nil, true
	}
	o.Payment = orderv1.PaymentState_PAYMENT_STATE_EXPIRED
	return []Announcement{o.announce(event.OrderExpired, now)}, false
}

// Verified merges what the provider said of one attempt. known is true if the
// order knew it already; then nothing changed.
func (o *Order) Verified(f *eventv1.PaymentVerified, now time.Time) (out []Announcement, known bool) {
	before := o.Attempts[f.GetAttemptId()]
	if f.GetRevision() <= before.Revision {
		return nil, true
	}
	after := Attempt{
		Outcome:  f.GetOutcome(),
		Captured: largest(before.Captured, fromProto(f.GetCaptured())),
		Refunded: largest(before.Refunded, fromProto(f.GetRefunded())),
		Revision: f.GetRevision(),
	}
	if o.Attempts == nil {
		o.Attempts = map[string]Attempt{}
	}
	o.Attempts[f.GetAttemptId()] = after

	switch after.Outcome {
	case verificationv1.Outcome_OUTCOME_PAID:
		return o.paid(f, before, now), false
	case verificationv1.Outcome_OUTCOME_AUTHORIZED:
		return o.authorized(f, now), false
	case verificationv1.Outcome_OUTCOME_ON_HOLD:
		return o.questioned(f, now), false
	case verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_CHARGED_BACK:
		return o.givenBack(f, after, now), false
	case verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED,
		verificationv1.Outcome_OUTCOME_EXPIRED:
		return o.failed(f, before, f.GetDetail(), now), false
	case verificationv1.Outcome_OUTCOME_PENDING, verificationv1.Outcome_OUTCOME_UNSPECIFIED:
	}
	return nil, false
}

// paid: the provider confirmed that the attempt's money was taken.
func (o *Order) paid(f *eventv1.PaymentVerified, before Attempt, now time.Time) []Announcement {
	if got := o.Attempts[f.GetAttemptId()].Captured; got != o.Total {
		return o.hold(f, fmt.Sprintf("paid %s, ordered %s", got, o.Total), now)
	}
	switch o.Payment {
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID:
		return []Announcement{o.pay(f.GetAttemptId(), f.GetRevision(), now)}
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		if o.PaidBy != f.GetAttemptId() {
			return []Announcement{o.announceAttempt(event.PaymentDuplicate, f, now)}
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
		out := o.hold(f, fmt.Sprintf("paid %s after the order was %s", o.Total, word(o.Payment)), now)
		o.Hold.Late = true
		return out
	case orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK:
		if o.PaidBy == f.GetAttemptId() || before.Outcome == verificationv1.Outcome_OUTCOME_PAID {
			return nil
		}
		return []Announcement{o.announceAttempt(event.PaymentDuplicate, f, now)}
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
	if held.Late {
		return []Announcement{o.announceAttempt(event.PaymentDuplicate, f, now)}
	}
	out := []Announcement{o.pay(f.GetAttemptId(), f.GetRevision(), now)}
	if held.Reason == orderv1.HoldReason_HOLD_REASON_MISMATCH {
		extra := o.announce(event.PaymentDuplicate, now)
		extra.Attempt, extra.Revision = held.Attempt, o.Attempts[held.Attempt].Revision
		out = append(out, extra)
	}
	return out
}

// authorized: the money is reserved. Whether that is enough to deliver is the
// account's policy.
func (o *Order) authorized(f *eventv1.PaymentVerified, now time.Time) []Announcement {
	open := o.Payment == orderv1.PaymentState_PAYMENT_STATE_UNPAID ||
		o.Payment == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD && o.Hold.Reason == orderv1.HoldReason_HOLD_REASON_PROVIDER_REVIEW
	if !open {
		return nil
	}
	if got := fromProto(f.GetAuthorized()); got != o.Total {
		return o.hold(f, fmt.Sprintf("authorized %s, ordered %s", got, o.Total), now)
	}
	if !f.GetDeliverOnAuthorized() {
		o.Payment, o.PaidBy, o.Hold = orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, f.GetAttemptId(), nil
		return nil
	}
	a := o.pay(f.GetAttemptId(), f.GetRevision(), now)
	o.Payment, o.PaidAt = orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, time.Time{}
	return []Announcement{a}
}

// questioned: the provider reviews, or its answer differs from what was asked.
func (o *Order) questioned(f *eventv1.PaymentVerified, now time.Time) []Announcement {
	if f.GetHoldReason() == orderv1.HoldReason_HOLD_REASON_PROVIDER_REVIEW &&
		o.Payment != orderv1.PaymentState_PAYMENT_STATE_UNPAID {
		return nil
	}
	return o.hold(f, f.GetDetail(), now)
}

// hold puts an order on hold that nobody has paid yet.
func (o *Order) hold(f *eventv1.PaymentVerified, detail string, now time.Time) []Announcement {
	switch o.Payment {
	case orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK,
		orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		if o.PaidBy != f.GetAttemptId() {
			return []Announcement{o.announceAttempt(event.PaymentDuplicate, f, now)}
		}
		if o.Payment != orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED {
			return nil
		}
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID, orderv1.PaymentState_PAYMENT_STATE_CANCELED, orderv1.PaymentState_PAYMENT_STATE_EXPIRED,
		orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
	}
	reason := f.GetHoldReason()
	if reason == orderv1.HoldReason_HOLD_REASON_UNSPECIFIED {
		reason = orderv1.HoldReason_HOLD_REASON_MISMATCH
	}
	o.Payment = orderv1.PaymentState_PAYMENT_STATE_ON_HOLD
	o.Hold = &Hold{Reason: reason, Detail: detail, Attempt: f.GetAttemptId()}
	return []Announcement{o.announceAttempt(event.OrderOnHold, f, now)}
}

// failed: this attempt came to nothing. The order stays open for another one.
func (o *Order) failed(f *eventv1.PaymentVerified, before Attempt, reason string, now time.Time) []Announcement {
	questioned := o.Payment == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD && o.Hold.Attempt == f.GetAttemptId()
	reserved := o.Payment == orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED && o.PaidBy == f.GetAttemptId()
	switch {
	case reserved && !o.AskedDelivery.IsZero():
		// Delivery was asked for on the strength of an authorization that is
		// gone: what is not delivered yet must not be.
		o.Payment, o.PaymentProblem = orderv1.PaymentState_PAYMENT_STATE_CANCELED, reason
		return []Announcement{o.announceAttempt(event.OrderCanceled, f, now)}
	case questioned, reserved:
		o.Payment, o.Hold, o.PaidBy = orderv1.PaymentState_PAYMENT_STATE_UNPAID, nil, ""
	case o.Payment != orderv1.PaymentState_PAYMENT_STATE_UNPAID, over(before.Outcome):
		return nil
	}
	o.PaymentProblem = reason
	return []Announcement{o.announceAttempt(event.PaymentFailed, f, now)}
}

// givenBack: money went back to the customer, or never stayed.
func (o *Order) givenBack(f *eventv1.PaymentVerified, a Attempt, now time.Time) []Announcement {
	var out []Announcement
	if o.PaidBy != f.GetAttemptId() {
		partly := a.Captured == o.Total && a.Refunded.Minor < a.Captured.Minor
		if !partly || o.Payment != orderv1.PaymentState_PAYMENT_STATE_UNPAID {
			return o.failed(f, Attempt{}, "the provider gave the money back", now)
		}
		// Paid, and a part given back before we first heard of it.
		out = append(out, o.pay(f.GetAttemptId(), f.GetRevision(), now))
	}
	switch {
	case f.GetOutcome() == verificationv1.Outcome_OUTCOME_CHARGED_BACK:
		o.Payment = orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK
	case a.Refunded.Minor >= a.Captured.Minor:
		o.Payment = orderv1.PaymentState_PAYMENT_STATE_REFUNDED
	default:
		o.Payment = orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED
	}
	return append(out, o.announceAttempt(event.OrderRefunded, f, now))
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
	o.Delivery = orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED
	open := func(l Line) bool { return l.State != orderv1.DeliveryState_DELIVERY_STATE_DELIVERED }
	if !slices.ContainsFunc(o.Lines, open) {
		o.Delivery, o.Delivered, o.DeliveryProblem = orderv1.DeliveryState_DELIVERY_STATE_DELIVERED, now, ""
		out = append(out, o.announce(event.OrderDelivered, now))
	}
	return out, false
}

// Delayed notes that lines can't be delivered now, and why. Each line's delay
// is announced once; changed is false if nothing is news.
func (o *Order) Delayed(lines []int32, problem string, now time.Time) (out []Announcement, changed bool) {
	if o.DeliveryProblem == problem || o.Delivery == orderv1.DeliveryState_DELIVERY_STATE_DELIVERED {
		return nil, false
	}
	o.DeliveryProblem = problem
	for _, n := range lines {
		if n < 1 || int(n) > len(o.Lines) || o.Lines[n-1].Delayed || o.Lines[n-1].State == orderv1.DeliveryState_DELIVERY_STATE_DELIVERED {
			continue
		}
		o.Lines[n-1].Delayed = true
		a := o.announce(event.ProductDeliveryDelayed, now)
		a.Line = int(n)
		out = append(out, a)
	}
	return out, true
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
	case verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED, verificationv1.Outcome_OUTCOME_EXPIRED:
		return true
	case verificationv1.Outcome_OUTCOME_UNSPECIFIED, verificationv1.Outcome_OUTCOME_PENDING, verificationv1.Outcome_OUTCOME_ON_HOLD,
		verificationv1.Outcome_OUTCOME_AUTHORIZED, verificationv1.Outcome_OUTCOME_PAID, verificationv1.Outcome_OUTCOME_REFUNDED,
		verificationv1.Outcome_OUTCOME_CHARGED_BACK:
	}
	return false
}

func largest(a, b money.Amount) money.Amount {
	if a.Currency == "" || b.Minor > a.Minor {
		return b
	}
	return a
}

func word(s PaymentState) string {
	if s == orderv1.PaymentState_PAYMENT_STATE_EXPIRED {
		return "expired"
	}
	return "canceled"
}
