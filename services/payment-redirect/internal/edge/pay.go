package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/web"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/payment-redirect/internal/attempt"
)

// maxForm bounds the body of the pay form, maxBody that of a return.
const (
	maxForm = 16 << 10
	maxBody = 64 << 10
)

// pay shows what is to be paid, and the ways to do it.
func (p *Pages) pay(w http.ResponseWriter, r *http.Request) {
	o, err := p.byToken(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if p.closed(w, r, o) {
		return
	}
	methods, err := p.checkout.methods(r.Context(), o)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.offer(w, r, http.StatusOK, o, methods, "")
}

// closed answers for an order that can't be paid, if it can't.
func (p *Pages) closed(w http.ResponseWriter, r *http.Request, o *orderv1.Order) bool {
	switch o.GetPaymentState() {
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID:
		return false
	case orderv1.PaymentState_PAYMENT_STATE_CANCELED:
		p.say(w, r, http.StatusOK, english.Canceled, p.about(r.Context(), o))
	case orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		p.say(w, r, http.StatusOK, english.Expired, p.about(r.Context(), o))
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, orderv1.PaymentState_PAYMENT_STATE_PAID,
		orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK, orderv1.PaymentState_PAYMENT_STATE_ON_HOLD,
		orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
		redirect(w, p.orderPath(o))
	}
	return true
}

// offer shows the pay form, with a problem if there is one. Its key makes the
// same form, sent twice, one attempt.
func (p *Pages) offer(w http.ResponseWriter, r *http.Request, status int, o *orderv1.Order, methods []method, problem string) {
	data := p.about(r.Context(), o)
	data.Title, data.Problem, data.Key, data.Action = english.PayTitle, problem, id.Token(), p.payPath(o)
	if problem == "" && o.GetPaymentProblem() != "" {
		data.Problem = english.Retry + o.GetPaymentProblem()
	}
	var targets []string
	for _, m := range methods {
		name := m.account.GetDisplayName()
		if name == "" {
			name = m.account.GetId()
		}
		data.Methods = append(data.Methods, pageMethod{ID: m.account.GetId(), Name: name, Chosen: len(methods) == 1})
		if m.sample.URL != "" {
			targets = append(targets, m.sample.URL) // the form is answered with a redirect to there
		}
	}
	p.show(w, r, status, "pay.html", data, targets...)
}

// choose starts a payment with the chosen method and sends the browser on.
func (p *Pages) choose(w http.ResponseWriter, r *http.Request) {
	o, err := p.byToken(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if p.closed(w, r, o) {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if !errors.As(err, &large) {
			err = fault.Invalid("form", "is not readable").Because(err)
		}
		p.fail(w, r, err)
		return
	}
	methods, err := p.checkout.methods(r.Context(), o)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	chosen, key := r.PostForm.Get("method"), r.PostForm.Get("key")
	if !offered(methods, chosen) {
		p.offer(w, r, http.StatusBadRequest, o, methods, english.ChooseMethod)
		return
	}
	if !token.MatchString(key) {
		p.offer(w, r, http.StatusBadRequest, o, methods, english.OutOfDate)
		return
	}
	a, err := p.startOnce(r.Context(), o, chosen, key)
	switch fault.KindOf(err) {
	case fault.KindConflict, fault.KindInvalid:
		redirect(w, p.payPath(o)) // order or method have changed since: the page says how
		return
	case fault.KindExhausted:
		web.Annotate(r.Context(), slog.Any("problem", err))
		data := p.about(r.Context(), o)
		data.ToOrder = p.orderPath(o)
		p.say(w, r, http.StatusTooManyRequests, english.TooMany, data)
		return
	case 0:
	case fault.KindNotFound, fault.KindUnauthenticated, fault.KindDenied,
		fault.KindUnavailable, fault.KindInternal:
		p.fail(w, r, err)
		return
	}
	web.Annotate(r.Context(), slog.String("attempt", a.ID))
	p.send(w, r, o, a)
}

func offered(methods []method, account string) bool {
	for _, m := range methods {
		if m.account.GetId() == account {
			return true
		}
	}
	return false
}

// startOnce starts an attempt, or finds the one that the same form has started.
// The id tells a page's attempts from those of the merchant's own keys.
func (p *Pages) startOnce(ctx context.Context, o *orderv1.Order, account, key string) (*attempt.Attempt, error) {
	attemptID := p.checkout.Attempts.ID(o.GetMerchantId(), "page", o.GetId(), account, key)
	doc, err := p.checkout.start(ctx, o, account, attemptID, key)
	if errors.Is(err, docstore.ErrExists) {
		doc, err = p.checkout.Attempts.For(o.GetMerchantId()).Get(ctx, attemptID)
	}
	if err != nil {
		return nil, fmt.Errorf("start attempt: %w", err)
	}
	return &doc.Body, nil
}

// send sends the browser to where the attempt is paid.
func (p *Pages) send(w http.ResponseWriter, r *http.Request, o *orderv1.Order, a *attempt.Attempt) {
	switch s := a.State(); {
	case attempt.Over(s):
		redirect(w, p.payPath(o)) // an old form: a fresh one starts another attempt
		return
	case s == paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED:
		redirect(w, p.orderPath(o))
		return
	}
	to, err := p.checkout.redirect(r.Context(), a)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	data := p.about(r.Context(), o)
	switch {
	case to.URL == "":
		data.Title, data.Instructions, data.Reference = english.OfflineTitle, to.Instructions, a.ID
		data.Total = a.Amount.String()
		data.ToOrder, data.ToPay = p.orderPath(o), p.payPath(o)
		p.show(w, r, http.StatusOK, "offline.html", data)
	case to.Method == http.MethodPost:
		data.Title, data.Action, data.Fields = english.ContinueTitle, to.URL, to.Fields
		p.show(w, r, http.StatusOK, "post.html", data, to.URL)
	default:
		redirect(w, to.URL)
	}
}
