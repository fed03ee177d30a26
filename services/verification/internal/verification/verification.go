// Package verification is the verification aggregate: what a provider has said
// of one payment attempt, merged over time, when to ask it again, and what the
// order has been told. It is pure: time, facts and answers are arguments.
package verification

import (
	"time"

	"quittance/pkg/backoff"
	"quittance/pkg/money"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// Outcome is the provider's word on an attempt, merged over time.
type Outcome = verificationv1.Outcome

// minGap keeps prompts (callbacks, returns, merchants) from making us ask a
// provider about one attempt more often than this. The figure is ours.
const minGap = 500 * time.Millisecond

// maxGap is what that grows to under unsigned callbacks that lead to nothing, and
// maxWaiting how many callbacks of one attempt wait for an answer.
const (
	maxGap     = time.Minute
	maxWaiting = 50
)

// tellAgain is how long the order's acknowledgement of the facts is waited for
// before they are sent again: 15 s, 30 s, 1 m, 2 m, 5 m, 15 m, then every hour.
var tellAgain = backoff.Schedule{
	15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
}

// keptAnswers is how many answered callbacks are remembered, to acknowledge
// them again without asking the provider again.
const keptAnswers = 20

// Verification is the stored document; its id is the attempt's.
type Verification struct {
	Attempt   string       `json:"attempt"`
	Order     string       `json:"order"`
	Merchant  string       `json:"merchant"`
	Account   string       `json:"account"`
	Provider  string       `json:"provider"`
	Reference string       `json:"reference"`
	Amount    money.Amount `json:"amount"`
	Started   time.Time    `json:"started"`

	// ProviderReference is the provider's id of the payment, where it has one
	// that we must know to ask: the one to ask about next. OtherReferences are
	// others that were brought.
	ProviderReference string   `json:"provider_reference,omitempty"`
	OtherReferences   []string `json:"other_references,omitempty"`
	// Acknowledged are the transactions of callbacks that claim paid and that we
	// have acknowledged.
	Acknowledged []string `json:"acknowledged,omitempty"`
	// Unsure: an ack-or-refund provider says paid, but the answer doesn't count
	// yet. FirstPaid is when it first said so.
	Unsure    bool      `json:"unsure,omitempty"`
	FirstPaid time.Time `json:"first_paid,omitzero"`
	// Rechecked: the provider was asked once more after its refund window.
	Rechecked bool `json:"rechecked,omitempty"`
	// GivenBack is what signed callbacks say was refunded, in total.
	GivenBack money.Amount `json:"given_back,omitzero"`
	// GaveBack are those callbacks, all of them: none counts twice, however late
	// it is replayed.
	GaveBack []string `json:"gave_back,omitempty"`
	// ChargedBack: one of them says that the customer's bank took it back.
	ChargedBack bool `json:"charged_back,omitempty"`

	// Hinted is when the latest callback came.
	Hinted time.Time `json:"hinted,omitzero"`
	// NextAsk is when the provider is asked next, zero for not any more.
	NextAsk   time.Time `json:"next_ask,omitzero"`
	LastAsked time.Time `json:"last_asked,omitzero"`
	// Prompted: something has happened since, so that it is asked before others.
	Prompted bool `json:"prompted,omitempty"`
	// Asked counts answered questions, Failures those unanswered in a row.
	Asked    int    `json:"asked,omitempty"`
	Failures int    `json:"failures,omitempty"`
	Problem  string `json:"problem,omitempty"`
	// FailingSince is when the first of these was asked.
	FailingSince time.Time `json:"failing_since,omitzero"`
	// Unsigned counts the unsigned callbacks since the facts last changed: each
	// makes us wait longer before the next question.
	Unsigned int `json:"unsigned,omitempty"`
	// OtherTransaction is what the provider named of late for an attempt that
	// another transaction has paid.
	OtherTransaction string `json:"other_transaction,omitempty"`
	// Parked: the provider can't be asked with what is known; Problem says why.
	Parked bool `json:"parked,omitempty"`
	// LifeOver: nobody asks soon again, and something says that there may be money.
	LifeOver bool `json:"life_over,omitempty"`
	// Dismissed is the cause of attention that the merchant has looked at.
	Dismissed Attention `json:"dismissed,omitempty"`
	// Payer is who paid, as the provider told last.
	Payer Payer `json:"payer,omitzero"`
	// OneClick is a token for later purchases of the same customer, sealed
	// (provider.OneClickContext); OneClickTold: payment-redirect is told of it.
	OneClick     string `json:"one_click,omitempty"`
	OneClickTold bool   `json:"one_click_told,omitempty"`
	// Erased: the customer is. Of who paid only the country is kept, and no token.
	Erased bool `json:"erased,omitempty"`
	// Operations on the attempt's money, oldest first.
	Operations []Operation `json:"operations,omitempty"`

	Facts Facts `json:"facts"`
	// Revision grows with every change of the facts; Known is the latest one
	// that the order acknowledged.
	Revision  int64     `json:"revision"`
	Known     int64     `json:"known"`
	Told      time.Time `json:"told,omitzero"`
	ToldTimes int       `json:"told_times,omitempty"`

	// Callbacks wait for an answer; Answered have had theirs.
	Callbacks []string `json:"callbacks,omitempty"`
	Answered  []string `json:"answered,omitempty"`
}

// Facts is the merged state.
type Facts struct {
	Outcome       Outcome            `json:"outcome"`
	Authorized    money.Amount       `json:"authorized,omitzero"`
	Captured      money.Amount       `json:"captured,omitzero"`
	Refunded      money.Amount       `json:"refunded,omitzero"`
	TransactionID string             `json:"transaction_id,omitempty"`
	HoldReason    orderv1.HoldReason `json:"hold_reason,omitempty"`
	Detail        string             `json:"detail,omitempty"`
	// Raw is the provider's own word.
	Raw string `json:"raw,omitempty"`
}

// NextDue is when there is something to do: ask the provider, do something to
// the money, or tell the order again.
func NextDue(v *Verification) time.Time {
	due := v.NextAsk
	if op := v.current(); op != nil && (due.IsZero() || op.Next.Before(due)) {
		due = op.Next
	}
	if v.awaitsOrder() {
		if again := v.Told.Add(tellAgain.After(v.ToldTimes)); due.IsZero() || again.Before(due) {
			due = again
		}
	}
	return due
}

func (v *Verification) awaitsOrder() bool { return v.Revision > v.Known }

// AskDue says whether the provider is to be asked now.
func (v *Verification) AskDue(now time.Time) bool {
	if op := v.OperationDue(now); op != nil && op.underWay() {
		return true
	}
	return !v.NextAsk.IsZero() && !v.NextAsk.After(now)
}

// Urgent: somebody waits for the answer, or something has happened, so that this
// question comes before those that are asked by the schedule only.
func (v *Verification) Urgent() bool {
	return v.Prompted || v.Asked+v.Failures == 0 || v.current() != nil
}

// SendDue is the operation to be sent to the provider now, empty if there is
// none.
func (v *Verification) SendDue(now time.Time) string {
	if op := v.OperationDue(now); op != nil && op.State == requested {
		return op.ID
	}
	return ""
}

// TellDue says whether the order is to be told again now.
func (v *Verification) TellDue(now time.Time) bool {
	return v.awaitsOrder() && !v.Told.Add(tellAgain.After(v.ToldTimes)).After(now)
}

// ToldAgain notes that the facts were sent again.
func (v *Verification) ToldAgain(now time.Time) {
	v.Told = now
	v.ToldTimes++
}

// OrderKnows notes which revision the order has acknowledged. It reports
// whether that is news.
func (v *Verification) OrderKnows(revision int64) bool {
	if revision <= v.Known {
		return false
	}
	v.Known = revision
	return true
}

// Settled: the attempt came to an end, of whatever kind.
func (v *Verification) Settled() bool { return rank(v.Facts) >= 2 }

// Fact is the message that tells the order, naming the callbacks it answers.
func (v *Verification) Fact(callbacks []string, p Policy) *eventv1.PaymentVerified {
	f, oneClick := v.Facts, ""
	if v.OneClickTold {
		oneClick = v.OneClick
	}
	return &eventv1.PaymentVerified{
		AttemptId: v.Attempt, OrderId: v.Order, MerchantId: v.Merchant, AccountId: v.Account, Provider: v.Provider,
		Outcome: f.Outcome, Authorized: toProto(f.Authorized), Captured: toProto(f.Captured), Refunded: toProto(f.Refunded),
		TransactionId: f.TransactionID, HoldReason: f.HoldReason, Detail: f.Detail, Revision: v.Revision,
		CallbackIds: callbacks, Operations: v.OperationViews(), Payer: v.Payer.view(),
		DeliverOnAuthorized: p.DeliverOnAuthorized, CaptureOn: p.CaptureOn, RefundUnwanted: p.RefundUnwanted,
		SealedOneClickToken: oneClick,
	}
}

// Policy is what the account and the merchant want done with money; the order
// decides by it.
type Policy struct {
	DeliverOnAuthorized bool
	CaptureOn           string
	RefundUnwanted      bool
}

func toProto(a money.Amount) *orderv1.Money {
	if a.Currency == "" {
		return nil
	}
	return &orderv1.Money{Minor: a.Minor, Currency: a.Currency}
}
