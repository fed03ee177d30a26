package order

import (
	"fmt"
	"slices"
	"time"

	"quittance/pkg/event"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// Erasure is that the personal data of the order's customer was erased, and who
// has not answered that it is erased there too.
type Erasure struct {
	At time.Time `json:"at"`
	// Waits are the services that have not answered. Asked is when they were last
	// told, and Times how often.
	Waits []string  `json:"waits,omitempty"`
	Asked time.Time `json:"asked,omitzero"`
	Times int       `json:"times,omitempty"`
	// Dirty: what this service has beside the order is still to be erased. Account
	// is the customer that the order was assigned to.
	Dirty   bool   `json:"dirty,omitempty"`
	Account string `json:"account,omitempty"`
}

// Erased reports whether the customer's personal data was erased.
func (o *Order) Erased() bool { return o.Erasure != nil }

// Erase erases the customer's personal data; the services named are to do the
// same. ErrState, with what must happen first, while the order still needs it.
// Once erased, it has the services asked again, and announces nothing.
func (o *Order) Erase(services []string, now time.Time) ([]Announcement, error) {
	if o.Erasure != nil {
		o.Erasure.Waits, o.Erasure.Asked, o.Erasure.Times, o.Erasure.Dirty = slices.Clone(services), now, 1, true
		return nil, nil
	}
	if err := o.MayErase(); err != nil {
		return nil, err
	}
	o.Erasure = &Erasure{At: now, Waits: slices.Clone(services), Asked: now, Times: 1, Dirty: true, Account: o.CustomerID}
	o.Customer, o.User, o.CustomerID, o.ReturnURL, o.Metadata, o.Request = Customer{}, "", "", "", nil, ""
	if o.Payer != nil && o.Payer.Country != "" {
		o.Payer = &Payer{Country: o.Payer.Country} // taxes depend on it
	} else {
		o.Payer = nil
	}
	for i := range o.Operations {
		o.Operations[i].Detail = ""
	}
	return []Announcement{o.announce(event.CustomerErased, now)}, nil
}

// MayErase is ErrState, with what must happen first, while the order still needs
// its customer's data.
func (o *Order) MayErase() error {
	if why := o.needsCustomer(); why != "" {
		return fmt.Errorf("erase the customer of order %s, %s: %w", o.ID, why, ErrState)
	}
	return nil
}

// needsCustomer says why the customer's data is needed, and what must happen
// first; empty if it isn't.
func (o *Order) needsCustomer() string {
	switch o.Payment {
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID, orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
		return "which is unpaid and open (cancel it first)"
	case orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
		return "which is on hold (" + holdWord(o.Hold) + ")"
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		return "whose money is reserved (capture or cancel it first)"
	case orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED:
		if o.Delivery != orderv1.DeliveryState_DELIVERY_STATE_DELIVERED {
			return "which is paid and not delivered (deliver or refund it first)"
		}
	case orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK,
		orderv1.PaymentState_PAYMENT_STATE_CANCELED, orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		if o.closingEvent() != "" {
			return "whose delivery is about to be closed (try again soon)"
		}
	}
	for i := range o.Operations {
		switch op := &o.Operations[i]; {
		case op.open() || !op.Answered:
			return "of which money is on its way (wait for the provider's answer)"
		case needsHand(op.State):
			return "of which money is to be moved by hand (do so, and mark the operation as done, first)"
		}
	}
	for _, a := range o.Attempts {
		if !a.Refused && (a.Outcome == verificationv1.Outcome_OUTCOME_PENDING ||
			a.Outcome == verificationv1.Outcome_OUTCOME_ON_HOLD && !a.Accepted) {
			return "of which a payment is under way (wait for the provider's answer)"
		}
	}
	return ""
}

// holdWord says what ends a hold.
func holdWord(h *Hold) string {
	if h != nil && h.Reason == orderv1.HoldReason_HOLD_REASON_PROVIDER_REVIEW {
		return "wait for the provider's answer"
	}
	return "resolve it first"
}

// eraseAt is when the customer's data has been kept for long enough, zero for
// never, or not while it is needed.
func (o *Order) eraseAt() time.Time {
	if o.EraseAfter <= 0 || o.Erasure != nil || o.needsCustomer() != "" {
		return time.Time{}
	}
	return o.Changed.Add(o.EraseAfter)
}

// EraseDue reports whether the customer's data has been kept for long enough.
func (o *Order) EraseDue(now time.Time) bool {
	at := o.eraseAt()
	return !at.IsZero() && !at.After(now)
}

// erasureDue is when there is something to do about the customer's data, zero for
// never.
func (o *Order) erasureDue() time.Time {
	switch e := o.Erasure; {
	case e == nil:
		return o.eraseAt()
	case e.Dirty:
		return e.Asked
	case len(e.Waits) > 0:
		return e.Asked.Add(resend.After(e.Times))
	}
	return time.Time{}
}

// eraseAgain reports whether the services that have not answered are to be told
// again now, and notes that they are.
func (o *Order) eraseAgain(now time.Time) bool {
	e := o.Erasure
	if e == nil || len(e.Waits) == 0 || e.Asked.Add(resend.After(e.Times)).After(now) {
		return false
	}
	e.Asked = now
	e.Times++
	return true
}

// Cleaned notes that nothing of the customer is left beside the order.
func (o *Order) Cleaned() {
	if o.Erasure != nil {
		o.Erasure.Dirty, o.Erasure.Account = false, ""
	}
}

// ErasedBy notes that a service has erased what it had. It reports whether that
// was awaited.
func (o *Order) ErasedBy(service string) bool {
	if o.Erasure == nil {
		return false
	}
	i := slices.Index(o.Erasure.Waits, service)
	if i < 0 {
		return false
	}
	o.Erasure.Waits = slices.Delete(o.Erasure.Waits, i, i+1)
	return true
}
