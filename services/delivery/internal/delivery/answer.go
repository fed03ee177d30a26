package delivery

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Announcement is a fact for the order.
type Announcement struct {
	Type  string
	Lines []int32
	// Problem is set for delivery.delayed, and Failed then lists those of the lines
	// for which nothing is tried any more.
	Problem string
	Failed  []int32
}

// Announce lists what the order does not know yet of the delivery, and notes
// that it was told.
func (d *Delivery) Announce(now time.Time) []Announcement {
	var out []Announcement
	lines := d.delivered()
	news := len(lines) > d.Told
	if news {
		d.Told, d.Asked, d.AskedTimes = len(lines), now, 1
	}
	if news || d.ClosedFor != d.ClosedTold {
		d.ClosedTold = d.ClosedFor
		out = append(out, Announcement{Type: event.DeliveryCompleted, Lines: lines})
	}
	if total := d.revokedUnits(); total > d.Revocations.Told {
		d.Revocations = Asking{Told: total, At: now, Times: 1}
		out = append(out, Announcement{Type: event.DeliveryRevoked})
	}
	if lines, failed, problem := d.stuck(); problem != d.Announced {
		// A problem that is over is news to an order that waits for the line all the
		// same, not to one that hears that it is delivered.
		news := problem != "" || d.waits()
		d.Announced = problem
		if news {
			// A time, so that it grows even if the store is an older copy.
			d.Delays = max(d.Delays+1, now.UnixMilli())
			out = append(out, Announcement{Type: event.DeliveryDelayed, Lines: lines, Problem: problem, Failed: failed})
		}
	}
	return out
}

// waits reports whether a line still needs its licences.
func (d *Delivery) waits() bool {
	for i := range d.Lines {
		if l := &d.Lines[i]; d.Closed.IsZero() && l.Open > 0 && l.Delivered.IsZero() {
			return true
		}
	}
	return false
}

// Payload is the event message of an announcement.
func (d *Delivery) Payload(a Announcement) proto.Message {
	switch a.Type {
	case event.DeliveryDelayed:
		return &eventv1.DeliveryDelayed{
			DeliveryId: d.ID, OrderId: d.Order, MerchantId: d.Merchant, LineNumbers: a.Lines, Problem: a.Problem,
			FailedLineNumbers: a.Failed, Revision: d.Delays,
		}
	case event.DeliveryRevoked:
		return &eventv1.DeliveryRevoked{DeliveryId: d.ID, OrderId: d.Order, MerchantId: d.Merchant, Lines: d.revoked()}
	}
	return &eventv1.DeliveryCompleted{
		DeliveryId: d.ID, OrderId: d.Order, MerchantId: d.Merchant, LineNumbers: a.Lines, Licenses: d.record(a.Lines),
		ClosedFor: d.ClosedFor,
	}
}

// AskAgain lists the events that must be sent again because the order owes
// their answer, and notes that they were.
func (d *Delivery) AskAgain(now time.Time) []string {
	var out []string
	if d.unacknowledged() && !d.Asked.Add(askAgain.After(d.AskedTimes)).After(now) {
		d.Asked = now
		d.AskedTimes++
		out = append(out, event.DeliveryCompleted)
	}
	if r := &d.Revocations; d.revocationsUnknown() && !r.At.Add(askAgain.After(r.Times)).After(now) {
		r.At = now
		r.Times++
		out = append(out, event.DeliveryRevoked)
	}
	return out
}

// Repeat says which event answers an order that asks again for its delivery:
// empty if it will hear by itself.
func (d *Delivery) Repeat() string {
	switch {
	case !d.Closed.IsZero():
		return ""
	case len(d.delivered()) == len(d.Lines) && !d.unacknowledged():
		return event.DeliveryCompleted
	case d.Announced != "":
		return event.DeliveryDelayed
	}
	return ""
}

// Acknowledge notes that the order knows lines to be delivered. It reports
// whether that was news.
func (d *Delivery) Acknowledge(lines []int32) bool {
	news := false
	for _, n := range lines {
		if l := d.line(int(n)); l != nil && !l.Delivered.IsZero() && !l.Acknowledged {
			l.Acknowledged, news = true, true
		}
	}
	return news
}

// Close notes that the order is no longer paid. It reports whether that was news.
func (d *Delivery) Close(now time.Time) bool {
	if !d.Closed.IsZero() {
		return false
	}
	d.Closed = now
	return true
}

// CloseFor closes the delivery for an order in that state, which is told so when
// it is news.
func (d *Delivery) CloseFor(s orderv1.PaymentState, now time.Time) (closed bool) {
	d.ClosedFor = s
	return d.Close(now)
}

// Unpaid reports whether an order in this state has no claim to delivery any
// more. After a partial refund the customer keeps what was bought.
func Unpaid(s orderv1.PaymentState) bool {
	switch s {
	case orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK,
		orderv1.PaymentState_PAYMENT_STATE_CANCELED, orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		return true
	case orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED, orderv1.PaymentState_PAYMENT_STATE_UNPAID,
		orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, orderv1.PaymentState_PAYMENT_STATE_PAID,
		orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
	}
	return false
}

// Problem is why something waits and who must act, empty if nothing does.
func (d *Delivery) Problem() string {
	if !d.Closed.IsZero() {
		return "the order is no longer paid: nothing more is sent"
	}
	var texts []string
	for i := range d.Lines {
		texts = add(texts, d.Lines[i].Problem)
	}
	return strings.Join(texts, "; ")
}

// delivered lists the numbers of the delivered lines.
func (d *Delivery) delivered() []int32 {
	var out []int32
	for i := range d.Lines {
		if !d.Lines[i].Delivered.IsZero() {
			out = append(out, int32(i+1))
		}
	}
	return out
}

// stuck lists the lines that can't be delivered until somebody acts, those of
// them that have failed, and why.
func (d *Delivery) stuck() (lines, failed []int32, problem string) {
	var texts []string
	for i := range d.Lines {
		l := &d.Lines[i]
		if !l.Stuck || !l.Delivered.IsZero() || !d.Closed.IsZero() {
			continue
		}
		lines = append(lines, int32(i+1))
		if l.Failed {
			failed = append(failed, int32(i+1))
		}
		texts = add(texts, l.Problem)
	}
	return lines, failed, strings.Join(texts, "; ")
}

// add appends a text that is not there yet.
func add(texts []string, text string) []string {
	if text == "" || slices.Contains(texts, text) {
		return texts
	}
	return append(texts, text)
}
