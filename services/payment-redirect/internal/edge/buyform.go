package edge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/mail"
	"quittance/pkg/money"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/payment-redirect/internal/session"
)

// Placing is what the hosted checkout asks of the order service, for a merchant;
// its client does it.
type Placing interface {
	// PriceOrder says what an order would be, and stores nothing.
	PriceOrder(ctx context.Context, req *orderv1.PriceOrderRequest, opts ...grpc.CallOption) (*orderv1.Order, error)
	// CreateOrder makes the order, once per idempotency key.
	CreateOrder(ctx context.Context, req *orderv1.CreateOrderRequest, opts ...grpc.CallOption) (*orderv1.Order, error)
}

func forMerchant(ctx context.Context, merchant string) context.Context {
	return rpc.ForMerchant(ctx, merchant)
}

// mistakes are keys of the catalogues by the field that they are about.
type mistakes map[string]string

// checkoutForm is what the checkout page shows.
type checkoutForm struct {
	Items            []pageItem
	Customer         session.Customer
	Discount         string
	Locked, Agreed   bool
	Business, Terms  bool
	Errors           map[string]string
	Summary          []pageError
	Free             bool
	TermsURL, Notice string
}

type pageItem struct {
	Product, Name, Each, Amount string
	Quantity                    int64
}

// pageError is a line of the summary of errors, with the field it leads to.
type pageError struct{ Field, Text string }

// check finds what is missing for an order.
func (p *Pages) check(ctx context.Context, s *session.Session, form url.Values, wrong mistakes) {
	if len(s.Items) == 0 {
		wrong["items"] = "error.empty"
	}
	if wrong["email"] == "" && mail.ValidAddress(s.Customer.Email) != nil {
		wrong["email"] = "error.email"
	}
	if form.Get("consent") != "yes" {
		wrong["consent"] = "error.consent"
	}
	accounts, err := p.checkout.Reference.Accounts(ctx, s.Merchant)
	if err == nil && s.Method == "" && len(accounts) > 0 && form.Get("free") == "" {
		wrong["method"] = "error.method"
	}
}

// mistakesOf are the mistakes that the order service finds.
func mistakesOf(err error) mistakes {
	wrong := mistakes{}
	for _, f := range fault.FieldsOf(err) {
		switch path := f.Path; {
		case path == "discount_code":
			wrong["discount"] = "error.discount"
		case path == "customer.email":
			wrong["email"] = "error.email"
		case strings.HasPrefix(path, "customer."):
			wrong[strings.TrimPrefix(path, "customer.")] = "error.text"
		case strings.HasSuffix(path, ".product_id"):
			wrong["items"] = "error.gone"
		default:
			wrong["items"] = "error.order"
		}
	}
	return wrong
}

