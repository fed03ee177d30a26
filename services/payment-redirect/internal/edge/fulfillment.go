package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/returns"
	"quittance/pkg/web"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/payment-redirect/internal/attempt"
)

// Parameters of the fulfilment URL.
const (
	orderIDParam   = "orderId"
	returnURLParam = "returnUrl"
	userParam      = "userId"
	userSigParam   = "userSignature"
)

// maxUser bounds the merchant's own id of a user.
const maxUser = 100

// errand is a shop's wish that an order be fulfilled: its customer is to come
// back to a return URL at once, with a status. Whoever knows an order's id can
// have one; so it shows nothing of the customer, and no way to the order's page.
type errand struct {
	order *orderv1.Order
	back  string
	// user is the logged-in user, signed by the shop; empty: not told.
	user, signature string
}

// address is the errand as a URL of ours.
func (e *errand) address(p *Pages) string {
	return p.path("/fulfillment?" + url.Values(e.query()).Encode())
}

func (e *errand) query() map[string][]string {
	q := map[string][]string{orderIDParam: {e.order.GetId()}, returnURLParam: {e.back}}
	if e.user != "" {
		q[userParam], q[userSigParam] = []string{e.user}, []string{e.signature}
	}
	return q
}

// errandOf reads and checks an errand. A fault.KindInvalid names the parameter.
func (p *Pages) errandOf(ctx context.Context, query url.Values) (*errand, error) {
	var v fault.Validation
	single := func(name string, least, most int) string {
		if len(query[name]) > 1 {
			v.Check(false, name, "must be there once")
			return ""
		}
		text(&v, name, query.Get(name), least, most)
		return query.Get(name)
	}
	e := &errand{back: single(returnURLParam, 1, 2000), user: single(userParam, 0, maxUser), signature: single(userSigParam, 0, 300)}
	orderID := single(orderIDParam, 1, maxID)
	if err := v.Err(); err != nil {
		return nil, err
	}
	if !id.Valid("ord", orderID) {
		return nil, fault.NotFound("order")
	}
	ctx, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	o, err := p.checkout.Orders.GetOrderForService(ctx, &orderv1.GetOrderForServiceRequest{OrderId: orderID})
	if err != nil {
		return nil, fmt.Errorf("read order: %w", fault.FromStatus(err))
	}
	m, err := p.checkout.Reference.Merchant(ctx, o.GetMerchantId())
	if err != nil {
		return nil, fault.Unavailable("merchant can't be read now").Because(err)
	}
	if err := returns.Allowed(e.back, m.GetReturnUrlAllowList()); err != nil {
		v.Check(false, returnURLParam, "%v", err)
	}
	if e.user != "" {
		keys, err := p.checkout.returnKeys(ctx, o.GetMerchantId())
		if err != nil {
			return nil, err
		}
		v.Check(returns.VerifyUser(e.signature, o.GetId(), e.user, keys), userSigParam, "is not the shop's for this order and user")
	}
	e.order = o
	return e, v.Err()
}

// fulfill takes the browser that a shop sends: back at once if there is nothing
// to pay, else to the ways to pay.
func (p *Pages) fulfill(w http.ResponseWriter, r *http.Request) {
	e, ok := p.errand(w, r)
	if !ok {
		return
	}
	methods, err := p.checkout.methods(r.Context(), e.order)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.offerErrand(w, r, http.StatusOK, e, methods, "")
}

// errand reads the errand and answers by itself where there is nothing to pay.
func (p *Pages) errand(w http.ResponseWriter, r *http.Request) (*errand, bool) {
	e, err := p.errandOf(r.Context(), r.URL.Query())
	if fault.KindOf(err) == fault.KindInvalid {
		web.Annotate(r.Context(), slog.Any("problem", err))
		data := page{}
		for _, f := range fault.FieldsOf(err) {
			data.Problem += f.Path + " " + f.Message + ". "
		}
		p.say(w, r, http.StatusBadRequest, sayBadLink, data)
		return nil, false
	}
	if err != nil {
		p.fail(w, r, err)
		return nil, false
	}
	web.Annotate(r.Context(), slog.String("order", e.order.GetId()))
	switch {
	case unpayable(e.order) != "":
		p.finish(w, r, e, statusOf(e.order, p.payer(r.Context(), e.order)))
		return nil, false
	case e.order.GetFulfillment().GetPaymentMethod() != "":
		p.say(w, r, http.StatusConflict, sayNoCustomer, page{ToShop: p.home(r.Context(), e, returns.Error)})
		return nil, false
	}
	return e, true
}

// statusOf is what a shop is told of an order that can't be paid (any more).
func statusOf(o *orderv1.Order, payer *attempt.Attempt) string {
	switch o.GetPaymentState() {
	case orderv1.PaymentState_PAYMENT_STATE_CANCELED:
		return returns.Cancel
	case orderv1.PaymentState_PAYMENT_STATE_EXPIRED, orderv1.PaymentState_PAYMENT_STATE_REFUNDED,
		orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK:
		return returns.Error
	case orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED, orderv1.PaymentState_PAYMENT_STATE_UNPAID,
		orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, orderv1.PaymentState_PAYMENT_STATE_PAID,
		orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
	}
	return fulfillment(o, payer)
}

// finish sends the customer back to the shop, and notes what was learned.
func (p *Pages) finish(w http.ResponseWriter, r *http.Request, e *errand, status string) {
	web.Annotate(r.Context(), slog.String("fulfillment", status))
	if err := p.learn(r.Context(), e.order, e.user, status); err != nil {
		p.fail(w, r, err)
		return
	}
	target, err := p.checkout.back(r.Context(), e.order, e.back, status, nil)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	redirect(w, target)
}

