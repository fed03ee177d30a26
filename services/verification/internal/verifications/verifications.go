// Package verifications keeps the verification documents and does their due
// work: it asks providers, and tells the order again what it has not
// acknowledged. It is the only place that calls a provider's status API.
package verifications

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/provider"
	"quittance/pkg/provider/registry"
	"quittance/pkg/provider/setting"
	"quittance/pkg/reference"
	"quittance/pkg/service"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/verification/internal/verification"
)

const (
	// lease is how long a crashed process's questions wait; it is renewed while
	// a slow provider is asked.
	lease = 40 * time.Second
	// longest bounds a question: KontoCloud wants at least 90 s.
	longest    = 2 * time.Minute
	defaultAsk = 30 * time.Second
	// perAccount is how many questions one account's provider gets at once, of
	// workers in all.
	perAccount, workers = 8, 64
)

// Transaction is the document that binds a provider's transaction to the one
// attempt it pays (P1). Its id is derived from account and transaction id.
type Transaction struct {
	Attempt string `json:"attempt"`
}

// Early is a callback that came before its attempt was known.
type Early struct {
	Key   string    `json:"key"`
	Event []byte    `json:"event"`
	At    time.Time `json:"at"`
}

// keepEarly is how long a callback waits for its attempt: longer than an attempt
// can be on its way, and not for ever, because anybody can send some that name
// attempts which will never be.
const keepEarly = 30 * 24 * time.Hour

// Verifications is the collection and what its work needs.
type Verifications struct {
	*docstore.Collection[verification.Verification]
	transactions *docstore.Collection[Transaction]
	Early        *docstore.Collection[Early]
	base         *service.Base
	reference    *reference.Copy
	providers    *registry.Registry
	gates        *gates
}

// NeedsAttention is the index of the attempts that need somebody, the oldest
// first.
const NeedsAttention = "attention"

// Key is the index value by which a callback finds its attempt.
func Key(account, reference string) string { return account + "/" + reference }

// ProviderKey is the key of callbacks that name only the provider's own id of
// the payment.
func ProviderKey(account, reference string) string { return account + "//" + reference }

// Indexes of verifications: by our reference, and by the provider's.
const (
	ByReference         = "reference"
	ByProviderReference = "provider_reference"
	byOrder             = "order"
)

// Open opens the collections and adds the due work to the service.
func Open(ctx context.Context, b *service.Base, ref *reference.Copy, providers *registry.Registry) (*Verifications, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[verification.Verification]{
		Name: "verifications",
		Indexes: map[string]func(*verification.Verification) string{
			ByReference: func(v *verification.Verification) string { return Key(v.Account, v.Reference) },
			ByProviderReference: func(v *verification.Verification) string {
				if v.ProviderReference == "" {
					return ""
				}
				return ProviderKey(v.Account, v.ProviderReference)
			},
			byOrder: func(v *verification.Verification) string { return v.Order },
			NeedsAttention: func(v *verification.Verification) string {
				if v.Attention() == 0 {
					return ""
				}
				return v.Started.UTC().Format(time.RFC3339)
			},
		},
		NextDue: verification.NextDue,
	})
	if err != nil {
		return nil, err
	}
	transactions, err := service.Open(ctx, b, docstore.Spec[Transaction]{Name: "transactions"})
	if err != nil {
		return nil, err
	}
	early, err := service.Open(ctx, b, docstore.Spec[Early]{
		Name:    "early_callbacks",
		Indexes: map[string]func(*Early) string{"key": func(e *Early) string { return e.Key }},
		NextDue: func(e *Early) time.Time { return e.At.Add(keepEarly) },
	})
	if err != nil {
		return nil, err
	}
	service.Loop(b, early, func(ctx context.Context, doc *due.Leased[Early]) error {
		_, err := early.Delete(ctx, doc.ID, doc.Version)
		return err
	}, due.Options{Workers: 1, Poll: time.Minute})
	vs := &Verifications{Collection: coll, transactions: transactions, Early: early, base: b, reference: ref, providers: providers, gates: newGates(b.Now, b.Log)}
	service.Loop(b, coll, vs.work, due.Options{Workers: workers, Lease: lease, Longest: longest}).
		Lanes(perAccount, func(v *verification.Verification) string { return v.Account })
	return vs, nil
}

// Terms are an account's schedule and policy.
type Terms struct {
	verification.Schedule
	verification.Policy
	Timeout time.Duration
	rate    int
	account provider.Account
	roles   provider.Provider
	// statuser is nil if the provider can't be asked.
	statuser provider.Statuser
}

// Askable: the provider can be asked what its books say.
func (t *Terms) Askable() bool { return t.statuser != nil }

