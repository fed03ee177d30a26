package edge

import (
	"context"
	"fmt"
	"net/http"

	"quittance/pkg/docstore"
	"quittance/pkg/provider"
	"quittance/pkg/words"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/payment-redirect/internal/attempt"
)

// openAttempt is a payment that was started and may still arrive.
type openAttempt struct{ Method, Time string }

// none stands for "no payment was under way" in the pay form.
const none = "none"

// underWay is the latest attempt of an order that may still bring money, nil
// for none. That nothing came of one is only true when its provider says so: a
// browser can come back from the page of failure by a typed address.
func underWay(list []*attempt.Attempt) *attempt.Attempt {
	var last *attempt.Attempt
	for _, a := range list {
		if !a.Ended() && a.State() != paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED && later(a, last) {
			last = a
		}
	}
	return last
}

// latest is the attempt that was started last.
func latest(list []*attempt.Attempt) *attempt.Attempt {
	var last *attempt.Attempt
	for _, a := range list {
		if later(a, last) {
			last = a
		}
	}
	return last
}

func later(a, than *attempt.Attempt) bool { return than == nil || a.Created.After(than.Created) }

// attemptsOf lists an order's attempts.
func (p *Pages) attemptsOf(ctx context.Context, o *orderv1.Order) ([]*attempt.Attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	list, err := p.checkout.Attempts.OfOrder(ctx, o.GetMerchantId(), o.GetId())
	if err != nil {
		return nil, fmt.Errorf("list attempts: %w", err)
	}
	return list, nil
}

// seenOf names the attempt that a pay form knows to be under way.
func seenOf(open *attempt.Attempt) string {
	if open == nil {
		return none
	}
	return open.ID
}

// opened is what the pay page says of an attempt under way.
func (p *Pages) opened(ctx context.Context, l *words.Language, a *attempt.Attempt) *openAttempt {
	if a == nil {
		return nil
	}
	return &openAttempt{Method: p.nameOf(ctx, a.Account), Time: l.Time(a.Created)}
}

// nameOf is an account's name as customers know it.
func (p *Pages) nameOf(ctx context.Context, account string) string {
	if _, a, err := p.checkout.Reference.Account(ctx, account); err == nil && a.GetDisplayName() != "" {
		return a.GetDisplayName()
	}
	return account
}

// whyAgain says why there is something to pay still, after an attempt that came
// to nothing: our words and, as far as there are any, the provider's.
func whyAgain(l *words.Language, o *orderv1.Order, last *attempt.Attempt) (problem, why string) {
	state := paymentv1.AttemptState_ATTEMPT_STATE_UNSPECIFIED
	if last != nil {
		state = last.State()
	}
	if attempt.Over(state) && !last.Ended() { // only the browser says so
		return l.Say("pay.retry_claimed"), ""
	}
	switch state {
	case paymentv1.AttemptState_ATTEMPT_STATE_FAILED:
		return l.Say("pay.retry"), last.Problem() // the provider's own words, if it has any
	case paymentv1.AttemptState_ATTEMPT_STATE_CANCELED:
		return l.Say("pay.retry_canceled"), ""
	case paymentv1.AttemptState_ATTEMPT_STATE_EXPIRED:
		return l.Say("pay.retry_expired"), ""
	case paymentv1.AttemptState_ATTEMPT_STATE_UNSPECIFIED:
		if o.GetPaymentProblem() != "" {
			return l.Say("pay.retry"), o.GetPaymentProblem()
		}
	case paymentv1.AttemptState_ATTEMPT_STATE_STARTED, paymentv1.AttemptState_ATTEMPT_STATE_PENDING,
		paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED:
	}
	return "", ""
}

// startedHere says whether the same form has started an attempt before.
func (p *Pages) startedHere(ctx context.Context, o *orderv1.Order, choice, key string) bool {
	_, err := p.checkout.Attempts.For(o.GetMerchantId()).Get(ctx, p.attemptOf(o, choice, key))
	return err == nil
}

// attemptOf is the id of what a form starts. It tells a page's attempts from
// those of the merchant's own keys.
func (p *Pages) attemptOf(o *orderv1.Order, choice, key string) string {
	return p.checkout.Attempts.ID(o.GetMerchantId(), "page", o.GetId(), choice, key)
}

// how shows again how to pay by an offline attempt.
func (p *Pages) how(w http.ResponseWriter, r *http.Request) {
	o, err := p.byToken(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if p.closed(w, r, o) {
		return
	}
	var doc *docstore.Doc[attempt.Attempt]
	if doc, err = p.checkout.Attempts.For(o.GetMerchantId()).Get(r.Context(), r.PathValue("attempt")); err != nil {
		p.fail(w, r, missing(err, "attempt"))
		return
	}
	if doc.Body.Order != o.GetId() {
		redirect(w, keep(r, p.payPath(o)))
		return
	}
	to, err := p.checkout.redirect(r.Context(), &doc.Body)
	if err != nil || to.URL != "" || doc.Body.Creation != nil {
		redirect(w, keep(r, p.payPath(o)))
		return
	}
	data := p.about(r, o)
	data.Title = data.T("offline.title")
	data.ToOrder, data.ToPay = keep(r, p.orderPath(o)), keep(r, p.payPath(o))
	data.transfer(&doc.Body, to)
	p.show(w, r, http.StatusOK, "offline.html", data)
}

// transfer says how to pay an offline attempt.
func (p *page) transfer(a *attempt.Attempt, to provider.Redirect) {
	p.Transfer = &transfer{Amount: p.L.Money(a.Amount), Reference: a.ID, Text: to.Instructions}
	if t := to.Transfer; t != nil {
		p.Transfer.Beneficiary, p.Transfer.Account, p.Transfer.Text = t.Beneficiary, t.Account, t.Text
	}
}

// transfer is what a customer needs to pay by hand.
type transfer struct{ Amount, Beneficiary, Account, Reference, Text string }

// howPath is where an offline attempt's instructions are.
func (p *Pages) howPath(o *orderv1.Order, a *attempt.Attempt) string {
	return p.payPath(o) + "/how/" + a.ID
}
