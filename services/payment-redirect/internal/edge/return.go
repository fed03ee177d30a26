package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/provider/registry"
	"quittance/pkg/web"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/payment-redirect/internal/attempt"
)

// declined ends the path of a return from the provider's page of failure.
const declined = "/declined"

// orderPoll is how often the order is asked for while a browser waits.
const orderPoll = 100 * time.Millisecond

// maxReference bounds a provider's reference that a browser brings.
const maxReference = 200

// returned takes the browser that comes back from a provider, from its page of
// failure if failure is true.
func (p *Pages) returned(failure bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead { // the mux takes it for a GET; it must change nothing
			w.Header().Set("Allow", "GET, POST")
			p.say(w, r, http.StatusMethodNotAllowed, sayNotAllowed, page{})
			return
		}
		a, err := p.record(w, r, failure)
		if err != nil {
			// A form is as good as an address here, and a link can lead on to the shop.
			again := p.path(r.URL.EscapedPath())
			if brought := r.Form.Encode(); brought != "" {
				again += "?" + brought
			}
			p.failOr(w, r, err, page{Again: again})
			return
		}
		p.onwards(w, r, a)
	})
}

// onwards waits a moment for the truth and sends the browser to the shop.
func (p *Pages) onwards(w http.ResponseWriter, r *http.Request, a *attempt.Attempt) {
	o, a, err := p.outcome(r.Context(), a)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	status := fulfillment(o, a)
	web.Annotate(r.Context(), slog.String("attempt", a.ID), slog.String("order", o.GetId()), slog.String("fulfillment", status))
	p.toShop(w, r, o, a, status)
}

// toShop sends the browser that comes from an attempt to where the shop wants
// it, or to the order's page.
func (p *Pages) toShop(w http.ResponseWriter, r *http.Request, o *orderv1.Order, a *attempt.Attempt, status string) {
	back := a.Back
	if back == "" {
		back = o.GetReturnUrl()
	}
	if back == "" {
		redirect(w, p.orderPath(o))
		return
	}
	if a.Back != "" {
		if err := p.learn(r.Context(), o, "", status); err != nil {
			p.fail(w, r, err)
			return
		}
	}
	target, err := p.checkout.back(r.Context(), o, back, status, a)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	redirect(w, target)
}

// record notes that the browser came back. It does so even if the browser goes
// away meanwhile.
func (p *Pages) record(w http.ResponseWriter, r *http.Request, failure bool) (*attempt.Attempt, error) {
	attemptID := r.PathValue("attempt")
	if !id.Valid("pay", attemptID) {
		return nil, fault.NotFound("attempt")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	unreadable := r.ParseForm()
	var large *http.MaxBytesError
	if errors.As(unreadable, &large) {
		return nil, unreadable
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), lookupWait)
	defer cancel()
	doc, err := p.checkout.Attempts.Get(ctx, attemptID)
	if err != nil {
		return nil, missing(err, "attempt")
	}
	var brought url.Values
	if unreadable == nil {
		brought = r.Form
	}
	ret, ok, err := p.read(ctx, &doc.Body, brought)
	if err != nil {
		return nil, err
	}
	if !ok { // nobody comes back from there, and the attempt's id is no secret: it is what a transfer is marked with
		return nil, fault.NotFound("attempt")
	}
	if failure && !ret.Canceled {
		ret.Failed = true
	}
	if ret == (attempt.Return{}) && p.soonPaid(ctx, attemptID) {
		return &doc.Body, nil
	}
	if doc, err = p.checkout.Attempts.Return(ctx, attemptID, ret); err != nil {
		return nil, fmt.Errorf("record return: %w", err)
	}
	return &doc.Body, nil
}

// grace is how long a return that says no more than "here I am" waits for the
// provider's callback, which usually comes first, to make it superfluous.
const grace = 300 * time.Millisecond

