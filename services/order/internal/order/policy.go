package order

import (
	"time"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// giveUp cancels the order after a payment that the provider says has failed or
// was canceled, if that is the shop's policy. While another payment may still
// bring the money the order stays open. An attempt that merely was not paid in
// time says nothing of the customer's wish.
func (o *Order) giveUp(f *eventv1.PaymentVerified, now time.Time) []Announcement {
	if !o.CancelOnFailure || o.Payment != orderv1.PaymentState_PAYMENT_STATE_UNPAID {
		return nil
	}
	switch f.GetOutcome() {
	case verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED:
	case verificationv1.Outcome_OUTCOME_UNSPECIFIED, verificationv1.Outcome_OUTCOME_PENDING, verificationv1.Outcome_OUTCOME_EXPIRED,
		verificationv1.Outcome_OUTCOME_ON_HOLD, verificationv1.Outcome_OUTCOME_AUTHORIZED, verificationv1.Outcome_OUTCOME_PAID,
		verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_CHARGED_BACK:
		return nil
	}
	for id, a := range o.Attempts {
		if id != f.GetAttemptId() && underWay(a.Outcome) {
			return nil
		}
	}
	o.Payment = orderv1.PaymentState_PAYMENT_STATE_CANCELED
	return []Announcement{o.announce(event.OrderCanceled, now)}
}

// underWay: the attempt may still bring money.
func underWay(o Outcome) bool {
	switch o {
	case verificationv1.Outcome_OUTCOME_PENDING, verificationv1.Outcome_OUTCOME_ON_HOLD, verificationv1.Outcome_OUTCOME_AUTHORIZED:
		return true
	case verificationv1.Outcome_OUTCOME_UNSPECIFIED, verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED,
		verificationv1.Outcome_OUTCOME_EXPIRED, verificationv1.Outcome_OUTCOME_PAID, verificationv1.Outcome_OUTCOME_REFUNDED,
		verificationv1.Outcome_OUTCOME_CHARGED_BACK:
	}
	return false
}