// Terms reads the terms of an account.
func (vs *Verifications) Terms(ctx context.Context, account string) (Terms, error) {
	acc, _, err := vs.reference.Account(ctx, account)
	if err != nil {
		return Terms{}, fmt.Errorf("account %s: %w", account, err)
	}
	p, err := vs.providers.Get(acc.Provider)
	if err != nil {
		return Terms{}, err
	}
	policy, err := setting.PolicyOf(acc.Settings)
	if err != nil {
		return Terms{}, fmt.Errorf("account %s: %w", account, err)
	}
	merchant, err := vs.reference.Merchant(ctx, acc.Merchant)
	if err != nil && fault.KindOf(err) != fault.KindNotFound {
		return Terms{}, fmt.Errorf("merchant %s: %w", acc.Merchant, err)
	}
	t := Terms{account: acc, roles: p, rate: policy.StatusRate, Timeout: defaultAsk, Policy: verification.Policy{
		DeliverOnAuthorized: policy.DeliverOnAuthorized, CaptureOn: policy.CaptureOn, RefundUnwanted: merchant.GetRefundUnwanted(),
	}}
	if s, ok := p.(provider.Scheduler); ok {
		sched := s.Schedule(acc)
		t.Schedule = verification.Schedule{First: sched.First, Then: sched.Then, Life: sched.Life, RefundWindow: sched.RefundWindow}
		if sched.Timeout > 0 {
			t.Timeout = sched.Timeout
		}
	}
	t.ResendAfter = policy.ResendAfter
	var ok bool
	if t.statuser, ok = p.(provider.Statuser); !ok {
		t.First = 0 // nobody to ask: the merchant confirms
	}
	return t, nil
}

// work asks the provider, sends it an operation, or tells the order again,
// whichever is due.
func (vs *Verifications) work(ctx context.Context, doc *due.Leased[verification.Verification]) error {
	now := vs.Now()
	send := doc.Body.SendDue(now)
	if send == "" && !doc.Body.AskDue(now) {
		return doc.Finish(ctx, func(v *verification.Verification, ch *docstore.Change) error {
			if v.TellDue(vs.Now()) {
				v.ToldAgain(vs.Now())
				ch.Resend(ch.Latest(event.PaymentVerified))
			}
			return nil
		})
	}
	terms, err := vs.Terms(ctx, doc.Body.Account)
	if err != nil {
		return err // without terms nothing can be scheduled: the lease's end brings it back
	}
	if send != "" {
		return vs.send(ctx, doc, terms, send)
	}
	if terms.statuser == nil {
		return vs.noAnswer(ctx, doc, terms, errors.New("the provider has no status API"))
	}
	leave, later, err := vs.gates.enter(ctx, doc.Body.Account, terms.rate, call{doc.Body.FailingSince, doc.Body.Urgent()})
	if err != nil || later != nil {
		return vs.putOff(ctx, doc, later, err)
	}
	report, err := vs.ask(ctx, terms, &doc.Body)
	leave(err)
	if err == nil {
		report, err = vs.Bind(ctx, &doc.Body, report)
	}
	if errors.Is(err, provider.ErrReferenceMissing) {
		return doc.Finish(ctx, func(v *verification.Verification, ch *docstore.Change) error {
			v.Unaskable(doc.Body.ProviderReference, err.Error(), vs.Now())
			return vs.AcknowledgeCallbacks(ch, v, v.TakeCallbacks())
		})
	}
	if err != nil {
		return vs.noAnswer(ctx, doc, terms, err)
	}
	return doc.Finish(ctx, func(v *verification.Verification, ch *docstore.Change) error {
		return vs.Apply(ch, v, report, terms)
	})
}

func (vs *Verifications) noAnswer(ctx context.Context, doc *due.Leased[verification.Verification], terms Terms, err error) error {
	return doc.Finish(ctx, func(v *verification.Verification, ch *docstore.Change) error {
		if v.NoAnswer(err.Error(), terms.Schedule, vs.Now()) {
			return vs.Tell(ch, v, terms)
		}
		return nil
	})
}

// putOff comes back to a document when its account's gate may be open again.
func (vs *Verifications) putOff(ctx context.Context, doc *due.Leased[verification.Verification], later *wait, err error) error {
	if err != nil {
		return err // our own time is over: the lease's end brings it back
	}
	return doc.Finish(ctx, func(v *verification.Verification, _ *docstore.Change) error {
		v.PutOff(later.until, later.problem, vs.Now())
		return nil
	})
}

// ask puts one question to the provider.
func (vs *Verifications) ask(ctx context.Context, t Terms, v *verification.Verification) (verification.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	r, err := t.statuser.Status(ctx, t.account, query(v))
	if err != nil {
		return verification.Report{}, fmt.Errorf("ask %s: %w", t.account.Provider, err)
	}
	if r.Unknown {
		vs.base.Log.WarnContext(ctx, "provider says a word the mapping doesn't have",
			"provider", t.account.Provider, "account", t.account.ID, "attempt", v.Attempt, "word", r.Raw)
	}
	oneClick := ""
	if r.OneClickToken != "" && v.OneClick == "" {
		oneClick, err = vs.base.Keyring.Seal([]byte(r.OneClickToken.Reveal()), provider.OneClickContext(v.Account, v.Reference))
		if err != nil {
			return verification.Report{}, fmt.Errorf("seal token of attempt %s: %w", v.Attempt, err)
		}
	}
	return verification.Report{
		Outcome: outcomes[r.State], Reference: r.Reference, TransactionID: r.TransactionID, Amount: r.Amount,
		Captured: r.Captured, Refunded: r.Refunded, Account: r.Account,
		AckOrRefund: r.AckOrRefund, Detail: r.Detail, Raw: r.Raw, Payer: payer(r.Payer),
		OneClick: oneClick,
	}, nil
}

