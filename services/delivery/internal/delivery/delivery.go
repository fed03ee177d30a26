// Package delivery holds the two aggregates of the delivery service: the
// delivery of an order, and the licence that one of its units may hold. It
// says which unit gets which licence, what is mailed when, and which facts
// follow. It is pure: time and facts are arguments, documents and
// announcements are results.
package delivery

import (
	"fmt"
	"strings"
	"time"

	"quittance/pkg/backoff"
	"quittance/pkg/id"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Limits of a delivery. They are the order service's; a larger order can't have
// come from there.
const (
	maxLines    = 50
	maxQuantity = 10_000
)

// Pauses; beyond the end the last one repeats.
var (
	// lookAgain is how long a line waits after its pool was found empty. An
	// import ends the pause.
	lookAgain = backoff.Schedule{5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute}
	// mailAgain is how long a mail waits that was not accepted for now.
	mailAgain = backoff.Schedule{
		10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour,
	}
	// askAgain is how long the order has to answer delivery.completed.
	askAgain = backoff.Schedule{
		30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
	}
)

// refusedAgain is how long a mail waits that was refused for good: until then
// somebody may have put right what was wrong.
const refusedAgain = 24 * time.Hour

// Method is how a product reaches the customer.
type Method = orderv1.DeliveryMethod

// Delivery is the stored document: what an order's customer is to get, and has
// got. It shows at most one licence per unit and never changes which.
type Delivery struct {
	ID       string `json:"id"`
	Order    string `json:"order"`
	Merchant string `json:"merchant"`
	Email    string `json:"email"`
	Customer string `json:"customer,omitempty"`
	// Locale is the customer's, as the order tells it (BCP 47); empty: unknown.
	Locale string `json:"locale,omitempty"`
	// Erased: the customer is, and no more mails are sent.
	Erased bool `json:"erased,omitempty"`
	// MailTexts holds the merchant's texts by product, as they were when the
	// order was paid.
	MailTexts map[string]string `json:"mail_texts,omitempty"`
	Lines     []Line            `json:"lines"`
	Created   time.Time         `json:"created"`
	// Closed is since when the order is no longer paid: nothing more is
	// assigned or mailed. Zero while it is paid. A closed delivery stays closed.
	Closed time.Time `json:"closed,omitzero"`
	// ClosedFor is the order's state that the delivery was last told of while
	// closed; ClosedTold is the one that the order was answered. A delivery that
	// was closed by an earlier release or by reconciling has none.
	ClosedFor  orderv1.PaymentState `json:"closed_for,omitempty"`
	ClosedTold orderv1.PaymentState `json:"closed_told,omitempty"`

	// Told is how many delivered lines delivery.completed has named, Asked when
	// it was last sent, and AskedTimes how often since it last grew.
	Told       int       `json:"told,omitempty"`
	Asked      time.Time `json:"asked,omitzero"`
	AskedTimes int       `json:"asked_times,omitempty"`
	// Revocations is about delivery.revoked what Told, Asked and AskedTimes are
	// about delivery.completed; Told counts units.
	Revocations Asking `json:"revocations,omitzero"`
	// Announced is the problem of the latest delivery.delayed, empty if it is over,
	// and Delays its revision.
	Announced string `json:"announced,omitempty"`
	Delays    int64  `json:"delays,omitempty"`
}

// Asking is how far the order was told of something.
type Asking struct {
	Told  int       `json:"told,omitempty"`
	At    time.Time `json:"at,omitzero"`
	Times int       `json:"times,omitempty"`
}

// Line is one product of the order.
type Line struct {
	Product  string `json:"product"`
	Name     string `json:"name"`
	Quantity int    `json:"quantity"`
	Method   Method `json:"method"`
	// Fallback is the method after Method has failed, unspecified: none. Fallen is
	// since when it is used.
	Fallback Method    `json:"fallback,omitempty"`
	Fallen   time.Time `json:"fallen,omitzero"`
	// PerLine: the line is one unit, however many pieces were bought.
	PerLine bool `json:"per_line,omitempty"`
	// Licenses of the units; Open is how many units still need one.
	Licenses Assigned `json:"licenses,omitempty"`
	Open     int      `json:"open,omitempty"`

	// AssignAt is when to look for licences in the pool or to call the merchant's
	// web service, AssignTries how often there were too few or the call failed,
	// Failing since when it has. Wakes counts imports into the pool while the line
	// waited.
	AssignAt    time.Time `json:"assign_at,omitzero"`
	AssignTries int       `json:"assign_tries,omitempty"`
	Failing     time.Time `json:"failing,omitzero"`
	Wakes       int       `json:"wakes,omitempty"`
	// Again counts how often a unit's licence was replaced.
	Again map[int]int `json:"again,omitempty"`
	// Ending is what becomes of all licences of the line, and why, since the order
	// is no longer paid; Ended is how many units that was done for.
	Ending Disposition `json:"ending,omitempty"`
	Why    string      `json:"why,omitempty"`
	Ended  int         `json:"ended,omitempty"`
	EndAt  time.Time   `json:"end_at,omitzero"`
	// Outgoing are single licences that are to be revoked.
	Outgoing []Outgoing `json:"outgoing,omitempty"`
	// Revoked is how many units may use their licence no more; the order knows of
	// RevokedKnown. RevokedUnits are those of them that were revoked by themselves.
	Revoked      int   `json:"revoked,omitempty"`
	RevokedKnown int   `json:"revoked_known,omitempty"`
	RevokedUnits []int `json:"revoked_units,omitempty"`

	// MailAt is when to send the mail, MailTries how often that failed. Resends
	// is how often the merchant asked for the mail again, Resent the latest of
	// these that went out.
	MailAt    time.Time `json:"mail_at,omitzero"`
	MailTries int       `json:"mail_tries,omitempty"`
	Resends   int       `json:"resends,omitempty"`
	Resent    int       `json:"resent,omitempty"`

	// Delivered is when the mail first went out, Mailed when it last did.
	Delivered time.Time `json:"delivered,omitzero"`
	Mailed    time.Time `json:"mailed,omitzero"`
	// Acknowledged: the order knows that the line is delivered.
	Acknowledged bool `json:"acknowledged,omitempty"`

	// Problem is why the line waits. Stuck: somebody must act. Failed: nothing is
	// tried any more until then.
	Problem string `json:"problem,omitempty"`
	Stuck   bool   `json:"stuck,omitempty"`
	Failed  bool   `json:"failed,omitempty"`
}

// units is how many licences the line needs in all.
func (l *Line) units() int {
	if l.PerLine {
		return 1
	}
	return l.Quantity
}

// byService reports whether the line's licences come from the merchant's web
// service now.
func (l *Line) byService() bool {
	return l.Method == orderv1.DeliveryMethod_DELIVERY_METHOD_WEB_SERVICE && l.Fallen.IsZero()
}

// Stage is what a line needs next.
type Stage uint8

// The stages of a line.
const (
	// StageAssign: licences for its units. If its pool is empty, or the merchant's
	// web service refuses, the merchant acts.
	StageAssign Stage = iota + 1
	// StageMail: a mail to go out. If it is refused the merchant acts.
	StageMail
	// StageDone: nothing; the order may still have to acknowledge it.
	StageDone
)

// Stage says what the line needs next.
func (l *Line) Stage() Stage {
	switch {
	case l.Open > 0:
		return StageAssign
	case l.Delivered.IsZero() || l.Resent < l.Resends:
		return StageMail
	}
	return StageDone
}

// ID is the id of an order's delivery.
func ID(order string) string { return id.Derived("dlv", order) }

// New is the delivery of an order as one of its events shows it. An error means
// that no order looks like this.
func New(fact *eventv1.OrderEvent, now time.Time) (*Delivery, error) {
	o := fact.GetOrder()
	switch {
	case o.GetId() == "" || strings.Contains(o.GetId(), "/") || o.GetMerchantId() == "":
		return nil, fmt.Errorf("event of order %q of merchant %q", o.GetId(), o.GetMerchantId())
	case len(o.GetLines()) == 0 || len(o.GetLines()) > maxLines:
		return nil, fmt.Errorf("order %s has %d lines", o.GetId(), len(o.GetLines()))
	}
	d := &Delivery{
		ID: ID(o.GetId()), Order: o.GetId(), Merchant: o.GetMerchantId(),
		Email: o.GetCustomer().GetEmail(), Customer: o.GetCustomer().GetName(), Locale: o.GetCustomer().GetLocale(),
		MailTexts: fact.GetMailTexts(), Created: now,
	}
	for i, ol := range o.GetLines() {
		if int(ol.GetNumber()) != i+1 || ol.GetQuantity() < 1 || ol.GetQuantity() > maxQuantity || ol.GetProductId() == "" {
			return nil, fmt.Errorf("order %s: line %d is number %d with %d of product %q",
				o.GetId(), i+1, ol.GetNumber(), ol.GetQuantity(), ol.GetProductId())
		}
		l := Line{
			Product: ol.GetProductId(), Name: ol.GetName(), Quantity: int(ol.GetQuantity()), Method: ol.GetDeliveryMethod(),
		}
		switch l.Method {
		case orderv1.DeliveryMethod_DELIVERY_METHOD_POOL:
			l.Open, l.AssignAt = l.Quantity, now
		case orderv1.DeliveryMethod_DELIVERY_METHOD_WEB_SERVICE:
			l.Open, l.AssignAt, l.Fallback = l.Quantity, now, ol.GetFallbackMethod()
		case orderv1.DeliveryMethod_DELIVERY_METHOD_MAIL:
			l.MailAt = now
		case orderv1.DeliveryMethod_DELIVERY_METHOD_UNSPECIFIED:
			return nil, fmt.Errorf("order %s: line %d has no delivery method", o.GetId(), i+1)
		default:
			return nil, fmt.Errorf("order %s: line %d has delivery method %d", o.GetId(), i+1, l.Method)
		}
		d.Lines = append(d.Lines, l)
	}
	return d, nil
}

// NextDue is when the delivery has work to do: licences to assign, mails to
// send, the order to ask for its answer.
func NextDue(d *Delivery) time.Time {
	var next time.Time
	at := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for i := range d.Lines {
		if l := &d.Lines[i]; l.ending() {
			at(l.EndAt)
		}
	}
	for i := range d.Lines {
		if !d.Closed.IsZero() {
			break
		}
		switch l := &d.Lines[i]; l.Stage() {
		case StageAssign:
			if !l.Failed {
				at(l.AssignAt)
			}
		case StageMail:
			if !d.Erased {
				at(l.MailAt)
			}
		case StageDone:
		}
	}
	if d.unacknowledged() {
		at(d.Asked.Add(askAgain.After(d.AskedTimes)))
	}
	if d.revocationsUnknown() {
		at(d.Revocations.At.Add(askAgain.After(d.Revocations.Times)))
	}
	return next
}

// unacknowledged: the order was told of lines and has not answered for all.
func (d *Delivery) unacknowledged() bool {
	for i := range d.Lines {
		if l := &d.Lines[i]; !l.Delivered.IsZero() && !l.Acknowledged {
			return true
		}
	}
	return false
}

// line is the line of that number, nil if there is none.
func (d *Delivery) line(number int) *Line {
	if number < 1 || number > len(d.Lines) {
		return nil
	}
	return &d.Lines[number-1]
}
