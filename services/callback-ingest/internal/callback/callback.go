// Package callback is the callback aggregate: what a provider sent, what was
// understood of it, and whether verification has dealt with it. It is pure:
// time and facts are arguments.
package callback

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/backoff"
	"quittance/pkg/id"
	"quittance/pkg/money"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// ResendFor is how long an unanswered callback is sent again.
const ResendFor = 90 * 24 * time.Hour

// resend is how long the answer of verification is waited for before
// callback.received is sent again: 1 m, 5 m, 30 m, 2 h, 12 h, then every day.
var resend = backoff.Schedule{
	time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// State is how far a callback came.
type State int

// States of a callback.
const (
	// Refused: not authentic or unreadable. Nobody acts.
	Refused State = iota + 1
	// Waiting: verification acts next.
	Waiting
	// Answered: verification has dealt with it.
	Answered
)

// Callback is the stored document.
type Callback struct {
	ID       string    `json:"id"`
	Merchant string    `json:"merchant"`
	Account  string    `json:"account"`
	Provider string    `json:"provider"`
	Received time.Time `json:"received"`
	// Request is what came. It is stored as Raw, sealed, because it can hold
	// what pays later purchases and whom it is about; empty once it is forgotten.
	Request Request `json:"-"`
	Raw     string  `json:"raw,omitempty"`

	// Refusal says why the callback was refused; empty: it was not.
	Refusal string     `json:"refusal,omitempty"`
	Content Understood `json:"content,omitzero"`

	// Unacknowledged: the provider was told that it was refused; a replay found
	// it good.
	Unacknowledged bool `json:"unacknowledged,omitempty"`

	// Sent is when callback.received was last sent, SentTimes how often.
	Sent      time.Time `json:"sent,omitzero"`
	SentTimes int       `json:"sent_times,omitempty"`
	// AnsweredAt is when verification's answer came, and Order the order that it
	// named.
	AnsweredAt time.Time `json:"answered,omitzero"`
	Order      string    `json:"order,omitempty"`
}

// Understood is what a callback says, once its provider has read it.
type Understood struct {
	// Reference is ours: the attempt's.
	Reference   string       `json:"reference,omitempty"`
	Transaction string       `json:"transaction,omitempty"`
	Claim       string       `json:"claim,omitempty"`
	Signed      bool         `json:"signed,omitempty"`
	Refunded    money.Amount `json:"refunded,omitzero"`
	// OneClick is a token for later purchases, sealed.
	OneClick string `json:"one_click,omitempty"`
}

// Request is what a provider sent, without credentials.
type Request struct {
	Method string `json:"method"`
	// Query is the query string; bytes that are no printable ASCII are
	// percent-encoded.
	Query  string              `json:"query,omitempty"`
	Header map[string][]string `json:"header,omitempty"`
	Body   []byte              `json:"body,omitempty"`
	// Remote is the peer's IP address.
	Remote string `json:"remote,omitempty"`
}

// Accepted is a readable callback. Repeats of it, which have the same dedupe
// key, get the same id.
func Accepted(merchant, account, provider, dedupeKey string, r Request, content Understood, now time.Time) *Callback {
	return &Callback{
		ID: id.Derived("cbk", account, dedupeKey), Merchant: merchant, Account: account, Provider: provider,
		Received: now, Request: r, Content: content,
	}
}

// RefusedFor is a callback that is not authentic or could not be read. The
// same request gets the same id.
func RefusedFor(reason, merchant, account, provider string, r Request, now time.Time) *Callback {
	return &Callback{
		ID:       id.Derived("cbk", "refused", account, r.Method, r.Query, string(r.Body)),
		Merchant: merchant, Account: account, Provider: provider,
		Received: now, Request: r, Refusal: reason,
	}
}

// State is how far the callback came.
func (c *Callback) State() State {
	switch {
	case c.Refusal != "":
		return Refused
	case c.AnsweredAt.IsZero():
		return Waiting
	default:
		return Answered
	}
}

// Key orders the handling of callbacks: those of one attempt come one after
// the other.
func (c *Callback) Key() string {
	if c.Content.Reference == "" {
		return c.ID
	}
	return c.Content.Reference
}

// Send notes that callback.received is sent for the first time.
func (c *Callback) Send(now time.Time) { c.Sent, c.SentTimes = now, 1 }

// Resend reports whether callback.received is to be sent again now, and notes
// that it is.
func (c *Callback) Resend(now time.Time) bool {
	due := NextDue(c)
	if due.IsZero() || due.After(now) {
		return false
	}
	c.Sent = now
	c.SentTimes++
	return true
}

// Answer notes that verification has dealt with the callback, which is about an
// order. It reports whether that is news.
func (c *Callback) Answer(order string, now time.Time) bool {
	switch c.State() {
	case Waiting:
		c.AnsweredAt, c.Order = now, order
		return true
	case Answered:
		if c.Order == "" && order != "" {
			c.Order = order
			return true
		}
	case Refused:
	}
	return false
}

// Erase drops whom the callback is about: what came, and what it brought for
// later purchases. It reports whether there was any of it.
func (c *Callback) Erase() bool {
	had := c.Raw != "" || c.Content.OneClick != ""
	c.Raw, c.Content.OneClick = "", ""
	return had
}

// Replay has callback.received sent again, whatever became of it. It reports
// false for a refused callback, which was never sent.
func (c *Callback) Replay(now time.Time) bool {
	if c.State() == Refused {
		return false
	}
	c.AnsweredAt = time.Time{}
	c.Send(now)
	return true
}

// Forget drops the raw request if it has been kept for long enough. It reports
// whether there was one to drop.
func (c *Callback) Forget(now time.Time, keep time.Duration) bool {
	if c.Raw == "" || now.Before(c.Received.Add(keep)) {
		return false
	}
	return c.Erase()
}

// Due is when a callback has work to do: to be sent again, or to have its raw
// request forgotten, which is kept for the given time.
func Due(keep time.Duration) func(*Callback) time.Time {
	return func(c *Callback) time.Time {
		due := NextDue(c)
		if c.Raw == "" {
			return due
		}
		if end := c.Received.Add(keep); due.IsZero() || end.Before(due) {
			return end
		}
		return due
	}
}

// NextDue is when callback.received is to be sent again, zero for never.
func NextDue(c *Callback) time.Time {
	switch c.State() {
	case Waiting:
		if next := c.Sent.Add(resend.After(c.SentTimes)); !next.After(c.Received.Add(ResendFor)) {
			return next
		}
	case Answered, Refused:
	}
	return time.Time{}
}

// Payload is the message of callback.received. The callback is acknowledged as
// soon as it is recorded, unless it was refused first.
func (c *Callback) Payload() *eventv1.CallbackReceived {
	p := &eventv1.CallbackReceived{
		CallbackId: c.ID, AccountId: c.Account, Provider: c.Provider, MerchantId: c.Merchant,
		Reference: c.Content.Reference, TransactionId: c.Content.Transaction, Claim: c.Content.Claim,
		Signed: c.Content.Signed, SealedOneClickToken: c.Content.OneClick,
	}
	if c.Unacknowledged {
		p.Unacknowledged = true
	} else {
		p.AcknowledgeTime = timestamppb.New(c.Received)
	}
	if c.Content.Refunded.Currency != "" {
		p.Refunded = &orderv1.Money{Minor: c.Content.Refunded.Minor, Currency: c.Content.Refunded.Currency}
	}
	return p
}