func payer(p provider.Payer) verification.Payer {
	return verification.Payer{
		Name: p.Name, Company: p.Company, Email: p.Email, AddressLine1: p.AddressLine1, AddressLine2: p.AddressLine2,
		PostalCode: p.PostalCode, City: p.City, Region: p.Region, Country: p.CountryISO,
	}
}

func query(v *verification.Verification) provider.StatusQuery {
	return provider.StatusQuery{Reference: v.Reference, TransactionID: v.Facts.TransactionID, ProviderReference: v.ProviderReference}
}

// outcomes maps a provider's state; what is missing is no outcome at all.
var outcomes = map[provider.State]verification.Outcome{
	provider.Pending:     verificationv1.Outcome_OUTCOME_PENDING,
	provider.OnHold:      verificationv1.Outcome_OUTCOME_ON_HOLD,
	provider.Authorized:  verificationv1.Outcome_OUTCOME_AUTHORIZED,
	provider.Paid:        verificationv1.Outcome_OUTCOME_PAID,
	provider.Failed:      verificationv1.Outcome_OUTCOME_FAILED,
	provider.Canceled:    verificationv1.Outcome_OUTCOME_CANCELED,
	provider.Expired:     verificationv1.Outcome_OUTCOME_EXPIRED,
	provider.Refunded:    verificationv1.Outcome_OUTCOME_REFUNDED,
	provider.ChargedBack: verificationv1.Outcome_OUTCOME_CHARGED_BACK,
}

// Bind reserves a paying transaction for the attempt, before it counts: one
// provider transaction pays one attempt (P1). The report says if another
// attempt has it, also where it tells how a transaction ended, which reserves
// nothing.
func (vs *Verifications) Bind(ctx context.Context, v *verification.Verification, r verification.Report) (verification.Report, error) {
	if r.TransactionID == "" {
		return r, nil
	}
	txn := id.Derived("txn", v.Account, r.TransactionID)
	switch r.Outcome {
	case verificationv1.Outcome_OUTCOME_UNSPECIFIED, verificationv1.Outcome_OUTCOME_PENDING:
		return r, nil
	case verificationv1.Outcome_OUTCOME_PAID, verificationv1.Outcome_OUTCOME_AUTHORIZED:
		if v.Facts.Outcome == r.Outcome && v.Facts.TransactionID == r.TransactionID {
			return r, nil // it counted before, so it is bound
		}
		_, err := vs.transactions.Insert(ctx, txn, v.Merchant, &Transaction{Attempt: v.Attempt})
		if !errors.Is(err, docstore.ErrExists) {
			return r, err
		}
	case verificationv1.Outcome_OUTCOME_ON_HOLD, verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED,
		verificationv1.Outcome_OUTCOME_EXPIRED, verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_CHARGED_BACK:
	}
	holder, err := vs.transactions.Get(ctx, txn)
	switch {
	case errors.Is(err, docstore.ErrNotFound):
		return r, nil
	case err != nil:
		return r, err
	case holder.Body.Attempt != v.Attempt:
		r.UsedBy = holder.Body.Attempt
	}
	return r, nil
}

// Apply merges a report and tells the order if the facts changed; callbacks
// that waited have their answer either way.
func (vs *Verifications) Apply(ch *docstore.Change, v *verification.Verification, r verification.Report, t Terms) error {
	if v.Answer(r, t.Schedule, vs.Now()) {
		return vs.Tell(ch, v, t)
	}
	return vs.AcknowledgeCallbacks(ch, v, v.TakeCallbacks())
}

// Tell sends the facts to the order.
func (vs *Verifications) Tell(ch *docstore.Change, v *verification.Verification, t Terms) error {
	e, err := vs.Fact(v, t)
	if err != nil {
		return err
	}
	ch.Emit(e)
	return nil
}

// Fact is the event that tells the order the facts.
func (vs *Verifications) Fact(v *verification.Verification, t Terms) (event.Event, error) {
	return vs.base.Event(event.PaymentVerified, v.Attempt, v.Order, v.Merchant, v.Fact(v.TakeCallbacks(), t.Policy))
}

// AcknowledgeCallbacks tells callback-ingest that callbacks are known and led
// to no new facts.
func (vs *Verifications) AcknowledgeCallbacks(ch *docstore.Change, v *verification.Verification, callbacks []string) error {
	if len(callbacks) == 0 {
		return nil
	}
	e, err := vs.base.Event(event.CallbackAcknowledged, v.Attempt, v.Order, v.Merchant,
		&eventv1.CallbackAcknowledged{CallbackIds: callbacks, AttemptId: v.Attempt, OrderId: v.Order})
	if err != nil {
		return err
	}
	ch.Emit(e)
	return nil
}
