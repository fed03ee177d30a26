package order

import (
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
	if o.User == "" && f.GetUserId() != "" {
		o.User, news = f.GetUserId(), true
	}
	if f.GetFulfillTime() != nil {
		if at := f.GetFulfillTime().AsTime(); o.Fulfilled.IsZero() || at.Before(o.Fulfilled) {
			o.Fulfilled, news = at.Truncate(time.Millisecond), true
		}
	}
	return news
}
