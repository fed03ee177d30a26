package order

import (
	"slices"
	"testing"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/money"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

const aDay = 24 * time.Hour

func remindable(reminders ...time.Duration) (*Order, time.Time) {
	o := &Order{ID: "ord_1", Total: money.Amount{Minor: 1000, Currency: "EUR"}, Reminders: reminders}
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	o.Create(start)
	return o, start
}

// announced lives the order's due work until it has none, and says after how
// many days it announced what.
func announced(o *Order, start time.Time) (types []string, days []int) {
	for at := NextDue(o); !at.IsZero(); at = NextDue(o) {
		if early, _ := o.Work(at.Add(-time.Second)); len(early) > 0 {
			types = append(types, "early "+early[0].Type)
		}
		out, _ := o.Work(at)
		for _, a := range out {
			types, days = append(types, a.Type), append(days, int(at.Sub(start)/aDay))
		}
		if len(out) == 0 {
			break
		}
	}
	return types, days
}

// S15: reminders at the merchant's times, then expiry.
func TestS15UnpaidOrdersRemindAndThenExpire(t *testing.T) {
	o, start := remindable(3*aDay, 10*aDay)
	types, days := announced(o, start)
	if !slices.Equal(types, []string{event.OrderPaymentDue, event.OrderPaymentDue, event.OrderExpired}) || !slices.Equal(days, []int{3, 10, 90}) {
		t.Errorf("%v after %v days", types, days)
	}
	if o.Sequence != 4 {
		t.Errorf("the last event has the number %d", o.Sequence)
	}
}

// After an outage the customer gets one reminder for all that were missed, and
// none instead of the expiry.
func TestMissedRemindersAreOne(t *testing.T) {
	o, start := remindable(3*aDay, 10*aDay, 80*aDay)
	out, _ := o.Work(start.Add(20 * aDay))
	if len(out) != 1 || out[0].Type != event.OrderPaymentDue || NextDue(o) != start.Add(80*aDay) {
		t.Errorf("%v, next %v", out, NextDue(o))
	}
	o, start = remindable(3 * aDay)
	out, _ = o.Work(start.Add(ExpireAfter))
	if len(out) != 1 || out[0].Type != event.OrderExpired || !NextDue(o).IsZero() {
		t.Errorf("%v, next %v", out, NextDue(o))
	}
}

// Nobody is reminded of an order that is not theirs to pay now.
func TestOnlyUnpaidOrdersRemind(t *testing.T) {
	for name, change := range map[string]func(o *Order, now time.Time){
		"paid":                      func(o *Order, now time.Time) { o.pay("att_1", 1, now) },
		"canceled":                  func(o *Order, now time.Time) { _, _ = o.Cancel(now) },
		"on hold":                   func(o *Order, _ time.Time) { o.Payment = orderv1.PaymentState_PAYMENT_STATE_ON_HOLD },
		"authorized":                func(o *Order, _ time.Time) { o.Payment = orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED },
		"expired":                   func(o *Order, _ time.Time) { o.Payment = orderv1.PaymentState_PAYMENT_STATE_EXPIRED },
		"collected by the merchant": func(o *Order, _ time.Time) { o.Method = WithoutCustomer[0] },
		"none wanted":               func(o *Order, _ time.Time) { o.Reminders = nil },
	} {
		o, start := remindable(3*aDay, 10*aDay)
		change(o, start.Add(time.Hour))
		for day := range 30 {
			out, _ := o.Work(start.Add(time.Duration(day) * aDay))
			if slices.ContainsFunc(out, func(a Announcement) bool { return a.Type == event.OrderPaymentDue }) {
				t.Errorf("%s: reminded after %d days", name, day)
			}
		}
	}
}

// A hold that ends without money leaves an order that waits for its customer again.
func TestAReminderWaitsForTheEndOfAHold(t *testing.T) {
	o, start := remindable(3*aDay, 10*aDay)
	o.Payment = orderv1.PaymentState_PAYMENT_STATE_ON_HOLD
	if out, _ := o.Work(start.Add(4 * aDay)); len(out) > 0 {
		t.Fatalf("on hold: %v", out)
	}
	o.Payment = orderv1.PaymentState_PAYMENT_STATE_UNPAID
	if out, _ := o.Work(start.Add(5 * aDay)); len(out) != 1 || out[0].Type != event.OrderPaymentDue || NextDue(o) != start.Add(10*aDay) {
		t.Errorf("%v, next %v", out, NextDue(o))
	}
}
