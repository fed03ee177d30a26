// Package notice is the notice aggregate: something that a merchant is told
// about one of its endpoints, by an event and by mail. It is pure.
package notice

import (
	"fmt"
	"strings"
	"time"

	"quittance/pkg/backoff"
	"quittance/pkg/id"
	"quittance/services/notification/internal/endpoint"
)

// mails are the pauses after a failed mail. Beyond their end nothing is tried:
// the event went out, and the endpoint shows its state.
var mails = backoff.Schedule{
	time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// tell is when it is made sure that the merchant's other endpoints get the
// event, should the bus have lost it.
const tell = time.Minute

// Notice is the stored document. Its event is in its outbox.
type Notice struct {
	Merchant string `json:"merchant"`
	Endpoint string `json:"endpoint"`
	endpoint.Notice
	// EventID, EventType and Order are those of a webhook that failed for good.
	EventID   string `json:"event_id,omitempty"`
	EventType string `json:"event_type,omitempty"`
	Order     string `json:"order,omitempty"`
	// To is where the mail goes; empty: to the merchant's address.
	To string `json:"to,omitempty"`
	// MailAt is when the mail is sent; zero: it was, or is not to be, or failed.
	MailAt time.Time `json:"mail_at,omitzero"`
	// Tries counts failed mails, of which MailProblem is the latest.
	Tries       int       `json:"tries,omitempty"`
	MailProblem string    `json:"mail_problem,omitempty"`
	Mailed      time.Time `json:"mailed,omitzero"`
	// TellAt is when it is made sure that the event is on its way; zero: it is.
	TellAt time.Time `json:"tell_at,omitzero"`
}

// New returns a notice; mail: by mail too.
func New(ep *endpoint.Endpoint, n endpoint.Notice, mail bool) *Notice {
	out := &Notice{Merchant: ep.Merchant, Endpoint: ep.ID, Notice: n, To: ep.Notify, TellAt: n.At.Add(tell)}
	if mail {
		out.MailAt = n.At
	}
	return out
}

// DocID is the id of the notice's document, and of its mail.
func (n *Notice) DocID() string {
	return id.Derived("ntc", n.Merchant, n.Endpoint, string(n.Kind), n.At.UTC().Format(time.RFC3339Nano), n.EventID)
}

// NextDue is when there is something to do.
func NextDue(n *Notice) time.Time {
	if n.MailAt.IsZero() || !n.TellAt.IsZero() && n.TellAt.Before(n.MailAt) {
		return n.TellAt
	}
	return n.MailAt
}

// Told notes that the event is on its way.
func (n *Notice) Told() { n.TellAt = time.Time{} }

// Sent notes that the mail was sent.
func (n *Notice) Sent(now time.Time) { n.MailAt, n.MailProblem, n.Mailed = time.Time{}, "", now }

// Failed notes that the mail could not be sent; for good: never can.
func (n *Notice) Failed(problem string, forGood bool, now time.Time) {
	n.Tries++
	n.MailProblem = problem
	if n.MailAt = now.Add(mails.Jittered(n.Tries, n.DocID())); forGood || mails.Exhausted(n.Tries) {
		n.MailAt = time.Time{}
	}
}

// Mail returns the words of the mail.
func (n *Notice) Mail() (subject, text string) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	since := n.Since.UTC().Format("2006-01-02 15:04 MST")
	switch n.Kind {
	case endpoint.Failing:
		subject = fmt.Sprintf("Webhook endpoint %q is failing", n.Endpoint)
		line("Since %s there have been nothing but failures at your webhook endpoint %q.", since, n.Endpoint)
		line("Its webhooks are tried again; nothing is lost. If nothing changes for days, the endpoint is disabled.")
	case endpoint.Recovered:
		subject = fmt.Sprintf("Webhook endpoint %q works again", n.Endpoint)
		line("Your webhook endpoint %q, which was failing since %s, answers again.", n.Endpoint, since)
		line("What waited for it is on its way.")
	case endpoint.Exhausted:
		subject = fmt.Sprintf("A webhook to %q failed for good", n.Endpoint)
		line("The event %s (%s) could not be delivered to your webhook endpoint %q in all its tries.", n.EventID, n.EventType, n.Endpoint)
		if n.Order != "" {
			line("It is about the order %s.", n.Order)
		}
		line("ListDeliveries with the state \"exhausted\" shows all such events; ReplayRange with failed_only sends them again.")
		line("Further ones within the hour cause no further mail.")
	case endpoint.Disabled:
		subject = fmt.Sprintf("Webhook endpoint %q was disabled", n.Endpoint)
		line("Your webhook endpoint %q was disabled, and nothing is sent to it any more.", n.Endpoint)
		line("Events are kept. Once it works, enable it with ResumeEndpoint: they are sent then, oldest first.")
	}
	if n.Problem != "" {
		line("\nThe latest result was: %s", n.Problem)
	}
	return subject, b.String()
}
