// Package attempt is the payment attempt aggregate: what was started, what the
// browser brought back, what the merchant confirmed and what verification
// says, merged. It is pure: time and facts are arguments.
package attempt

import (
	"time"

	"quittance/pkg/backoff"
	"quittance/pkg/money"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// Short names of what others decide.
type (
	// State is how far the attempt came, as far as this service knows.
	State = paymentv1.AttemptState
	// Outcome is the provider's word on an attempt.
	Outcome = verificationv1.Outcome
)

// ResendFor is how long facts that nobody answers are sent again.
const ResendFor = 90 * 24 * time.Hour

// resend is how long verification's final answer is waited for before the
// attempt's facts are sent again: 1 m, 5 m, 30 m, 2 h, 12 h, then every day.
var resend = backoff.Schedule{
	time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// maxReturns is how many different returns of one attempt are kept. Browsers
// bring what they like; a provider brings one or two.
const maxReturns = 20

// Attempt is the stored document. Its id is also our reference at the provider.
type Attempt struct {
	ID       string       `json:"id"`
	Merchant string       `json:"merchant"`
	Order    string       `json:"order"`
	Account  string       `json:"account"`
	Provider string       `json:"provider"`
	Amount   money.Amount `json:"amount"`
	// Request is a hash of the starting request, to tell a repeat from a
	// different request with the same idempotency key.
	Request string    `json:"request"`
	Created time.Time `json:"created"`

	// What the provider's page is told, to send the customer there again.
	Description string `json:"description,omitempty"`
	Email       string `json:"email,omitempty"`
	Locale      string `json:"locale,omitempty"`
	// Method is the payment method within the account, in the provider's word;
	// empty: the account's only one, or its page asks.
	Method string `json:"method,omitempty"`
	// User is the merchant's own id of who pays, if the storefront has vouched for
	// it; Saved: it is paid as that user paid before (savedpayments).
	User  string `json:"user,omitempty"`
	Saved bool   `json:"saved,omitempty"`
	// BrowserLocale is what the browser that started the attempt prefers.
	BrowserLocale string `json:"browser_locale,omitempty"`
	// Creation is set if the payment must be created at the provider first.
	Creation *Creation `json:"creation,omitempty"`

	// Back is the return URL of the fulfilment URL that led here; empty: the
	// order's own.
	Back string `json:"back,omitempty"`

	// Returns are the different ways in which the browser came back.
	Returns []Return `json:"returns,omitempty"`
	// Confirmed is what the merchant says has arrived, for offline attempts.
	Confirmed *Confirmation `json:"confirmed,omitempty"`
	// Verified is the strongest fact of verification, and Paid whether one of
	// them said that the money was taken.
	Verified Fact `json:"verified,omitzero"`
	Paid     bool `json:"paid,omitempty"`

	// Waits: verification's final answer to what was last sent is awaited,
	// since Since. Sent is when it was last sent, SentTimes how often.
	Waits     bool      `json:"waits,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	Sent      time.Time `json:"sent,omitzero"`
	SentTimes int       `json:"sent_times,omitempty"`
}

// Return is what a browser brought: claims.
type Return struct {
	Canceled          bool   `json:"canceled,omitempty"`
	Failed            bool   `json:"failed,omitempty"`
	ProviderReference string `json:"provider_reference,omitempty"`
	// Event is the id of the event that announced it.
	Event string `json:"event"`
}

// Confirmation is the merchant's word on an offline attempt.
type Confirmation struct {
	Amount      money.Amount `json:"amount"`
	Transaction string       `json:"transaction"`
}

// Fact is what verification said.
type Fact struct {
	Outcome  Outcome `json:"outcome,omitempty"`
	Revision int64   `json:"revision,omitempty"`
	Detail   string  `json:"detail,omitempty"`
}

// Start opens the attempt.
func (a *Attempt) Start(now time.Time) {
	a.Created = now
	a.await(now)
}

// State is the attempt's state, which follows from all facts in whatever order
// they came: started < pending < failed, canceled, expired < succeeded. What
// verification says of an end weighs more than what a browser claims.
func (a *Attempt) State() State {
	if a.Paid {
		return paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED
	}
	if s := verified(a.Verified.Outcome); Over(s) {
		return s
	}
	if a.Refused() {
		return paymentv1.AttemptState_ATTEMPT_STATE_FAILED
	}
	claimed := paymentv1.AttemptState_ATTEMPT_STATE_UNSPECIFIED
	for _, r := range a.Returns {
		switch {
		case r.Failed:
			return paymentv1.AttemptState_ATTEMPT_STATE_FAILED
		case r.Canceled:
			claimed = paymentv1.AttemptState_ATTEMPT_STATE_CANCELED
		}
	}
	switch {
	case Over(claimed):
		return claimed
	case len(a.Returns) > 0, a.Confirmed != nil, a.Verified.Revision > 0:
		return paymentv1.AttemptState_ATTEMPT_STATE_PENDING
	}
	return paymentv1.AttemptState_ATTEMPT_STATE_STARTED
}

// Problem is why the attempt came to nothing, for people; empty if it didn't.
func (a *Attempt) Problem() string {
	if !Over(a.State()) {
		return ""
	}
	if a.Refused() {
		return a.Creation.Refusal
	}
	if a.Ended() {
		return a.Verified.Detail
	}
	return "reported by the browser, not yet confirmed by the provider"
}

// Ended says whether verification knows how the attempt ended, or its payment
// was never made. A browser's claim does not end it.
func (a *Attempt) Ended() bool {
	return a.Paid || a.Refused() || Over(verified(a.Verified.Outcome))
}

// Over says whether a state means that nothing came of the attempt, so far.
func Over(s State) bool {
	switch s {
	case paymentv1.AttemptState_ATTEMPT_STATE_FAILED, paymentv1.AttemptState_ATTEMPT_STATE_CANCELED,
		paymentv1.AttemptState_ATTEMPT_STATE_EXPIRED:
		return true
	case paymentv1.AttemptState_ATTEMPT_STATE_UNSPECIFIED, paymentv1.AttemptState_ATTEMPT_STATE_STARTED,
		paymentv1.AttemptState_ATTEMPT_STATE_PENDING, paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED:
	}
	return false
}

// NextDue is when the attempt's payment is to be created or its facts are to be
// sent again, zero for never.
func NextDue(a *Attempt) time.Time {
	if a.Creating() {
		return a.Creation.Next
	}
	return nextResend(a)
}

func nextResend(a *Attempt) time.Time {
	if !a.Waits {
		return time.Time{}
	}
	next := a.Sent.Add(resend.After(a.SentTimes))
	if next.After(a.Since.Add(ResendFor)) {
		return time.Time{}
	}
	return next
}

// Started is the message of payment.started.
func (a *Attempt) Started() *eventv1.PaymentStarted {
	f := &eventv1.PaymentStarted{
		AttemptId: a.ID, OrderId: a.Order, MerchantId: a.Merchant, AccountId: a.Account, Provider: a.Provider,
		Reference: a.ID, Amount: toProto(a.Amount), StartTime: timestamppb.New(a.Created),
	}
	if a.Creation != nil {
		f.ProviderReference, f.Refusal = a.Creation.ProviderReference, a.Creation.Refusal
	}
	return f
}

// Returned is the message of payment.returned.
func (a *Attempt) Returned(r Return) *eventv1.PaymentReturned {
	return &eventv1.PaymentReturned{
		AttemptId: a.ID, OrderId: a.Order, MerchantId: a.Merchant, ProviderReference: r.ProviderReference,
	}
}

// ConfirmedBy is the message of payment.confirmed.
func (a *Attempt) ConfirmedBy(c Confirmation) *eventv1.OfflineConfirmed {
	return &eventv1.OfflineConfirmed{
		AttemptId: a.ID, OrderId: a.Order, MerchantId: a.Merchant, Amount: toProto(c.Amount), TransactionId: c.Transaction,
	}
}

func toProto(a money.Amount) *orderv1.Money {
	return &orderv1.Money{Minor: a.Minor, Currency: a.Currency}
}
