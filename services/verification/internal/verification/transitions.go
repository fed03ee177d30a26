package verification

import (
	"fmt"
	"slices"
	"time"

	"quittance/pkg/money"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// Schedule says how often a provider is asked about an attempt.
type Schedule struct {
	// First is the pause before the first unprompted question; zero: the
	// provider is never asked (the merchant confirms).
	First time.Duration
	// Then are the pauses after each answer that isn't final; the last one repeats.
	Then []time.Duration
	// Life is how long an attempt is followed; then it counts as expired, and is
	// asked about ever more rarely until it is Afterlife old.
	Life time.Duration
	// RefundWindow is how long after a sale an ack-or-refund provider may give
	// the money back.
	RefundWindow time.Duration
	// ResendAfter is how long an operation that got no answer is only asked
	// about before it is sent again.
	ResendAfter time.Duration
}

// Afterlife is how old an attempt without a final answer is when it is asked
// about for the last time: as old as an order when it expires. A customer may
// have paid behind our back, with every message of it lost.
const Afterlife = 90 * 24 * time.Hour

// Report is what the provider said, in our words.
type Report struct {
	Outcome       Outcome      `json:"outcome"`
	Reference     string       `json:"reference,omitempty"`
	TransactionID string       `json:"transaction_id,omitempty"`
	Amount        money.Amount `json:"amount,omitzero"`
	// Captured and Refunded are totals, where the answer names them.
	Captured money.Amount `json:"captured,omitzero"`
	Refunded money.Amount `json:"refunded,omitzero"`
	// Account is the provider's name of the account that has the money, if it is
	// another one than was asked for.
	Account string `json:"account,omitempty"`
	// AckOrRefund: the money goes back unless a callback was acknowledged.
	AckOrRefund bool   `json:"ack_or_refund,omitempty"`
	Detail      string `json:"detail,omitempty"`
	Raw         string `json:"raw,omitempty"`
	// Payer is who paid, if the answer tells.
	Payer Payer `json:"payer,omitzero"`
	// OneClick is a token for later purchases of the same customer, sealed.
	OneClick string `json:"-"`
	// UsedBy names another attempt that this transaction has paid already.
	UsedBy string `json:"used_by,omitempty"`
}

// Start begins to follow an attempt.
func Start(f *eventv1.PaymentStarted, s Schedule, now time.Time) *Verification {
	v := &Verification{
		Attempt: f.GetAttemptId(), Order: f.GetOrderId(), Merchant: f.GetMerchantId(), Account: f.GetAccountId(),
		Provider: f.GetProvider(), Reference: f.GetReference(), Started: f.GetStartTime().AsTime(),
		Amount: money.Amount{Minor: f.GetAmount().GetMinor(), Currency: f.GetAmount().GetCurrency()},
		Facts:  Facts{Outcome: verificationv1.Outcome_OUTCOME_PENDING}, ProviderReference: f.GetProviderReference(),
	}
	if s.First > 0 {
		v.NextAsk = now.Add(s.First)
	}
	if f.GetRefusal() != "" { // there is no payment to ask about
		v.Facts.Outcome, v.Facts.Detail, v.NextAsk = verificationv1.Outcome_OUTCOME_FAILED, f.GetRefusal(), time.Time{}
		v.changed(now)
	}
	return v
}

// Prompt asks for an answer soon, for a hint that something has happened. It
// reports whether anything changed.
func (v *Verification) Prompt(now time.Time) bool { return v.prompt(now, minGap) }

// prompt lets the next question be at the given time, but a gap after the latest.
func (v *Verification) prompt(at time.Time, gap time.Duration) bool {
	if soonest := v.LastAsked.Add(gap); at.Before(soonest) {
		at = soonest
	}
	urgent := v.Urgent()
	v.Prompted = true
	if !v.NextAsk.IsZero() && !v.NextAsk.After(at) {
		return !urgent
	}
	v.NextAsk = at
	return true
}

// Returned notes that the browser came back. It reports whether anything
// changed: for a settled attempt it is no news.
func (v *Verification) Returned(providerReference string, now time.Time) bool {
	news := v.refer(providerReference)
	if news {
		v.Dismissed = 0
	}
	if rank(v.Facts) >= 3 {
		return news
	}
	return v.Prompt(now) || news
}

// CalledBack notes an acknowledged callback, as a hint to ask soon: now if it is
// signed, after the given pause if anybody could have sent it. It reports known
// if the callback had its answer already.
func (v *Verification) CalledBack(f *eventv1.CallbackReceived, pause time.Duration, now time.Time) (known bool) {
	if slices.Contains(v.Answered, f.GetCallbackId()) {
		return true
	}
	if !slices.Contains(v.Callbacks, f.GetCallbackId()) {
		if !f.GetSigned() && len(v.Callbacks) >= maxWaiting {
			return true // so many can only be forged; the question they ask for is due anyway
		}
		v.Callbacks, v.Hinted, v.Dismissed = append(v.Callbacks, f.GetCallbackId()), now, 0
		if v.ProviderReference == "" {
			v.refer(f.GetTransactionId())
		}
		// What goes back is what was taken, which need not be what was asked for.
		most := named(v.Facts.Captured, v.Amount)
		if m := f.GetRefunded(); m.GetMinor() > 0 && f.GetSigned() && m.GetCurrency() == most.Currency && !slices.Contains(v.GaveBack, f.GetCallbackId()) {
			v.GaveBack = append(v.GaveBack, f.GetCallbackId())
			if v.GivenBack.Currency != m.GetCurrency() {
				v.GivenBack = money.Amount{Currency: m.GetCurrency()}
			}
			v.GivenBack.Minor = min(v.GivenBack.Minor+m.GetMinor(), most.Minor)
			v.ChargedBack = v.ChargedBack || f.GetClaim() == ClaimChargedBack
		}
	}
	if v.OneClick == "" && f.GetSigned() && !v.Erased {
		v.OneClick = f.GetSealedOneClickToken()
	}
	if f.GetClaim() == ClaimPaid && !f.GetUnacknowledged() && !slices.Contains(v.Acknowledged, f.GetTransactionId()) && len(v.Acknowledged) < keptAnswers {
		v.Acknowledged = append(v.Acknowledged, f.GetTransactionId())
	}
	if f.GetSigned() {
		v.Prompt(now)
		return false
	}
	// Unsigned ones ask less and less often until something comes of it.
	v.prompt(now.Add(pause), min(minGap<<min(v.Unsigned, 10), maxGap))
	v.Unsigned++
	return false
}

// Claims of callbacks that mean something here.
const (
	ClaimPaid        = "paid"
	ClaimChargedBack = "charged_back"
)

// NoAnswer notes that the provider could not be asked.
func (v *Verification) NoAnswer(problem string, s Schedule, now time.Time) (changed bool) {
	v.LastAsked, v.Prompted, v.Problem = now, false, problem
	if v.Failures++; v.Failures == 1 {
		v.FailingSince = now
	}
	v.unanswered(now)
	v.turn()
	return v.schedule(s, v.Failures, now)
}

// PutOff puts a question, or the sending of an operation, off to a time: the
// provider's account is at its limit, or, which is a problem, seems to be down.
func (v *Verification) PutOff(at time.Time, problem string, now time.Time) {
	if problem != "" {
		v.Problem = problem
	}
	if op := v.OperationDue(now); op != nil {
		op.Next = at
	}
	if !v.NextAsk.IsZero() && !v.NextAsk.After(now) {
		v.NextAsk = at
	}
}

// Answer merges an answer of the provider and reports whether the facts
// changed. The callbacks that waited for it have their answer.
func (v *Verification) Answer(a Report, s Schedule, now time.Time) (changed bool) {
	v.LastAsked, v.Prompted, v.Problem, v.Failures, v.FailingSince = now, false, "", 0, time.Time{}
	v.Asked++
	if v.otherTransaction(a) {
		v.unanswered(now)
		v.turn()
		return v.schedule(s, v.Asked, now)
	}
	if about := v.foreign(a); about != "" {
		v.Problem, a = about, Report{Outcome: verificationv1.Outcome_OUTCOME_PENDING}
	}
	if a.Payer != (Payer{}) && a.UsedBy == "" {
		v.Payer = a.Payer
		if v.Erased {
			v.Payer = a.Payer.erased()
		}
	}
	merged, news := v.merge(v.judge(a, s, now))
	if news {
		v.Facts, v.Unsigned = merged, 0
	}
	news = v.offerOneClick(a) || news
	if v.judgeOperations(a.Outcome, s.ResendAfter, now) || news {
		changed = v.changed(now)
	}
	v.turn()
	return v.schedule(s, v.Asked, now) || changed
}

// offerOneClick notes the payment's one-click token, and reports whether it is to
// be told now: once the money counts.
func (v *Verification) offerOneClick(a Report) bool {
	if v.OneClick == "" && v.another(a) == "" && !v.Erased {
		v.OneClick = a.OneClick
	}
	if v.OneClick == "" || v.OneClickTold || v.Facts.Outcome != verificationv1.Outcome_OUTCOME_PAID {
		return false
	}
	v.OneClickTold = true
	return true
}

// TakeCallbacks returns the callbacks that have their answer now.
func (v *Verification) TakeCallbacks() []string {
	done := v.Callbacks
	v.Callbacks = nil
	v.Answered = append(v.Answered, done...)
	if extra := len(v.Answered) - keptAnswers; extra > 0 {
		v.Answered = slices.Delete(v.Answered, 0, extra)
	}
	return done
}

// judge compares an answer with what was asked for and says what it means.
func (v *Verification) judge(a Report, s Schedule, now time.Time) Facts {
	f := Facts{Outcome: a.Outcome, TransactionID: a.TransactionID, Detail: a.Detail, Raw: a.Raw}
	switch a.Outcome {
	case verificationv1.Outcome_OUTCOME_PAID, verificationv1.Outcome_OUTCOME_AUTHORIZED:
		if other := v.another(a); other != "" {
			// Whatever was paid there, it is not this attempt's money.
			f.Outcome, f.HoldReason, f.Detail = verificationv1.Outcome_OUTCOME_ON_HOLD, orderv1.HoldReason_HOLD_REASON_MISMATCH, other
			return f
		}
		f.Refunded = a.Refunded
		if a.Outcome == verificationv1.Outcome_OUTCOME_PAID {
			f.Captured = named(a.Captured, a.Amount)
		} else {
			f.Authorized, f.Captured = a.Amount, a.Captured
		}
		if a.Amount != v.Amount {
			f.Outcome, f.HoldReason = verificationv1.Outcome_OUTCOME_ON_HOLD, orderv1.HoldReason_HOLD_REASON_MISMATCH
			f.Detail = fmt.Sprintf("the provider names %s, asked was %s", a.Amount, v.Amount)
			if v.GivenBack.Currency == a.Amount.Currency {
				f.Refunded = larger(v.GivenBack, a.Refunded)
			}
			return f
		}
		back := larger(v.GivenBack, a.Refunded)
		if back.Minor > 0 && a.Outcome == verificationv1.Outcome_OUTCOME_PAID {
			if a.AckOrRefund { // the rest may go back yet
				v.windowOver(s, now)
			}
			f.Outcome, f.Refunded = verificationv1.Outcome_OUTCOME_REFUNDED, back
			if v.ChargedBack {
				f.Outcome = verificationv1.Outcome_OUTCOME_CHARGED_BACK
			}
			v.Unsure = false
			return f
		}
		if a.Outcome == verificationv1.Outcome_OUTCOME_PAID && a.AckOrRefund && !v.keeps(a, s, now) {
			return Facts{Outcome: verificationv1.Outcome_OUTCOME_PENDING, Raw: a.Raw}
		}
		v.Unsure = false
	case verificationv1.Outcome_OUTCOME_ON_HOLD:
		f.HoldReason = orderv1.HoldReason_HOLD_REASON_PROVIDER_REVIEW
	case verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_CHARGED_BACK:
		f.Captured = a.Captured
		if f.Refunded = named(a.Refunded, a.Amount); f.Refunded.Currency == "" {
			f.Refunded = larger(v.Facts.Captured, a.Captured)
		}
		v.Unsure = false
	case verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED, verificationv1.Outcome_OUTCOME_EXPIRED,
		verificationv1.Outcome_OUTCOME_PENDING, verificationv1.Outcome_OUTCOME_UNSPECIFIED:
	}
	return f
}

// another says that an answer is about other money than this attempt's, empty if
// it isn't.
func (v *Verification) another(a Report) string {
	switch {
	case a.UsedBy != "":
		return fmt.Sprintf("transaction %s has already paid attempt %s", a.TransactionID, a.UsedBy)
	case a.Reference != "" && a.Reference != v.Reference:
		return fmt.Sprintf("the provider names reference %s, asked was %s", a.Reference, v.Reference)
	case a.Account != "":
		return fmt.Sprintf("the provider names account %s, which is not account %s's", a.Account, v.Account)
	}
	return ""
}

// foreign says that an answer tells what became of another payment than this
// attempt's, empty if it doesn't: a browser can bring the reference of an old
// one that failed or was given back. Such an answer says nothing of this
// attempt. Money that another payment brought is not ignored but judged: it puts
// the attempt on hold, and what becomes of that transaction counts from then on.
func (v *Verification) foreign(a Report) string {
	switch a.Outcome {
	case verificationv1.Outcome_OUTCOME_UNSPECIFIED, verificationv1.Outcome_OUTCOME_PENDING,
		verificationv1.Outcome_OUTCOME_PAID, verificationv1.Outcome_OUTCOME_AUTHORIZED:
		return ""
	case verificationv1.Outcome_OUTCOME_ON_HOLD, verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED,
		verificationv1.Outcome_OUTCOME_EXPIRED, verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_CHARGED_BACK:
	}
	ours := a.TransactionID == v.Facts.TransactionID
	switch {
	case rank(v.Facts) >= 3 && ours && a.TransactionID != "":
		return ""
	case v.Facts.Outcome == verificationv1.Outcome_OUTCOME_AUTHORIZED && over(a.Outcome) && !ours && a.TransactionID != "" && v.Facts.TransactionID != "":
		return fmt.Sprintf("the provider names transaction %s, %s is authorized", a.TransactionID, v.Facts.TransactionID)
	}
	return v.another(a)
}

// otherTransaction reports that an answer about a paid attempt names another
// transaction than the one that paid it. What became of that one it does not
// tell, so nothing changes but that somebody must look.
func (v *Verification) otherTransaction(a Report) bool {
	if rank(v.Facts) != 3 || a.TransactionID == "" || v.Facts.TransactionID == "" || a.TransactionID == v.Facts.TransactionID {
		return false
	}
	v.OtherTransaction = a.TransactionID
	v.Problem = fmt.Sprintf("the provider names transaction %s, %s has paid", a.TransactionID, v.Facts.TransactionID)
	return true
}

// named is the first of two amounts that an answer names.
func named(a, b money.Amount) money.Amount {
	if a.Currency != "" {
		return a
	}
	return b
}

// keeps says whether the money of an ack-or-refund sale stays: our
// acknowledgement was given, or the provider still says paid after the window
// in which it gives money back.
func (v *Verification) keeps(a Report, s Schedule, now time.Time) bool {
	if v.windowOver(s, now) || slices.Contains(v.Acknowledged, a.TransactionID) {
		return true
	}
	v.Unsure = true
	return false
}

// windowOver notes that the provider says paid, and reports whether it does so
// after the window in which it gives money back.
func (v *Verification) windowOver(s Schedule, now time.Time) bool {
	if v.FirstPaid.IsZero() {
		v.FirstPaid = now
	}
	over := !now.Before(v.FirstPaid.Add(s.RefundWindow))
	v.Rechecked = v.Rechecked || over
	return over
}

// rank orders outcomes: a higher one is never taken back by a lower one, equal
// ones by the later answer.
func rank(f Facts) int {
	switch f.Outcome {
	case verificationv1.Outcome_OUTCOME_UNSPECIFIED, verificationv1.Outcome_OUTCOME_PENDING:
		return 0
	case verificationv1.Outcome_OUTCOME_ON_HOLD:
		if f.HoldReason == orderv1.HoldReason_HOLD_REASON_MISMATCH {
			return 4 // only the merchant ends it, or the money going back
		}
		return 1
	case verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED,
		verificationv1.Outcome_OUTCOME_EXPIRED, verificationv1.Outcome_OUTCOME_AUTHORIZED:
		return 2
	case verificationv1.Outcome_OUTCOME_PAID:
		return 3
	case verificationv1.Outcome_OUTCOME_REFUNDED:
		return 5
	case verificationv1.Outcome_OUTCOME_CHARGED_BACK:
		return 6
	}
	return 0
}

// merge joins new facts with the old ones; amounts only grow.
func (v *Verification) merge(next Facts) (Facts, bool) {
	old := v.Facts
	if rank(next) < rank(old) {
		next.Outcome, next.HoldReason, next.Detail, next.Raw = old.Outcome, old.HoldReason, old.Detail, old.Raw
	}
	next.Authorized = larger(old.Authorized, next.Authorized)
	next.Captured = larger(old.Captured, next.Captured)
	next.Refunded = larger(old.Refunded, next.Refunded)
	if next.TransactionID == "" || old.TransactionID != "" && rank(old) >= 3 {
		next.TransactionID = old.TransactionID
	}
	news := next.Outcome != old.Outcome || next.Authorized != old.Authorized || next.Captured != old.Captured ||
		next.Refunded != old.Refunded || next.HoldReason != old.HoldReason
	if !news {
		next = old
	}
	return next, news
}

func larger(a, b money.Amount) money.Amount {
	if a.Currency == "" || b.Minor > a.Minor {
		return b
	}
	return a
}

// schedule sets when to ask next. An attempt whose life is over without an
// answer expires, which changes the facts.
func (v *Verification) schedule(s Schedule, times int, now time.Time) (expired bool) {
	v.NextAsk = time.Time{}
	settled := rank(v.Facts) == 3 || rank(v.Facts) >= 5
	switch {
	case settled && v.owesRefund():
		if now.After(v.since(s).Add(s.Life)) {
			return v.expire(now)
		}
		v.NextAsk = now.Add(pause(s, times))
		return false
	case rank(v.Facts) == 3 || v.partly():
		if !v.FirstPaid.IsZero() && !v.Rechecked && now.Before(v.FirstPaid.Add(s.RefundWindow+s.Life)) {
			v.NextAsk = v.FirstPaid.Add(s.RefundWindow)
			if !v.NextAsk.After(now) { // the question that was due got no answer
				v.NextAsk = now.Add(pause(s, times))
			}
		}
		return false
	case settled, s.First == 0:
		return false
	}
	if now.After(v.since(s).Add(s.Life)) {
		expired = v.expire(now)
		v.NextAsk = v.afterlife(s, now)
		return expired
	}
	v.NextAsk = now.Add(pause(s, times))
	if v.Unsure {
		if window := v.FirstPaid.Add(s.RefundWindow); window.Before(v.NextAsk) {
			v.NextAsk = window
		}
	}
	return false
}

// partly: some of the money went back, and the rest may yet.
func (v *Verification) partly() bool {
	return v.Facts.Outcome == verificationv1.Outcome_OUTCOME_REFUNDED && v.Facts.Refunded.Minor < v.Facts.Captured.Minor
}

// owesRefund: a signed callback named more money given back than the provider
// has confirmed. An answer in which it doesn't know the payment (they lag, and
// they fail) must not be the last word on that.
func (v *Verification) owesRefund() bool { return v.GivenBack.Minor > v.Facts.Refunded.Minor }

// since is from when the attempt's life counts: from its start, anew from the
// latest callback, and from the end of the window of a payment that doesn't
// count yet: a provider that still says pending then, or nothing, may owe us the
// truth about money that it took.
func (v *Verification) since(s Schedule) time.Time {
	from := v.Started
	if v.Hinted.After(from) {
		from = v.Hinted
	}
	if window := v.FirstPaid.Add(s.RefundWindow); v.Unsure && window.After(from) {
		from = window
	}
	return from
}

// afterlife is when to ask about an attempt whose life is over: when it is twice
// as old. Zero: never, for the provider has given its word or it is too old.
func (v *Verification) afterlife(s Schedule, now time.Time) time.Time {
	age := now.Sub(v.since(s))
	switch o := v.Facts.Outcome; {
	case o == verificationv1.Outcome_OUTCOME_FAILED, o == verificationv1.Outcome_OUTCOME_CANCELED, age >= Afterlife:
		return time.Time{}
	}
	return now.Add(min(age, Afterlife-age))
}

func pause(s Schedule, times int) time.Duration {
	if len(s.Then) == 0 {
		return s.First
	}
	return s.Then[min(max(times, 1), len(s.Then))-1]
}

func (v *Verification) expire(now time.Time) bool {
	merged, news := v.merge(Facts{
		Outcome: verificationv1.Outcome_OUTCOME_EXPIRED, Detail: "no final answer from the provider", Raw: v.Facts.Raw,
	})
	v.LifeOver = !v.Hinted.IsZero() || v.ProviderReference != "" || v.Failures > 0 || v.Unsure || rank(v.Facts) == 1
	if !news || rank(v.Facts) == 2 {
		return false
	}
	v.Facts = merged
	return v.changed(now)
}