// soonPaid says whether the attempt is paid, or is within the grace.
func (p *Pages) soonPaid(ctx context.Context, attemptID string) bool {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	_, err := p.checkout.Attempts.Await(ctx, attemptID, grace/3, func(d *docstore.Doc[attempt.Attempt]) bool { return d.Body.Paid })
	return err == nil
}

// read has the provider read what the browser brought, nil for nothing
// readable. The result is false for a provider that sends no browser back. An
// error means that nobody can tell now.
func (p *Pages) read(ctx context.Context, a *attempt.Attempt, brought url.Values) (attempt.Return, bool, error) {
	returner, err := p.checkout.Providers.Returner(a.Provider)
	if errors.Is(err, registry.ErrNoRole) {
		return attempt.Return{}, false, nil
	}
	if err != nil {
		return attempt.Return{}, false, err
	}
	acc, _, err := p.checkout.Reference.Account(ctx, a.Account)
	if err != nil {
		return attempt.Return{}, false, fault.Unavailable("account can't be read now").Because(err)
	}
	if brought == nil {
		return attempt.Return{}, true, nil
	}
	hint, err := returner.ParseReturn(acc, brought)
	if was, ok := acc.Previous(); ok && err != nil {
		hint, err = returner.ParseReturn(was, brought)
	}
	if err != nil {
		web.Annotate(ctx, slog.Any("unreadable", err))
		return attempt.Return{}, true, nil
	}
	if len(hint.ProviderReference) > maxReference || !line(hint.ProviderReference) {
		return attempt.Return{}, true, nil
	}
	return attempt.Return{
		Canceled: hint.Canceled, Failed: hint.Failed && !hint.Canceled, ProviderReference: hint.ProviderReference,
	}, true, nil
}

// outcome waits until the order or the attempt has come to an end, at most
// returnWait. It errs if the order service can't be asked.
func (p *Pages) outcome(ctx context.Context, a *attempt.Attempt) (*orderv1.Order, *attempt.Attempt, error) {
	waiting, cancel := context.WithTimeout(ctx, p.returnWait)
	defer cancel()
	var last *orderv1.Order
	for {
		o, err := p.ask(ctx, a)
		switch {
		case err == nil && settled(o, a):
			return o, a, nil
		case err == nil:
			last = o
		case fault.KindOf(err) == fault.KindNotFound:
			return nil, nil, err
		}
		if waiting.Err() != nil {
			if last == nil {
				return nil, nil, err
			}
			return last, a, nil
		}
		a = p.watch(waiting, a)
	}
}

// ask reads the attempt's order.
func (p *Pages) ask(ctx context.Context, a *attempt.Attempt) (*orderv1.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	return p.checkout.order(ctx, a.Merchant, a.Order)
}

// watch waits for the next look at the order, which an attempt that comes to
// nothing meanwhile brings forward. It returns the attempt as it is then.
func (p *Pages) watch(ctx context.Context, a *attempt.Attempt) *attempt.Attempt {
	ctx, cancel := context.WithTimeout(ctx, orderPoll)
	defer cancel()
	doc, err := p.checkout.Attempts.Await(ctx, a.ID, orderPoll, func(d *docstore.Doc[attempt.Attempt]) bool {
		return attempt.Over(d.Body.State()) && !attempt.Over(a.State())
	})
	if err != nil {
		<-ctx.Done() // a store that fails at once must not make this a hot loop
	}
	if doc == nil {
		return a
	}
	return &doc.Body
}

// settled: waiting longer would tell the shop nothing else.
func settled(o *orderv1.Order, a *attempt.Attempt) bool {
	switch o.GetPaymentState() {
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID:
		return attempt.Over(a.State())
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		return delivering(o, a)
	case orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK,
		orderv1.PaymentState_PAYMENT_STATE_CANCELED, orderv1.PaymentState_PAYMENT_STATE_EXPIRED,
		orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
		return true
	case orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
	}
	return false
}
