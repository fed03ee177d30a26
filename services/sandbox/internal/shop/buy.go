package shop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/money"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/internal/page"
)

// maxProducts is how many products the catalogue shows.
const maxProducts = 500

type catalogueView struct {
	// Basket is the form's idempotency key: a form sent twice is one order.
	Basket     string
	Currency   string
	Currencies []string
	Products   []offer
	// Bundle is some of the products together, nil if they are not all there.
	Bundle *bundleOffer
}

// offer is a product with its price in the chosen currency.
type offer struct {
	ID, Name string
	Text     string
	Price    money.Amount
	Quantity int // proposed
}

func (s *Shop) catalogue(w http.ResponseWriter, r *http.Request) {
	products, err := s.products(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	view := catalogueView{Basket: id.Token(), Currencies: currenciesOf(products)}
	view.Currency = s.choose(view.Currencies, r.FormValue("currency"))
	for _, p := range products {
		for _, price := range p.GetPrices() {
			if price.GetCurrency() == view.Currency {
				view.Products = append(view.Products, offer{ID: p.GetId(), Name: p.GetName(), Text: blurbs[p.GetId()],
					Price: money.Amount{Minor: price.GetMinor(), Currency: price.GetCurrency()}})
			}
		}
	}
	if len(view.Products) > 0 {
		view.Products[0].Quantity = 1
	}
	view.Bundle = bundleOf(view.Products)
	page.Write(w, http.StatusOK, cataloguePage, view)
}

// products lists what is for sale.
func (s *Shop) products(ctx context.Context) ([]*orderv1.Product, error) {
	_, catalog, err := s.api()
	if err != nil {
		return nil, err
	}
	var products []*orderv1.Product
	req := &orderv1.ListProductsRequest{}
	for {
		resp, err := catalog.ListProducts(ctx, req)
		if err != nil {
			return nil, fmt.Errorf("list products: %w", err)
		}
		for _, p := range resp.GetProducts() {
			if !p.GetArchived() {
				products = append(products, p)
			}
		}
		if resp.GetNextPageToken() == "" || len(products) >= maxProducts {
			return products, nil
		}
		req.PageToken = resp.GetNextPageToken()
	}
}

func currenciesOf(products []*orderv1.Product) []string {
	var currencies []string
	for _, p := range products {
		for _, price := range p.GetPrices() {
			currencies = append(currencies, price.GetCurrency())
		}
	}
	slices.Sort(currencies)
	return slices.Compact(currencies)
}

// choose takes the wanted currency, else the preferred, else the first.
func (s *Shop) choose(currencies []string, wanted string) string {
	for _, currency := range []string{wanted, s.config.Currency} {
		if slices.Contains(currencies, currency) {
			return currency
		}
	}
	if len(currencies) == 0 {
		return ""
	}
	return currencies[0]
}

// buy orders what the basket's form holds and sends the customer to pay.
func (s *Shop) buy(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 256<<10)
	req, err := s.orderRequest(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	orders, _, err := s.api()
	if err != nil {
		s.fail(w, err)
		return
	}
	order, err := orders.CreateOrder(r.Context(), req)
	if err != nil {
		s.fail(w, fmt.Errorf("create order: %w", err))
		return
	}
	if err := s.remember(req.GetIdempotencyKey(), order.GetId()); err != nil {
		s.fail(w, err)
		return
	}
	http.Redirect(w, r, order.GetPayUrl(), http.StatusSeeOther)
}

// localeOf is the language that the browser likes best, for pages and mails; empty
// if it names none.
func localeOf(r *http.Request) string {
	tags, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil || len(tags) == 0 || tags[0].IsRoot() {
		return ""
	}
	base, _ := tags[0].Base()
	return base.String()
}

// orderRequest reads the form: basket, currency, email, and a quantity per product in q.<product>.
func (s *Shop) orderRequest(r *http.Request) (*orderv1.CreateOrderRequest, error) {
	if err := r.ParseForm(); err != nil {
		return nil, fault.Invalid("form", "is unreadable")
	}
	basket := r.PostForm.Get("basket")
	req := &orderv1.CreateOrderRequest{
		IdempotencyKey: basket,
		Reference:      basket,
		Customer:       &orderv1.Customer{Email: strings.TrimSpace(r.PostForm.Get("email")), Locale: localeOf(r)},
		Currency:       r.PostForm.Get("currency"),
		ReturnUrl:      s.config.PublicURL + Prefix + "/return?" + url.Values{"basket": {basket}}.Encode(),
	}
	for field, values := range r.PostForm {
		product, ok := strings.CutPrefix(field, "q.")
		text := strings.TrimSpace(values[0])
		if !ok || text == "" || text == "0" {
			continue
		}
		quantity, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fault.Invalid("quantity", "of %.64q is not a number", product)
		}
		req.Items = append(req.Items, &orderv1.OrderItem{ProductId: product, Quantity: quantity})
	}
	if r.PostForm.Get("bundle") != "" {
		addBundle(req)
	}
	if len(req.GetItems()) == 0 {
		return nil, fault.Invalid("quantity", "must be at least 1 of something")
	}
	// The same form must give the same request, or its repeat would count as another one.
	slices.SortFunc(req.Items, func(a, b *orderv1.OrderItem) int { return strings.Compare(a.GetProductId(), b.GetProductId()) })
	return req, nil
}

// fail shows what the API says of the customer's input, or that the shop can't help now.
func (s *Shop) fail(w http.ResponseWriter, err error) {
	if errors.Is(err, errNoKey) {
		page.Write(w, http.StatusServiceUnavailable, problemPage, err.Error())
		return
	}
	page.Write(w, fault.HTTPStatus(err), problemPage, fault.Public(err))
}
