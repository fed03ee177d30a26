package order

import (
	"time"

	"quittance/pkg/event"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// remindAt is when the order next announces that its payment is due, zero for
// never: only customers who can pay, and have neither paid nor have their payment
// under review, are reminded.
func (o *Order) remindAt() time.Time {
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_UNPAID || o.Method != "" || o.Reminded >= len(o.Reminders) {
		return time.Time{}
	}
	return o.Created.Add(o.Reminders[o.Reminded])
}

// remind announces that the payment is due. Times that were missed meanwhile are
// over with it: nobody is reminded twice at once.
func (o *Order) remind(now time.Time) []Announcement {
	for at := o.remindAt(); !at.IsZero() && !at.After(now); at = o.remindAt() {
		o.Reminded++
	}
	return []Announcement{o.announce(event.OrderPaymentDue, now)}
}
