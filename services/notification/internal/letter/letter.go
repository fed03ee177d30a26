// Package letter is the letter aggregate: a mail to a customer about a payment,
// on its way. It names its order and its cause and holds nothing of the customer;
// what it says is read when it is sent. It decides whether the order still is
// what the mail is about. It is pure: time and the order are arguments.
package letter

import (
	"slices"
	"time"

	"quittance/pkg/backoff"
	"quittance/pkg/event"
	"quittance/pkg/id"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Kind is what a letter is about.
type Kind string

// The kinds.
const (
	// Instructions: how to pay by a transfer.
	Instructions Kind = "instructions"
	// Receipt: the payment has arrived.
	Receipt Kind = "receipt"
	// Reminder: the order is not paid yet.
	Reminder Kind = "reminder"
	// Expired: the order was not paid in time.
	Expired Kind = "expired"
)

// Kinds are the kinds as merchants switch them off.
var Kinds = map[orderv1.MailKind]Kind{
	orderv1.MailKind_MAIL_KIND_INSTRUCTIONS: Instructions,
	orderv1.MailKind_MAIL_KIND_RECEIPT:      Receipt,
	orderv1.MailKind_MAIL_KIND_REMINDER:     Reminder,
	orderv1.MailKind_MAIL_KIND_EXPIRED:      Expired,
}

// About is the kind of letter that a public event causes, empty for none.
func About(typ string) Kind {
	switch typ {
	case event.PaymentSucceeded:
		return Receipt
	case event.OrderPaymentDue:
		return Reminder
	case event.OrderExpired:
		return Expired
	}
	return ""
}

// Fresh is how old a cause may be. Causes are sent again for months and read
// again with their order's history: older ones were written about, or are no
// news. It must be less than letters are kept.
const Fresh = 7 * 24 * time.Hour

// pauses are those after a try that came to nothing; the last one repeats.
var pauses = backoff.Schedule{
	time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour,
}

// patience is how long a letter is tried. Then it has failed.
const patience = 3 * 24 * time.Hour

// tell is when it is made sure that the merchant's endpoints get the event of a
// failed letter, should the bus have lost it.
const tell = time.Minute

// State is how far a letter came.
type State string

const (
	// Waiting: it is sent at Next.
	Waiting State = ""
	// Sent: the mail server has it.
	Sent State = "sent"
	// Dropped: it was not to be sent, Problem says why.
	Dropped State = "dropped"
	// Failed: it could not be sent, Problem says why. The merchant must reach the
	// customer another way.
	Failed State = "failed"
)

// Letter is the stored document. Nothing in it is personal.
type Letter struct {
	Merchant string `json:"merchant"`
	Order    string `json:"order"`
	Kind     Kind   `json:"kind"`
	// Cause is the id of the event that it tells of.
	Cause string `json:"cause"`
	// Account and Attempt are those of instructions: where to, and the reference.
	Account string `json:"account,omitempty"`
	Attempt string `json:"attempt,omitempty"`

	State State `json:"state,omitempty"`
	// Created is when the letter was made; At when it last changed.
	Created time.Time `json:"created"`
	At      time.Time `json:"at"`
	// Next is when it is sent, or tried again; zero: not any more.
	Next  time.Time `json:"next,omitzero"`
	Tries int       `json:"tries,omitempty"`
	// Problem is why it was not sent at the latest try, in words without personal
	// data.
	Problem string `json:"problem,omitempty"`
	// Tell is when it is made sure that the merchant hears of the failure; zero:
	// it has, or there is none.
	Tell time.Time `json:"tell,omitzero"`
}

// New returns a letter that is sent now.
func New(merchant, order string, kind Kind, cause string, now time.Time) *Letter {
	return &Letter{Merchant: merchant, Order: order, Kind: kind, Cause: cause, Created: now, At: now, Next: now}
}

// DocID is the id of the letter's document and the Message-ID of its mail: there
// is one for each cause.
func (l *Letter) DocID() string { return id.Derived(string(l.Kind), l.Order, l.Cause) }

// NextDue is when there is something to do.
func NextDue(l *Letter) time.Time {
	if l.Next.IsZero() {
		return l.Tell
	}
	return l.Next
}

// Due says whether the letter is to be sent now.
func (l *Letter) Due(now time.Time) bool { return !l.Next.IsZero() && !l.Next.After(now) }

// Send notes that the mail server has it.
func (l *Letter) Send(now time.Time) { l.end(Sent, "", now) }

// Drop notes that it is not to be sent.
func (l *Letter) Drop(why string, now time.Time) { l.end(Dropped, why, now) }

// Fail notes that it was not sent, for good or for now; what goes on for too
// long is for good. It reports whether it was.
func (l *Letter) Fail(problem string, forGood bool, now time.Time) bool {
	l.Tries++
	again := now.Add(pauses.Jittered(l.Tries, l.DocID()))
	if forGood || again.After(l.Created.Add(patience)) {
		l.end(Failed, problem, now)
		l.Tell = now.Add(tell)
		return true
	}
	l.Problem, l.At, l.Next = problem, now, again
	return false
}

// Told notes that the merchant hears of the failure.
func (l *Letter) Told() { l.Tell = time.Time{} }

func (l *Letter) end(s State, problem string, now time.Time) {
	l.State, l.Problem, l.At, l.Next = s, problem, now, time.Time{}
}

// Off says whether a merchant has switched a kind off.
func Off(m *orderv1.CustomerMails, k Kind) bool {
	return slices.ContainsFunc(m.GetOff(), func(off orderv1.MailKind) bool { return Kinds[off] == k })
}

// Verdict is what is to become of a letter.
type Verdict int

// The verdicts.
const (
	// Go: the order is what the letter is about.
	Go Verdict = iota
	// Never: it is not any more.
	Never
	// Later: it can't be told yet.
	Later
)

// Judge says whether an order, as it is now, is what a letter of the kind is
// about, and why not.
func Judge(k Kind, o *orderv1.Order) (v Verdict, why string) {
	switch {
	case o.GetCustomer().GetEmail() == "":
		return Never, "the order has no address of its customer any more"
	case o.GetPrepaid(), o.GetFulfillment().GetPaymentMethod() != "":
		return Never, "the merchant collects the money, and writes to the customer, itself"
	}
	switch k {
	case Instructions, Reminder:
		return unpaid(o.GetPaymentState())
	case Receipt:
		return paid(o.GetPaymentState())
	case Expired:
		if o.GetPaymentState() != orderv1.PaymentState_PAYMENT_STATE_EXPIRED {
			return Never, "money has come for the order since it expired"
		}
		return Go, ""
	}
	return Never, "this kind of letter is not known"
}

// unpaid: the customer can pay.
func unpaid(s orderv1.PaymentState) (Verdict, string) {
	switch s {
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID:
		return Go, ""
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, orderv1.PaymentState_PAYMENT_STATE_PAID,
		orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK:
		return Never, "the order has been paid meanwhile"
	case orderv1.PaymentState_PAYMENT_STATE_CANCELED, orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		return Never, "the order is over"
	case orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
	}
	return Never, "a payment of the order is being looked at"
}

// paid: the money is there, or promised.
func paid(s orderv1.PaymentState) (Verdict, string) {
	switch s {
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, orderv1.PaymentState_PAYMENT_STATE_PAID,
		orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED:
		return Go, ""
	case orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
		return Later, "a payment of the order is being looked at"
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID, orderv1.PaymentState_PAYMENT_STATE_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK, orderv1.PaymentState_PAYMENT_STATE_CANCELED,
		orderv1.PaymentState_PAYMENT_STATE_EXPIRED, orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
	}
	return Never, "the payment has been given back meanwhile"
}