// form shows the checkout page, with what has to be mended.
func (p *Pages) form(w http.ResponseWriter, r *http.Request, status int, doc *docstore.Doc[session.Session], wrong mistakes) {
	s := &doc.Body
	if wrong == nil {
		wrong = mistakes{}
	}
	o := &orderv1.Order{Total: &orderv1.Money{Currency: s.Currency}}
	if len(s.Items) > 0 {
		var err error
		if o, err = p.priced(r.Context(), s, wrong); err != nil {
			p.fail(w, r, err)
			return
		}
	}
	data := page{L: languageOf(r, nil)}
	if r.URL.Query().Get(langParam) == "" && s.Locale != "" {
		data.L = catalogues.Choose(s.Locale)
	}
	m, err := p.checkout.Reference.Merchant(r.Context(), s.Merchant)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.dress(&data, m)
	data.Title, data.Action, data.ToShop = data.T("checkout.title"), keep(r, p.buyPath(doc.ID)), s.ReturnURL
	data.Total = data.L.Money(amountOf(o.GetTotal()))
	if d := o.GetDiscount(); d.GetMinor() > 0 {
		data.Discount, data.DiscountCode = data.L.Money(amountOf(d)), o.GetDiscountCode()
	}
	f := &checkoutForm{
		Customer: s.Customer, Discount: s.Discount, Locked: s.Locked, Agreed: r.PostForm.Get("consent") == "yes",
		Business: s.Customer.Company+s.Customer.VATID+s.Customer.Address != "", Errors: map[string]string{},
		Free: len(s.Items) > 0 && o.GetTotal().GetMinor() == 0, Terms: data.TermsURL != "" || data.PrivacyURL != "",
	}
	f.Items = itemViews(&data, o)
	if !f.Free {
		methods, err := p.checkout.methods(r.Context(), &orderv1.Order{
			Id: "ord_00000000000000000000000000000000", MerchantId: s.Merchant, Total: o.GetTotal(), Lines: o.GetLines(),
			PaymentState: orderv1.PaymentState_PAYMENT_STATE_UNPAID,
		})
		if err != nil {
			p.fail(w, r, err)
			return
		}
		data.Methods = choices(data.L, methods, s.Method)
	}
	f.tell(&data, wrong)
	data.Form = f
	p.show(w, r, status, "checkout.html", data)
}

// itemViews are the lines of an order that can still be changed.
func itemViews(data *page, o *orderv1.Order) []pageItem {
	var out []pageItem
	for _, l := range o.GetLines() {
		out = append(out, pageItem{
			Product: l.GetProductId(), Name: l.GetName(), Quantity: l.GetQuantity(),
			Each: data.L.Money(amountOf(l.GetUnitPrice())), Amount: data.L.Money(before(l)),
		})
	}
	return out
}

// before is what a line costs before its discount.
func before(l *orderv1.Line) money.Amount {
	a := amountOf(l.GetAmount())
	a.Minor += l.GetDiscount().GetMinor()
	return a
}

// priced prices the session as far as that goes: without a discount that isn't
// good, without products that are not for sale any more.
func (p *Pages) priced(ctx context.Context, s *session.Session, wrong mistakes) (*orderv1.Order, error) {
	o, err := p.price(ctx, s)
	if fault.KindOf(err) != fault.KindInvalid || s.Locked {
		return o, err
	}
	rest := *s
	rest.Items = slices.Clone(s.Items)
	for _, f := range fault.FieldsOf(err) {
		var i int
		switch n, _ := fmt.Sscanf(f.Path, "items[%d]", &i); {
		case f.Path == "discount_code":
			wrong["discount"], rest.Discount = "error.discount", ""
		case n == 1 && i < len(s.Items):
			wrong["items"] = "error.gone"
			rest.Set(s.Items[i].Product, 0)
		default:
			return nil, err
		}
	}
	if len(rest.Items) == 0 {
		return &orderv1.Order{Total: &orderv1.Money{Currency: s.Currency}}, nil
	}
	o, err = p.price(ctx, &rest)
	if err != nil && onlyField(err, "discount_code") { // it was the products that kept it from being looked at
		wrong["discount"], rest.Discount = "error.discount", ""
		return p.price(ctx, &rest)
	}
	return o, err
}

// tell puts mistakes into words, in the order of the page.
func (f *checkoutForm) tell(data *page, wrong mistakes) {
	order := []string{"items"}
	for _, it := range f.Items {
		order = append(order, "q."+it.Product)
	}
	order = append(order, "discount", "email", "name", "company", "vat_id", "address", "method", "consent")
	for _, field := range order {
		if key := wrong[field]; key != "" {
			f.Errors[field] = data.T(key)
			f.Summary = append(f.Summary, pageError{field, f.Errors[field]})
		}
	}
	f.Business = f.Business || wrong["company"]+wrong["vat_id"]+wrong["address"] != ""
}

// Error is what is wrong with a field, empty if nothing is.
func (f *checkoutForm) Error(field string) string { return f.Errors[field] }
