package order

import (
	"fmt"
	"time"

	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

// WithoutCustomer are the payment methods that need no customer (words of
// Connect): the merchant collects the money.
var WithoutCustomer = []string{"other", "sms"}

// Fulfill merges what the fulfilment URL learned. It reports whether that is
// news. A user that is known already stays: what the merchant's server said
// weighs more than a link that a browser brought.
func (o *Order) Fulfill(f *eventv1.FulfillmentChanged) bool {
	news := false
	if o.User == "" && f.GetUserId() != "" && !o.Erased() {
		o.User, news = f.GetUserId(), true
	}
	if f.GetFulfillTime() != nil {
		if at := f.GetFulfillTime().AsTime(); o.Fulfilled.IsZero() || at.Before(o.Fulfilled) {
			o.Fulfilled, news = at.Truncate(time.Millisecond), true
		}
	}
	return news
}

// Assign connects the order to a customer. It reports whether that is news;
// ErrState if it is another customer's, or its customer was erased.
func (o *Order) Assign(customer string) (bool, error) {
	if o.Erased() {
		return false, fmt.Errorf("assign an order whose customer was erased: %w", ErrState)
	}
	switch o.CustomerID {
	case "":
		o.CustomerID = customer
		return true, nil
	case customer:
		return false, nil
	}
	return false, fmt.Errorf("assign an order of another customer: %w", ErrState)
}
