package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/web"
	"quittance/pkg/words"
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
	methods, err := p.methods(r.Context(), o)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.offer(w, r, http.StatusOK, o, methods, "")
}

// methods lists how the customer can pay: first as before, then all ways.
func (p *Pages) methods(ctx context.Context, o *orderv1.Order) ([]method, error) {
	all, err := p.checkout.methods(ctx, o)
	return append(p.checkout.again(ctx, o, all), all...), err
}

// closed answers for an order that can't be paid, if it can't.
func (p *Pages) closed(w http.ResponseWriter, r *http.Request, o *orderv1.Order) bool {
	switch o.GetPaymentState() {
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID:
		return false
	case orderv1.PaymentState_PAYMENT_STATE_CANCELED:
		p.say(w, r, http.StatusOK, orderCanceled, p.about(r, o))
	case orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		p.say(w, r, http.StatusOK, orderExpired, p.about(r, o))
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, orderv1.PaymentState_PAYMENT_STATE_PAID,
		orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK, orderv1.PaymentState_PAYMENT_STATE_ON_HOLD,
		orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
		redirect(w, keep(r, p.orderPath(o)))
	}
	return true
}

// offer shows the pay form, with a problem if there is one: a key of the
// catalogues. Its key makes the same form, sent twice, one attempt; what it has
// seen under way is not told a second time.
func (p *Pages) offer(w http.ResponseWriter, r *http.Request, status int, o *orderv1.Order, methods []method, problem string) {
	list, err := p.attemptsOf(r.Context(), o)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	data := p.about(r, o)
	data.Title, data.Key = data.T("pay.title"), id.Token()
	data.Action, data.ToOrder = keep(r, p.payPath(o)), keep(r, p.orderPath(o))
	open := underWay(list)
	data.Open, data.Seen = p.opened(r.Context(), data.L, open), seenOf(open)
	if problem != "" {
		data.Problem = data.T(problem)
	} else {
		data.Problem, data.Why = whyAgain(data.L, o, latest(list))
	}
	data.Methods = choices(data.L, methods, r.FormValue("method"))
	p.show(w, r, status, "pay.html", data, targets(methods)...)
}

// targets are where the pay form may lead to: it is answered with a redirect.
func targets(methods []method) (out []string) {
	for _, m := range methods {
		if m.sample.URL != "" {
			out = append(out, m.sample.URL)
		}
	}
	return out
}

// choices are the ways to pay, with the wanted or the only one chosen.
func choices(l *words.Language, methods []method, wanted string) []pageMethod {
	var out []pageMethod
	for _, m := range methods {
		name := m.account.GetDisplayName()
		if name == "" {
			name = m.account.GetId()
		}
		if m.way.Name != "" {
			name = m.way.Name
		}
		if m.saved {
			name = l.Say("pay.saved", name)
		}
		out = append(out, pageMethod{ID: m.choice(), Name: name, Icon: iconOf(m), Chosen: len(methods) == 1 || m.choice() == wanted})
	}
	return out
}

// iconOf names a picture for a way to pay.
func iconOf(m method) string {
	switch {
	case m.way.Icon != "":
		return m.way.Icon
	case m.sample.URL == "" && !m.creates:
		return "bank"
	}
	return "card"
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
	methods, err := p.methods(r.Context(), o)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	chosen, key := r.PostForm.Get("method"), r.PostForm.Get("key")
	if !offered(methods, chosen) {
		p.offer(w, r, http.StatusBadRequest, o, methods, "pay.choose")
		return
	}
	if !token.MatchString(key) {
		p.offer(w, r, http.StatusBadRequest, o, methods, "pay.out_of_date")
		return
	}
	if !p.startedHere(r.Context(), o, chosen, key) {
		// Another window may have begun to pay since this form was shown.
		list, err := p.attemptsOf(r.Context(), o)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		if open := underWay(list); open != nil && open.ID != r.PostForm.Get("seen") {
			p.offer(w, r, http.StatusConflict, o, methods, "pay.other_tab")
			return
		}
	}
	a, err := p.startOnce(r.Context(), o, chosen, key, Via{Locale: preferred(r)})
	switch fault.KindOf(err) {
	case fault.KindConflict, fault.KindInvalid:
		redirect(w, keep(r, p.payPath(o))) // order or method have changed since: the page says how
		return
	case fault.KindExhausted:
		web.Annotate(r.Context(), slog.Any("problem", err))
		data := p.about(r, o)
		data.ToOrder = keep(r, p.orderPath(o))
		p.say(w, r, http.StatusTooManyRequests, sayTooMany, data)
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

// preferred is the locale that a browser likes best, as it says first; empty if
// it doesn't say.
func preferred(r *http.Request) string {
	first, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ",")
	first, _, _ = strings.Cut(first, ";")
	const most = 35
	if first = strings.TrimSpace(first); first == "*" || len(first) > most || !line(first) {
		return ""
	}
	return first
}

func offered(methods []method, choice string) bool {
	for _, m := range methods {
		if m.choice() == choice {
			return true
		}
	}
	return false
}

// startOnce starts an attempt, or finds the one that the same form has started.
func (p *Pages) startOnce(ctx context.Context, o *orderv1.Order, choice, key string, via Via) (*attempt.Attempt, error) {
	attemptID := p.attemptOf(o, choice, key)
	account, saved := strings.CutPrefix(choice, savedChoice)
	if via.Saved = saved; !saved {
		account, via.Method, _ = strings.Cut(choice, "/")
	}
	doc, err := p.checkout.start(ctx, o, account, attemptID, key, via)
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
		redirect(w, keep(r, p.payPath(o))) // an old form: a fresh one starts another attempt
		return
	case s == paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED:
		redirect(w, keep(r, p.orderPath(o)))
		return
	}
	to, err := p.checkout.redirect(r.Context(), a)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	switch {
	case a.Creation != nil:
		redirect(w, keep(r, p.startPath(o, a)))
	case to.URL == "":
		redirect(w, keep(r, p.howPath(o, a)))
	case to.Method == http.MethodPost:
		data := p.about(r, o)
		data.Title, data.Action, data.Fields = data.T("post.title"), to.URL, to.Fields
		p.show(w, r, http.StatusOK, "post.html", data, to.URL)
	default:
		redirect(w, to.URL)
	}
}
