package edge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"time"

	"quittance/pkg/fault"
	"quittance/pkg/web"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/payment-redirect/internal/sessions"
)

// lookupWait is how long a page waits for an answer of another service or the
// store, pageWait for all of them: who looks at an empty screen for longer thinks
// that something broke.
const (
	lookupWait = 5 * time.Second
	pageWait   = 2 * lookupWait
)

// token is the form of the secret in customers' links.
var token = regexp.MustCompile(`^[A-Za-z0-9_-]{16,100}$`)

// Pages are what customers see.
type Pages struct {
	checkout *Checkout
	sessions *sessions.Sessions
	// prefix is the path below which the world reaches us, mostly empty.
	prefix     string
	returnWait time.Duration
	// watching holds a place for each order page that is followed live.
	watching chan struct{}
	lately   lately
}

// NewPages returns the pages. returnWait is how long a returning browser waits
// for the provider's answer.
func NewPages(c *Checkout, ss *sessions.Sessions, returnWait time.Duration) (*Pages, error) {
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	return &Pages{checkout: c, sessions: ss, prefix: u.EscapedPath(), returnWait: returnWait, watching: make(chan struct{}, liveAtOnce)}, nil
}

// Routes adds the paths of the pages. Those of returns need no cookie and take
// what comes from other sites; a link's token is the only key to the others.
func (p *Pages) Routes(mux *http.ServeMux) {
	for _, a := range []asset{stylesheet, liveScript} {
		mux.Handle("GET "+a.path, a)
	}
	mux.HandleFunc("GET "+brandSheets+"{file}", p.brandSheet)
	mux.HandleFunc("GET "+logos+"{file}", p.logo)
	for pattern, h := range map[string]http.Handler{
		"GET /checkout/{merchant}/{product}": http.HandlerFunc(p.checkoutLink),
		"GET /buy/{session}":                 http.HandlerFunc(p.buy),
		"POST /buy/{session}":                p.ours(p.change),
		"GET /pay/{token}":                   http.HandlerFunc(p.pay),
		"POST /pay/{token}":                  p.ours(p.choose),
		"GET /pay/{token}/how/{attempt}":     http.HandlerFunc(p.how),
		"GET /pay/{token}/start/{attempt}":   http.HandlerFunc(p.start),
		"GET /orders/{token}":                http.HandlerFunc(p.order),
		"GET /orders/{token}/receipt":        http.HandlerFunc(p.receipt),
		"POST /orders/{token}/resend":        p.ours(p.resend),
	} {
		mux.Handle(pattern, inTime(h))
	}
	mux.Handle("GET /orders/{token}/events", web.Live(http.HandlerFunc(p.events)))
	mux.HandleFunc("GET /fulfillment", p.fulfill)
	mux.Handle("POST /fulfillment", p.ours(p.fulfillBy))
	mux.HandleFunc("GET /fulfillment/start/{attempt}", p.startErrand)

	// A return may be answered late; it gets its own time to be written.
	late := web.WriteTimeout(p.returnWait + 2*lookupWait + 20*time.Second)
	for _, verb := range []string{http.MethodGet, http.MethodPost} {
		mux.Handle(verb+" /return/{attempt}", late(p.returned(false)))
		mux.Handle(verb+" /return/{attempt}"+declined, late(p.returned(true)))
	}
}

// inTime gives a page pageWait to be made.
func inTime(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pageWait)
		defer cancel()
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// ours takes forms of our own pages only: browsers say where a form is from.
func (p *Pages) ours(next http.HandlerFunc) http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.say(w, r, http.StatusForbidden, sayForeign, page{})
	}))
	return guard.Handler(next)
}

// path is a path of ours as browsers reach it.
func (p *Pages) path(s string) string { return p.prefix + s }

func (p *Pages) payPath(o *orderv1.Order) string   { return p.path("/pay/" + tokenOf(o)) }
func (p *Pages) orderPath(o *orderv1.Order) string { return p.path("/orders/" + tokenOf(o)) }

// tokenOf is the secret of the customer's link to the order.
func tokenOf(o *orderv1.Order) string { return path.Base(o.GetPayUrl()) }

// byToken reads the order that a link names.
func (p *Pages) byToken(r *http.Request) (*orderv1.Order, error) {
	t := r.PathValue("token")
	if !token.MatchString(t) {
		return nil, fault.NotFound("order")
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookupWait)
	defer cancel()
	o, err := p.checkout.Orders.GetOrderByToken(ctx, &orderv1.GetOrderByTokenRequest{Token: t})
	if err != nil {
		return nil, fmt.Errorf("read order: %w", fault.FromStatus(err))
	}
	return o, nil
}

// about begins a page about an order: what was ordered from whom. It shows
// nothing of the customer.
func (p *Pages) about(r *http.Request, o *orderv1.Order) page {
	ctx := r.Context()
	data := page{L: languageOf(r, o), OrderID: o.GetId()}
	data.Total = data.L.Money(amountOf(o.GetTotal()))
	if m, err := p.checkout.Reference.Merchant(ctx, o.GetMerchantId()); err == nil {
		p.dress(&data, m)
	}
	for _, l := range o.GetLines() {
		data.Lines = append(data.Lines, pageLine{
			Name: l.GetName(), Quantity: data.L.Number(l.GetQuantity()),
			Price: data.L.Money(amountOf(l.GetUnitPrice())), Amount: data.L.Money(before(l)),
		})
	}
	if d := o.GetDiscount(); d.GetMinor() > 0 {
		data.Discount, data.DiscountCode = data.L.Money(amountOf(d)), o.GetDiscountCode()
	}
	if o.GetReturnUrl() != "" {
		// Without the shop's key there is no link rather than an unsigned one.
		data.ToShop, _ = p.checkout.back(ctx, o, o.GetReturnUrl(), fulfillment(o, p.payer(ctx, o)), nil)
	}
	return data
}
