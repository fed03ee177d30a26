// Package provider owns the port to payment providers: the roles a provider
// can play, the words they answer with, and nothing else. Each provider is one
// folder that implements the roles it has; adding a provider is adding a folder
// and naming it in the registry.
//
// A browser return and a callback give a hint to go and ask. Only [Statuser]
// gives evidence.
package provider

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/seal"
)

// Account is a merchant's account at a provider, with its secrets in the open:
// it lives in the process that uses it and is never stored or sent.
type Account struct {
	ID       string
	Merchant string
	Provider string
	// Settings and Secrets are the provider's own; each folder documents them.
	Settings map[string]string
	Secrets  map[string]seal.Secret
	// Old are replaced secrets that what comes in may still be signed with.
	Old map[string]seal.Secret
}

// Previous is the account as it was before its secrets were replaced, while what
// was signed with the old ones is still accepted. It is for reading callbacks and
// returns that the present secrets find unauthentic, never for signing.
func (a Account) Previous() (Account, bool) {
	if len(a.Old) == 0 {
		return a, false
	}
	was := a
	was.Old, was.Secrets = nil, maps.Clone(a.Secrets)
	maps.Copy(was.Secrets, a.Old)
	return was, true
}

// Provider is what every folder offers, beside the roles it implements.
type Provider interface {
	// Name is the folder's name, as in Account.Provider and callback URLs.
	Name() string
	// CheckAccount refuses unusable settings with an error naming the setting.
	CheckAccount(Account) error
}

// Attempt is what a provider needs to know of a payment attempt.
type Attempt struct {
	ID string
	// Reference is ours, unique per attempt, and what the provider is asked by.
	Reference   string
	OrderID     string
	Amount      money.Amount
	Description string
	Email       string
	Locale      string
	// BrowserLocale is what the customer's browser prefers, such as "de-DE"; empty: not known.
	BrowserLocale string
	// Method is the payment method that the customer chose, by Method.ID; empty
	// if the account offers only one or lets the provider's page ask.
	Method string
	// OneClickToken pays as an earlier purchase of the same customer did, where
	// the provider has such tokens; empty: none.
	OneClickToken seal.Secret
	// ReturnURL and DeclineURL bring the browser back to us.
	ReturnURL  string
	DeclineURL string
	// CallbackURL is where the provider's server reaches us.
	CallbackURL string
}

// Redirect is a request for the customer's browser: GET, or a POST of Fields.
// Instructions (offline payments) come instead of a URL.
type Redirect struct {
	Method       string
	URL          string
	Fields       map[string]string
	Instructions string
	// Transfer is what Instructions say, for pages that say it in the customer's
	// language; nil: there are only the Instructions.
	Transfer *Transfer
}

// Transfer is where money is to be transferred by hand. The reference is the
// attempt's.
type Transfer struct {
	Beneficiary, Account string
	// Text is the merchant's own, empty if there is none.
	Text string
}

// Redirector computes where to send the browser. It does no I/O.
type Redirector interface {
	Redirect(Account, Attempt) (Redirect, error)
}

// Created is a payment that exists at its provider.
type Created struct {
	// ProviderReference is the provider's id of the payment.
	ProviderReference string
	Redirect          Redirect
}

// ErrDeclined is returned (wrapped, with a reason for people) by a provider
// that refuses for good what it was asked to do; asking again is pointless.
// Any other error means no answer: it may or may not have happened.
var ErrDeclined = errors.New("the provider declines")

// Creator is a provider where a payment must be created, server to server,
// before the browser can be sent there. It takes the place of Redirector. A
// payment whose creation got no answer may exist there, but no browser knows
// the way to it: creating another one is harmless.
type Creator interface {
	// CheckAttempt refuses, without I/O, what Create would be refused for.
	CheckAttempt(Account, Attempt) error
	Create(context.Context, Account, Attempt) (Created, error)
}

// Method is a way to pay within an account.
type Method struct {
	// ID is the provider's own word, as in Attempt.Method.
	ID string
	// Name is for people, where the word of the ID is none for them.
	Name string
	// Icon names a picture: "card", "bank", "wallet", "invoice", "bitcoin".
	Icon string
}

// MethodLister is a provider whose accounts can offer several methods.
type MethodLister interface {
	Methods(Account) []Method
}

// Return is what a browser brought back: a hint.
type Return struct {
	// Canceled and Failed say what the provider's page claims; both false: no
	// claim, or success claimed.
	Canceled, Failed bool
	// ProviderReference is a reference that only the browser brings.
	ProviderReference string
}

// Returner reads the parameters of a browser return (query and form merged).
// An error means a bad signature or unreadable parameters: the return is then
// treated as if it had brought nothing.
type Returner interface {
	ParseReturn(Account, url.Values) (Return, error)
}

// Claim is what a callback says has happened.
type Claim string

// Claims of callbacks.
const (
	ClaimPaid        Claim = "paid"
	ClaimRefunded    Claim = "refunded"
	ClaimChargedBack Claim = "charged_back"
	ClaimOther       Claim = "other"
)

// Request is a callback as it came.
type Request struct {
	Method string
	Query  url.Values
	Header http.Header
	Body   []byte
	// Remote is the peer's IP address.
	Remote string
}

