package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/web"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/payment-redirect/internal/session"
)

// checkoutLink takes a visit of a checkout link: every visit is a session of its
// own, with a page that nobody else knows.
func (p *Pages) checkoutLink(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead { // the mux takes it for a GET; it must store nothing
		w.Header().Set("Allow", "GET")
		p.say(w, r, http.StatusMethodNotAllowed, sayNotAllowed, page{})
		return
	}
	merchant, product := r.PathValue("merchant"), r.PathValue("product")
	if !merchantID.MatchString(merchant) || !productID.MatchString(product) {
		p.fail(w, r, fault.NotFound("product"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookupWait)
	defer cancel()
	m, err := p.checkout.Reference.Merchant(ctx, merchant)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	known, err := p.checkout.Reference.Product(ctx, merchant, product)
	if err != nil || known.GetArchived() {
		p.fail(w, r, orNotFound(err, "product"))
		return
	}
	data := page{L: languageOf(r, nil)}
	p.dress(&data, m)
	s, err := p.parseLink(r, merchant, product, m.GetStorefront().GetSignedLinksOnly())
	if err == nil {
		if s.Currency == "" {
			s.Currency = known.GetPrices()[0].GetCurrency()
		}
		err = p.acceptable(ctx, s)
	}
	if fault.KindOf(err) == fault.KindInvalid {
		web.Annotate(r.Context(), slog.Any("problem", err))
		p.say(w, r, http.StatusBadRequest, sayBadCheckout, data)
		return
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	id, err := p.sessions.Start(ctx, s)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	redirect(w, keep(r, p.buyPath(id)))
}

func orNotFound(err error, what string) error {
	if err != nil {
		return err
	}
	return fault.NotFound("%s", what)
}

// acceptable says whether an order can be made of a link. A discount that isn't
// good is none of its faults, unless it is signed.
func (p *Pages) acceptable(ctx context.Context, s *session.Session) error {
	_, err := p.price(ctx, s)
	if err != nil && !s.Locked && onlyField(err, "discount_code") {
		return nil
	}
	return err
}

func onlyField(err error, path string) bool {
	fields := fault.FieldsOf(err)
	return fault.KindOf(err) == fault.KindInvalid && len(fields) == 1 && fields[0].Path == path
}

// price asks the order service what the session's order would be.
func (p *Pages) price(ctx context.Context, s *session.Session) (*orderv1.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	o, err := p.checkout.Placing.PriceOrder(forMerchant(ctx, s.Merchant), &orderv1.PriceOrderRequest{Order: s.Request("")})
	if err != nil {
		return nil, fmt.Errorf("price order: %w", fault.FromStatus(err))
	}
	return o, nil
}

func (p *Pages) buyPath(id string) string { return p.path("/buy/" + id) }

// session reads the session that a page's address names.
func (p *Pages) session(r *http.Request) (*docstore.Doc[session.Session], error) {
	id := r.PathValue("session")
	if !token.MatchString(id) {
		return nil, fault.NotFound("session")
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookupWait)
	defer cancel()
	doc, err := p.sessions.Get(ctx, id)
	if err != nil {
		return nil, missing(err, "session")
	}
	return doc, nil
}

// lost answers for a session that can't be read or kept: most often, it is over.
// Else the page has what the browser sent, and sends it again.
func (p *Pages) lost(w http.ResponseWriter, r *http.Request, err error) {
	if fault.KindOf(err) == fault.KindNotFound {
		p.say(w, r, http.StatusNotFound, saySessionOver, page{})
		return
	}
	again := page{Again: keep(r, p.buyPath(r.PathValue("session")))}
	for _, name := range slices.Sorted(maps.Keys(r.PostForm)) {
		for _, value := range r.PostForm[name] {
			again.Sent = append(again.Sent, pageFact{name, value})
		}
	}
	p.failOr(w, r, err, again)
}

// buy shows the checkout page, or where its order is.
func (p *Pages) buy(w http.ResponseWriter, r *http.Request) {
	doc, err := p.session(r)
	switch {
	case err != nil:
		p.lost(w, r, err)
	case doc.Body.Placed != nil:
		p.goOn(w, r, doc)
	default:
		p.form(w, r, http.StatusOK, doc, nil)
	}
}

// change takes the checkout form: what it says is kept, whatever button was
// pressed; one of them places the order.
func (p *Pages) change(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if !errors.As(err, &large) {
			err = fault.Invalid("form", "is not readable").Because(err)
		}
		p.fail(w, r, err)
		return
	}
	doc, err := p.session(r)
	if err != nil {
		p.lost(w, r, err)
		return
	}
	m, err := p.checkout.Reference.Merchant(r.Context(), doc.Body.Merchant)
	if err != nil {
		p.lost(w, r, err)
		return
	}
	locale, now := languageOf(r, nil).Tag(), p.sessions.Now()
	pressed := r.PostForm.Get("do")
	var wrong mistakes
	doc, err = p.sessions.For(doc.Tenant).Update(r.Context(), doc.ID, func(s *session.Session, _ *docstore.Change) error {
		if s.Placed != nil {
			return docstore.ErrUnchanged
		}
		wrong = fill(s, r.PostForm)
		s.Locale = locale
		if removed, ok := strings.CutPrefix(pressed, "remove:"); ok {
			s.Set(removed, 0)
		}
		if pressed != "place" {
			return nil
		}
		p.check(r.Context(), s, r.PostForm, wrong)
		if len(wrong) == 0 {
			s.Place(m.GetStorefront().GetTermsVersion(), now)
		}
		return nil
	})
	switch {
	case err != nil:
		p.lost(w, r, missing(err, "session"))
	case doc.Body.Placed != nil:
		p.goOn(w, r, doc)
	case len(wrong) > 0:
		p.form(w, r, http.StatusUnprocessableEntity, doc, wrong)
	default:
		redirect(w, keep(r, p.buyPath(doc.ID))) // so that a reload sends nothing again
	}
}

// goOn has the order made of a placed session, which is the same order however
// often that is tried, and sends the customer to pay it.
func (p *Pages) goOn(w http.ResponseWriter, r *http.Request, doc *docstore.Doc[session.Session]) {
	// A browser that goes away must not leave an order half made.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), lookupWait)
	defer cancel()
	s := &doc.Body
	o, err := p.place(ctx, doc)
	switch fault.KindOf(err) {
	case 0:
	case fault.KindInvalid:
		web.Annotate(r.Context(), slog.Any("problem", err))
		doc, reopened := p.sessions.For(s.Merchant).Update(ctx, doc.ID, func(s *session.Session, _ *docstore.Change) error {
			s.Reopen()
			return nil
		})
		if reopened != nil {
			p.fail(w, r, reopened)
			return
		}
		p.form(w, r, http.StatusUnprocessableEntity, doc, mistakesOf(err))
		return
	case fault.KindNotFound, fault.KindConflict, fault.KindExhausted, fault.KindUnauthenticated, fault.KindDenied,
		fault.KindUnavailable, fault.KindInternal:
		web.Annotate(r.Context(), slog.Any("problem", err))
		w.Header().Set("Retry-After", "5")
		p.say(w, r, http.StatusServiceUnavailable, sayKept, page{Again: keep(r, p.buyPath(doc.ID))})
		return
	}
	to := p.payPath(o)
	if s.Method != "" {
		to += "?method=" + url.QueryEscape(s.Method)
	}
	redirect(w, keep(r, to))
}

// place creates the session's order, or reads it if it was created.
func (p *Pages) place(ctx context.Context, doc *docstore.Doc[session.Session]) (*orderv1.Order, error) {
	s := &doc.Body
	if s.Order != "" {
		return p.checkout.order(ctx, s.Merchant, s.Order)
	}
	o, err := p.checkout.Placing.CreateOrder(forMerchant(ctx, s.Merchant), s.Request(doc.ID))
	if err = fault.FromStatus(err); err != nil {
		return nil, fmt.Errorf("create order: %w", err)
	}
	// Were this lost, the same request would find the same order again.
	if _, err := p.sessions.For(s.Merchant).Update(ctx, doc.ID, func(s *session.Session, _ *docstore.Change) error {
		s.Order = o.GetId()
		return nil
	}); err != nil {
		web.Annotate(ctx, slog.Any("problem", err))
	}
	return o, nil
}

// fill takes what the form says into the session. What can't be kept is a
// mistake of its field.
func fill(s *session.Session, form url.Values) mistakes {
	wrong := mistakes{}
	for field, values := range form {
		product, ok := strings.CutPrefix(field, "q.")
		if !ok {
			continue
		}
		quantity, err := strconv.ParseInt(strings.TrimSpace(values[0]), 10, 64)
		if err != nil || quantity < 0 || quantity > session.MaxQuantity {
			wrong[field] = "error.quantity"
			continue
		}
		s.Set(product, quantity)
	}
	for field, to := range map[string]struct {
		value *string
		most  int
	}{
		"email": {&s.Customer.Email, 254}, "name": {&s.Customer.Name, 100}, "company": {&s.Customer.Company, 100},
		"vat_id": {&s.Customer.VATID, 20}, "method": {&s.Method, 100}, "discount": {&s.Discount, 64},
	} {
		if _, sent := form[field]; !sent || field == "discount" && s.Locked {
			continue
		}
		var v fault.Validation
		value := strings.TrimSpace(form.Get(field))
		if text(&v, field, value, 0, to.most); v.Err() != nil {
			wrong[field] = "error.text"
			continue
		}
		*to.value = value
	}
	if address, ok := addressOf(form.Get("address")); !ok {
		wrong["address"] = "error.address"
	} else if form.Has("address") {
		s.Customer.Address = address
	}
	return wrong
}

// addressOf is an address as it is kept: at most five lines.
func addressOf(s string) (string, bool) {
	var lines []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	for _, l := range lines {
		var v fault.Validation
		if text(&v, "address", l, 0, 300); v.Err() != nil {
			return "", false
		}
	}
	s = strings.Join(lines, "\n")
	return s, len(lines) <= 5 && len([]rune(s)) <= 300
}
