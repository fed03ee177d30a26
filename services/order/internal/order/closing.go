package order

import (
	"time"

	"quittance/pkg/event"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Closing is how far delivery has been told that the order it was asked to
// deliver is no longer paid.
type Closing struct {
	// Known is the state of the payment that delivery has answered for.
	Known PaymentState `json:"known,omitempty"`
	// Asked is when it was last told again, and Times how often.
	Asked time.Time `json:"asked,omitzero"`
	Times int       `json:"times,omitempty"`
}

// closingEvent is the event that tells delivery to deliver nothing more of an
// order that it was asked to deliver; empty if it need not be told, or has answered.
func (o *Order) closingEvent() string {
	if o.AskedDelivery.IsZero() || o.Closing.Known == o.Payment {
		return ""
	}
	switch o.Payment {
	case orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK:
		return event.OrderRefunded
	case orderv1.PaymentState_PAYMENT_STATE_CANCELED:
		return event.OrderCanceled
	case orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED, orderv1.PaymentState_PAYMENT_STATE_UNPAID,
		orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, orderv1.PaymentState_PAYMENT_STATE_PAID,
		orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_EXPIRED, orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
	}
	return ""
}

// closingDue is when to tell delivery again: the first time counts from the
// public event that told it.
func (o *Order) closingDue() time.Time {
	if o.closingEvent() == "" {
		return time.Time{}
	}
	last := o.Closing.Asked
	if o.Changed.After(last) {
		last = o.Changed
	}
	return last.Add(resend.After(o.Closing.Times + 1))
}

// closeAgain tells delivery again if it is time. It returns the event to repeat,
// empty if none.
func (o *Order) closeAgain(now time.Time) string {
	due := o.closingDue()
	if due.IsZero() || due.After(now) {
		return ""
	}
	o.Closing.Asked = now
	o.Closing.Times++
	return o.closingEvent()
}

// Closed notes for which state of the order delivery has closed. It reports
// whether that was awaited.
func (o *Order) Closed(s PaymentState) bool {
	if o.closingEvent() == "" || s != o.Payment {
		return false
	}
	o.Closing = Closing{Known: s}
	return true
}