// Callback is a readable, authentic (where the provider signs) callback.
type Callback struct {
	// Reference is ours, as the callback names it; empty if it names only the
	// provider's own id of the payment (TransactionID), by which it is found then.
	Reference string
	// TransactionID is the provider's.
	TransactionID string
	Claim         Claim
	// Signed: the provider's signature was checked.
	Signed bool
	// Refunded is the amount given back, if the claim is a refund and names it.
	Refunded money.Amount
	// OneClickToken is as in Report, of a signed callback only.
	OneClickToken seal.Secret
	// DedupeKey is equal for repeats of the same callback and different for
	// any other callback of the account.
	DedupeKey string
}

// ErrUnauthentic is returned (wrapped) for a callback with a bad signature.
var ErrUnauthentic = errors.New("callback is not authentic")

// Answer is what happened to a callback, and so what the provider is told.
type Answer int

// Answers to a callback.
const (
	// Recorded: durably stored, or a repeat of one that is.
	Recorded Answer = iota + 1
	// Refused: unreadable or not authentic; recorded as such where possible.
	Refused
	// NotDurable: could not be stored; the provider shall try again.
	NotDurable
)

// Response is the exact HTTP answer to a callback.
type Response struct {
	Status      int
	ContentType string
	Body        string
}

// CallbackReceiver reads callbacks and words their acknowledgement.
type CallbackReceiver interface {
	// ParseCallback errs with ErrUnauthentic or with what could not be read.
	// It does no I/O.
	ParseCallback(Account, Request) (Callback, error)
	// Acknowledge words the answer; refusal is ParseCallback's error if Refused.
	Acknowledge(a Answer, refusal error) Response
}

// State is the provider's word on a payment, in our words.
type State string

// States of a payment at its provider. Words a folder doesn't know mean
// Pending, never Paid.
const (
	Pending     State = "pending"
	OnHold      State = "on_hold"
	Authorized  State = "authorized"
	Paid        State = "paid"
	Failed      State = "failed"
	Canceled    State = "canceled"
	Expired     State = "expired"
	Refunded    State = "refunded"
	ChargedBack State = "charged_back"
)

// StatusQuery names a payment to its provider.
type StatusQuery struct {
	// Reference is ours; always set.
	Reference string
	// TransactionID and ProviderReference are the provider's, if known.
	TransactionID     string
	ProviderReference string
}

// Report is a provider's answer about a payment.
type Report struct {
	State State
	// Reference is ours, as the answer names it; empty if it doesn't.
	Reference     string
	TransactionID string
	// Account names whose money it is, if the answer is about another account at
	// the provider than the one asked for; such money pays nothing here.
	Account string
	// Amount is what was authorized, paid or refunded, as the answer names it.
	Amount money.Amount
	// Captured and Refunded are what was taken and given back in total so far,
	// where the answer says so beside its State; no currency: it doesn't.
	Captured, Refunded money.Amount
	// Payer is who paid, as the provider knows them.
	Payer Payer
	// OneClickToken pays a later purchase of the same customer, if one was given.
	OneClickToken seal.Secret
	// AckOrRefund: the provider gives the money back unless its callback was
	// acknowledged. Such a payment counts only once ours was.
	AckOrRefund bool
	// Detail is a reason for people; Raw the provider's own status word.
	Detail string
	Raw    string
	// Unknown: Raw is a word the mapping doesn't have.
	Unknown bool
}

// OneClickContext is what a one-click token is sealed for on its way through
// the system: the payment that it came with.
func OneClickContext(account, reference string) string {
	return "one-click token of " + account + "/" + reference
}

// Payer is what a provider tells about who paid; fields it doesn't tell are empty.
type Payer struct {
	Name, Company, Email                 string
	AddressLine1, AddressLine2           string
	PostalCode, City, Region, CountryISO string
}

// ErrReferenceMissing is returned (wrapped, with what is missing) by Status if the provider can't be asked by what is
// known: it is pointless to ask again before more is.
var ErrReferenceMissing = errors.New("the provider can't be asked yet without")

// Statuser asks the provider, server to server. An error means no answer; the
// caller asks again later. The call may take as long as ctx allows.
type Statuser interface {
	Status(ctx context.Context, acc Account, q StatusQuery) (Report, error)
}

// Schedule says how a provider wants to be asked.
type Schedule struct {
	// First is the pause before the first unprompted question.
	First time.Duration
	// Then are the pauses after each answer that isn't final, the last one
	// repeated until Life is over.
	Then []time.Duration
	// Life is how long an unanswered attempt is followed before it counts as expired.
	Life time.Duration
	// Timeout of one question.
	Timeout time.Duration
	// RefundWindow is how long after its start an unacknowledged ack-or-refund
	// payment may still be given back by the provider.
	RefundWindow time.Duration
}

// Scheduler gives the schedule of an account.
type Scheduler interface {
	Schedule(Account) Schedule
}

// Operation is something to be done to the money of a payment.
type Operation struct {
	// ID is ours and the same on every try: the provider's idempotency key where
	// it has one.
	ID string
	// The payment, as in StatusQuery.
	StatusQuery
	// Amount to capture or to give back.
	Amount money.Amount
}

// The roles of doing something to a payment's money. nil means that the
// provider took the order to do it; whether it is done, Status says. Errors are
// as of ErrDeclined.
type (
	// Capturer takes reserved money.
	Capturer interface {
		Capture(context.Context, Account, Operation) error
	}
	// Canceler gives reserved money free.
	Canceler interface {
		Cancel(context.Context, Account, Operation) error
	}
	// Refunder gives taken money back.
	Refunder interface {
		Refund(context.Context, Account, Operation) error
	}
)
