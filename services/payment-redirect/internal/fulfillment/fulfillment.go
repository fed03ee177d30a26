// Package fulfillment is the fulfillment aggregate: what the fulfilment URL
// learned of an order, and whether the order knows it. It is pure: time and
// facts are arguments.
package fulfillment

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/backoff"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

// resendFor is how long an unanswered fact is sent again.
const resendFor = 90 * 24 * time.Hour

// resend is how long the order's answer is waited for before the fact is sent
// again: 1 m, 5 m, 30 m, 2 h, 12 h, then every day.
var resend = backoff.Schedule{
	time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// Fulfillment is the stored document, one per order.
type Fulfillment struct {
	Order    string `json:"order"`
	Merchant string `json:"merchant"`
	// User is the logged-in user that the storefront signed.
	User string `json:"user,omitempty"`
	// Fulfilled is when the customer was first sent back with success.
	Fulfilled time.Time `json:"fulfilled,omitzero"`

	// Revision numbers the changes, Known is the one that the order knows.
	Revision int64 `json:"revision"`
	Known    int64 `json:"known,omitempty"`
	// Since is when the latest change was made, Sent when it was last sent.
	Since     time.Time `json:"since,omitzero"`
	Sent      time.Time `json:"sent,omitzero"`
	SentTimes int       `json:"sent_times,omitempty"`
}

// Learn merges a user (empty: not told) and whether the customer was sent back
// with success. It reports whether that is news. The first user stays.
func (f *Fulfillment) Learn(user string, fulfilled bool, now time.Time) bool {
	news := false
	if f.User == "" && user != "" {
		f.User, news = user, true
	}
	if f.Fulfilled.IsZero() && fulfilled {
		f.Fulfilled, news = now, true
	}
	if news {
		f.Revision++
		f.Since, f.Sent, f.SentTimes = now, now, 1
	}
	return news
}

// Erase drops who bought. It reports whether that was known.
func (f *Fulfillment) Erase() bool {
	known := f.User != ""
	f.User = ""
	return known
}

// Answer notes that the order knows a revision. It reports whether that is news.
func (f *Fulfillment) Answer(revision int64) bool {
	if revision <= f.Known || revision > f.Revision {
		return false
	}
	f.Known = revision
	return true
}

// Resend reports whether the latest change is to be sent again now, and notes
// that it is.
func (f *Fulfillment) Resend(now time.Time) bool {
	due := NextDue(f)
	if due.IsZero() || due.After(now) {
		return false
	}
	f.Sent = now
	f.SentTimes++
	return true
}

// NextDue is when the latest change is to be sent again, zero for never.
func NextDue(f *Fulfillment) time.Time {
	if f.Known >= f.Revision {
		return time.Time{}
	}
	if next := f.Sent.Add(resend.After(f.SentTimes)); !next.After(f.Since.Add(resendFor)) {
		return next
	}
	return time.Time{}
}

// Payload is the message of fulfillment.changed.
func (f *Fulfillment) Payload() *eventv1.FulfillmentChanged {
	p := &eventv1.FulfillmentChanged{OrderId: f.Order, MerchantId: f.Merchant, UserId: f.User, Revision: f.Revision}
	if !f.Fulfilled.IsZero() {
		p.FulfillTime = timestamppb.New(f.Fulfilled)
	}
	return p
}
