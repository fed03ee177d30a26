package delivery

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Announcement is a fact for the order.
type Announcement struct {
	Type  string
	Lines []int32
	// Problem is set for delivery.delayed.
	Problem string
}

// Announce lists what the order does not know yet of the delivery, and notes
// that it was told.
func (d *Delivery) Announce(now time.Time) []Announcement {
	var out []Announcement
	if lines := d.delivered(); len(lines) > d.Told {
		d.Told, d.Asked, d.AskedTimes = len(lines), now, 1
		out = append(out, Announcement{Type: event.DeliveryCompleted, Lines: lines})
	}
	if lines, problem := d.stuck(); problem != d.Announced {
		d.Announced = problem
		if problem != "" {
			out = append(out, Announcement{Type: event.DeliveryDelayed, Lines: lines, Problem: problem})
		}
	}
	return out
}

// Payload is the event message of an announcement.
func (d *Delivery) Payload(a Announcement) proto.Message {
	if a.Type == event.DeliveryDelayed {
		return &eventv1.DeliveryDelayed{
			DeliveryId: d.ID, OrderId: d.Order, MerchantId: d.Merchant, LineNumbers: a.Lines, Problem: a.Problem,
		}
	}
	return &eventv1.DeliveryCompleted{
		DeliveryId: d.ID, OrderId: d.Order, MerchantId: d.Merchant, LineNumbers: a.Lines, Licenses: d.record(a.Lines),
	}
}

// AskAgain reports whether the order must be asked again for its answer, and
// notes that it was.
func (d *Delivery) AskAgain(now time.Time) bool {
	if !d.unacknowledged() || d.Asked.Add(askAgain.After(d.AskedTimes)).After(now) {
		return false
	}
	d.Asked = now
	d.AskedTimes++
	return true
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

// View is the delivery as its merchant sees it; keys holds the licence keys of
// each line.
func (d *Delivery) View(keys [][]string) *deliveryv1.Delivery {
	v := &deliveryv1.Delivery{Id: d.ID, OrderId: d.Order, Problem: d.Problem()}
	for i := range d.Lines {
		l := &d.Lines[i]
		line := &deliveryv1.DeliveryLine{
			LineNumber: int32(i + 1), ProductId: l.Product, Quantity: int64(l.Quantity), Delivered: !l.Delivered.IsZero(),
		}
		if i < len(keys) {
			line.LicenseKeys = keys[i]
		}
		if !l.Mailed.IsZero() {
			line.MailTime = timestamppb.New(l.Mailed)
		}
		v.Lines = append(v.Lines, line)
	}
	return v
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

// stuck lists the lines that can't be delivered until somebody acts, and why.
func (d *Delivery) stuck() ([]int32, string) {
	var lines []int32
	var texts []string
	for i := range d.Lines {
		l := &d.Lines[i]
		if !l.Stuck || !l.Delivered.IsZero() || !d.Closed.IsZero() {
			continue
		}
		lines = append(lines, int32(i+1))
		texts = add(texts, l.Problem)
	}
	return lines, strings.Join(texts, "; ")
}

// add appends a text that is not there yet.
func add(texts []string, text string) []string {
	if text == "" || slices.Contains(texts, text) {
		return texts
	}
	return append(texts, text)
}