// learn notes who bought and whether the customer goes back with success, even
// if the browser goes away meanwhile.
func (p *Pages) learn(ctx context.Context, o *orderv1.Order, user, status string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupWait)
	defer cancel()
	if o.GetEraseTime() != nil {
		user = "" // whoever it was is erased
	}
	if err := p.checkout.Fulfillments.Learn(ctx, o.GetMerchantId(), o.GetId(), user, status == returns.Success); err != nil {
		return fmt.Errorf("note fulfillment: %w", err)
	}
	return nil
}

// home is the link back to the shop, empty if it can't be signed now.
func (p *Pages) home(ctx context.Context, e *errand, status string) string {
	target, err := p.checkout.back(ctx, e.order, e.back, status, nil)
	if err != nil {
		return ""
	}
	return target
}

// offerErrand shows the pay form of an errand, with a problem if there is one: a
// key of the catalogues. The form leads to the errand's own address.
func (p *Pages) offerErrand(w http.ResponseWriter, r *http.Request, status int, e *errand, methods []method, problem string) {
	data := p.about(r, e.order)
	data.Title, data.Key, data.Action = data.T("pay.title"), id.Token(), keep(r, e.address(p))
	data.ToShop = p.home(r.Context(), e, returns.Cancel)
	if problem != "" {
		data.Problem = data.T(problem)
	}
	data.Methods = choices(data.L, methods, r.FormValue("method"))
	p.show(w, r, status, "pay.html", data, targets(methods)...)
}

// fulfillBy starts a payment with the chosen method and sends the browser on.
func (p *Pages) fulfillBy(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if !errors.As(err, &large) {
			err = fault.Invalid("form", "is not readable").Because(err)
		}
		p.fail(w, r, err)
		return
	}
	e, ok := p.errand(w, r)
	if !ok {
		return
	}
	methods, err := p.checkout.methods(r.Context(), e.order)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	chosen, key := r.PostForm.Get("method"), r.PostForm.Get("key")
	switch {
	case !offered(methods, chosen):
		p.offerErrand(w, r, http.StatusBadRequest, e, methods, "pay.choose")
		return
	case !token.MatchString(key):
		p.offerErrand(w, r, http.StatusBadRequest, e, methods, "pay.out_of_date")
		return
	}
	// The user is told at once: a customer who pays may never come back.
	if err := p.learn(r.Context(), e.order, e.user, ""); err != nil {
		p.fail(w, r, err)
		return
	}
	a, err := p.startOnce(r.Context(), e.order, chosen, key, Via{Back: e.back, User: e.user, Locale: preferred(r)})
	switch fault.KindOf(err) {
	case fault.KindConflict, fault.KindInvalid:
		redirect(w, keep(r, e.address(p))) // order or method have changed since: the page says how
		return
	case fault.KindExhausted:
		p.say(w, r, http.StatusTooManyRequests, sayTooMany, page{ToShop: p.home(r.Context(), e, returns.Error)})
		return
	case 0:
	case fault.KindNotFound, fault.KindUnauthenticated, fault.KindDenied, fault.KindUnavailable, fault.KindInternal:
		p.fail(w, r, err)
		return
	}
	web.Annotate(r.Context(), slog.String("attempt", a.ID))
	p.depart(w, r, e, a)
}

// depart sends the browser to where the errand's attempt is paid.
func (p *Pages) depart(w http.ResponseWriter, r *http.Request, e *errand, a *attempt.Attempt) {
	if a.Paid || attempt.Over(a.State()) {
		redirect(w, keep(r, e.address(p))) // an old form: a fresh look tells what is now
		return
	}
	to, err := p.checkout.redirect(r.Context(), a)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	data := p.about(r, e.order)
	data.ToShop = p.home(r.Context(), e, returns.Unknown)
	switch {
	case a.Creation != nil:
		redirect(w, keep(r, p.path("/fulfillment/start/"+a.ID)))
	case to.URL == "":
		data.Title, data.ToPay = data.T("offline.title"), keep(r, e.address(p))
		data.transfer(a, to)
		p.show(w, r, http.StatusOK, "offline.html", data)
	case to.Method == http.MethodPost:
		data.Title, data.Action, data.Fields = data.T("post.title"), to.URL, to.Fields
		p.show(w, r, http.StatusOK, "post.html", data, to.URL)
	default:
		redirect(w, to.URL)
	}
}

// startErrand shows "one moment" until the payment of an errand's attempt exists,
// then leads to it; see start. An attempt that came to nothing leads back to the
// shop. Like the way back, it is reached by the attempt's id alone.
func (p *Pages) startErrand(w http.ResponseWriter, r *http.Request) {
	attemptID := r.PathValue("attempt")
	if !id.Valid("pay", attemptID) {
		p.fail(w, r, fault.NotFound("attempt"))
		return
	}
	doc, err := p.checkout.Attempts.Get(r.Context(), attemptID)
	if err == nil && (doc.Body.Back == "" || doc.Body.Creation == nil) { // nobody was sent here for it, and a transfer's id is no secret
		err = fault.NotFound("attempt")
	}
	if err != nil {
		p.fail(w, r, missing(err, "attempt"))
		return
	}
	a := p.checkout.created(r.Context(), &doc.Body)
	o, err := p.ask(r.Context(), a)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if a.Ended() {
		p.toShop(w, r, o, a, fulfillment(o, a))
		return
	}
	data := p.about(r, o)
	data.ToShop = p.home(r.Context(), &errand{order: o, back: a.Back}, returns.Unknown)
	p.toCreated(w, r, a, data, p.path("/fulfillment/start/"+a.ID))
}
