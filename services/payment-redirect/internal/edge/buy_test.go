package edge_test

import (
	"context"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/reference"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
)

// PriceOrder prices editor and player at 10.00 each; TEN takes off a tenth of
// everything, "gone" is not for sale.
func (s *orders) PriceOrder(ctx context.Context, req *orderv1.PriceOrderRequest, _ ...grpc.CallOption) (*orderv1.Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.price(ctx, req.GetOrder())
}

func (s *orders) price(ctx context.Context, req *orderv1.CreateOrderRequest) (*orderv1.Order, error) {
	if s.down {
		return nil, fault.Unavailable("the order service is down")
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	for_ := md.Get("quittance-merchant")
	if len(for_) != 1 || for_[0] != merchant {
		return nil, fault.Unauthenticated("for %v", for_)
	}
	o := &orderv1.Order{
		MerchantId: merchant, Customer: req.GetCustomer(), Consent: req.GetConsent(), Reference: req.GetReference(), ReturnUrl: req.GetReturnUrl(),
		Total: &orderv1.Money{Currency: req.GetCurrency()}, PaymentState: orderv1.PaymentState_PAYMENT_STATE_UNPAID,
	}
	var v fault.Validation
	v.Check(req.GetReturnUrl() == "" || strings.HasPrefix(req.GetReturnUrl(), "https://shop.example.org/"), "return_url", "is not on the allow-list")
	for i, it := range req.GetItems() {
		v.Check(it.GetProductId() != "gone", fmt.Sprintf("items[%d].product_id", i), "is not for sale")
		o.Lines = append(o.Lines, &orderv1.Line{
			ProductId: it.GetProductId(), Name: "<" + it.GetProductId() + ">", Quantity: it.GetQuantity(),
			UnitPrice: &orderv1.Money{Minor: 1000, Currency: req.GetCurrency()},
			Amount:    &orderv1.Money{Minor: 1000 * it.GetQuantity(), Currency: req.GetCurrency()},
		})
		o.Total.Minor += 1000 * it.GetQuantity()
	}
	if code := strings.ToUpper(req.GetDiscountCode()); code != "" {
		v.Check(code == "TEN" || code == "ALL", "discount_code", "is not known")
		part := map[string]int64{"TEN": 10, "ALL": 1}[code]
		if part > 0 {
			o.DiscountCode, o.Discount = code, &orderv1.Money{Minor: o.GetTotal().GetMinor() / part, Currency: req.GetCurrency()}
			o.Total.Minor -= o.GetDiscount().GetMinor()
			o.Lines[0].Discount = o.GetDiscount()
			o.Lines[0].Amount.Minor -= o.GetDiscount().GetMinor()
		}
	}
	return o, v.Err()
}

// CreateOrder keeps one order per idempotency key.
func (s *orders) CreateOrder(ctx context.Context, req *orderv1.CreateOrderRequest, _ ...grpc.CallOption) (*orderv1.Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.price(ctx, req)
	if err != nil {
		return nil, err
	}
	orderID := id.Derived("ord", req.GetIdempotencyKey())
	if s.byID[orderID] == nil {
		o.Id, o.PayUrl = orderID, publicURL+"/pay/"+id.Token()
		if o.GetTotal().GetMinor() == 0 {
			o.PaymentState = orderv1.PaymentState_PAYMENT_STATE_PAID
		}
		s.byID[orderID] = o
	}
	if s.lose {
		s.lose = false
		return nil, fault.Unavailable("the answer was lost")
	}
	return s.byID[orderID], nil
}

func (s *orders) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID)
}

func (w *world) addProducts(names ...string) {
	for _, name := range names {
		w.refer(reference.KindProduct, reference.ProductID(merchant, name), &orderv1.Reference{Item: &orderv1.Reference_Product{
			Product: &orderv1.MerchantProduct{MerchantId: merchant, Product: &orderv1.Product{
				Id: name, Name: name, Prices: []*orderv1.Money{{Minor: 1000, Currency: "EUR"}},
			}},
		}})
	}
}

func newShop(t *testing.T) *world {
	w := newWorld(t)
	w.addProducts("editor", "player", "gone")
	return w
}

// visit opens a checkout link and returns the page that it leads to.
func (w *world) visit(link string) string {
	w.t.Helper()
	rec := w.get(link)
	to := rec.Header().Get("Location")
	if rec.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/buy/") {
		w.t.Fatalf("%s: %d to %q\n%s", link, rec.Code, to, rec.Body)
	}
	return to
}

func good() url.Values {
	return url.Values{"email": {"jo@example.org"}, "name": {"Jo"}, "method": {cards}, "consent": {"yes"}, "do": {"place"}}
}

// ordered follows the placing of an order to its pay page.
func (w *world) ordered(page string, form url.Values) *orderv1.Order {
	w.t.Helper()
	rec := w.post(page, form)
	to := rec.Header().Get("Location")
	if rec.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/pay/") {
		w.t.Fatalf("placed: %d to %q\n%s", rec.Code, to, rec.Body)
	}
	token, _, _ := strings.Cut(strings.TrimPrefix(to, "/pay/"), "?")
	o, err := w.orders.GetOrderByToken(w.t.Context(), &orderv1.GetOrderByTokenRequest{Token: token})
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func TestCheckoutLinkPrefills(t *testing.T) {
	w := newShop(t)
	page := w.visit("/checkout/acme/editor?quantity=3&add=player&add=editor:2&discount=ten&currency=eur&email=jo@example.org&name=J%C3%B6&reference=R-1&lang=de" +
		"&returnUrl=https://shop.example.org/basket?a=b")
	w.shows(w.get(page), http.StatusOK, `<html lang="de">`, `name="q.editor" type="number" inputmode="numeric" min="0" max="10000" value="5"`,
		`name="q.player"`, "54,00\u00a0€", "−6,00\u00a0€", "jo@example.org", "Jö", "&lt;editor&gt;", `href="https://shop.example.org/basket?a=b"`, "TEN")
	o := w.ordered(page, good())
	if o.GetReference() != "R-1" || o.GetTotal().GetMinor() != 5400 || o.GetCustomer().GetLocale() != "de" || o.GetConsent().GetTime() == nil {
		t.Errorf("order %v", o)
	}
	if other := w.visit("/checkout/acme/editor"); other == w.visit("/checkout/acme/editor") {
		t.Error("two visits share a session")
	}
}

func TestBadCheckoutLinks(t *testing.T) {
	w := newShop(t)
	for link, status := range map[string]int{
		"/checkout/acme/nothing":                                            http.StatusNotFound,
		"/checkout/nobody/editor":                                           http.StatusNotFound,
		"/checkout/acme/%00":                                                http.StatusNotFound,
		"/checkout/acme/editor?quantity=0":                                  http.StatusBadRequest,
		"/checkout/acme/editor?quantity=-1":                                 http.StatusBadRequest,
		"/checkout/acme/editor?quantity=10001":                              http.StatusBadRequest,
		"/checkout/acme/editor?quantity=1e3":                                http.StatusBadRequest,
		"/checkout/acme/editor?currency=XXXX":                               http.StatusBadRequest,
		"/checkout/acme/editor?add=;drop":                                   http.StatusBadRequest,
		"/checkout/acme/editor?returnUrl=https://evil.example/":             http.StatusBadRequest,
		"/checkout/acme/editor?returnUrl=javascript:alert(1)":               http.StatusBadRequest,
		"/checkout/acme/editor?reference=" + strings.Repeat("x", 65):        http.StatusBadRequest,
		"/checkout/acme/editor?signature=made-up":                           http.StatusBadRequest,
		"/checkout/acme/editor?x=" + strings.Repeat("x", 5000):              http.StatusBadRequest,
		"/checkout/acme/gone":                                               http.StatusBadRequest,
		"/checkout/acme/editor?" + strings.Repeat("add=a%d&", 3) + "add=b!": http.StatusBadRequest,
	} {
		if rec := w.get(link); rec.Code != status {
			t.Errorf("%s: %d\n%s", link, rec.Code, rec.Body)
		}
	}
	head := httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/checkout/acme/editor", nil)
	if rec := w.do(head); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %d", rec.Code)
	}
}

// TestSignedLinksCannotBeEdited: no price-relevant parameter can be changed,
// added or left out, neither in the link nor on its page.
func TestSignedLinksCannotBeEdited(t *testing.T) {
	w := newShop(t)
	answer, err := w.payments.SignCheckoutLink(w.as(merchant), &paymentv1.SignCheckoutLinkRequest{
		ProductId: "editor", Quantity: 2, DiscountCode: "TEN", Add: []string{"player"}, ExpireTime: &timestamppb.Timestamp{Seconds: 4000000000},
	})
	if err != nil {
		t.Fatal(err)
	}
	link := strings.TrimPrefix(answer.GetUrl(), publicURL)
	for name, req := range map[string]*paymentv1.SignCheckoutLinkRequest{
		"no product": {}, "unknown product": {ProductId: "none"}, "quantity": {ProductId: "editor", Quantity: -1}, "add": {ProductId: "editor", Add: []string{"a b"}},
	} {
		if _, err := w.payments.SignCheckoutLink(w.as(merchant), req); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	page := w.visit(link + "&email=jo@example.org&lang=de")
	form := good()
	for name, value := range map[string]string{"q.editor": "1", "q.player": "0", "discount": "ALL"} {
		form.Set(name, value)
	}
	if o := w.ordered(page, form); o.GetTotal().GetMinor() != 2700 || o.GetDiscountCode() != "TEN" {
		t.Errorf("order %v", o)
	}
	for _, edit := range []struct{ old, replacement string }{
		{"quantity=2", "quantity=1"}, {"discount=TEN", "discount=ALL"}, {"discount=TEN&", ""}, {"add=player", "add=editor"},
		{"add=player&", ""}, {"add=player", "add=player&add=player"}, {"/editor?", "/player?"}, {"expires=4000000000", "expires=5000000000"},
		{"quantity=2", "quantity=2&currency=USD"}, {"quantity=2", "quantity=2&quantity=1"}, {"signature=", "signature=a"},
	} {
		bad := strings.Replace(link, edit.old, edit.replacement, 1)
		if bad == link {
			t.Fatalf("%s is not in %s", edit.old, link)
		}
		w.shows(w.get(bad), http.StatusBadRequest, "can&#39;t be used")
	}
	old := w.checkout.Link(merchant, "editor", url.Values{"expires": {"1000000000"}})
	w.shows(w.get(strings.TrimPrefix(old, publicURL)), http.StatusBadRequest, "can&#39;t be used")
	w.brand(&orderv1.Storefront{SignedLinksOnly: true})
	eventually(t, "unsigned links are refused", func() bool { return w.get("/checkout/acme/editor").Code == http.StatusBadRequest })
	w.visit(link)
}

func TestCheckoutPageChanges(t *testing.T) {
	w := newShop(t)
	page := w.visit("/checkout/acme/editor?add=player")
	form := url.Values{"do": {"update"}, "q.editor": {"4"}, "q.player": {"1"}, "email": {"half an ad"}, "name": {"عربي 🎉"}, "company": {"Müller & Co"}, "address": {"A\r\n\r\nB"}}
	w.leads(w.post(page, form), page)
	w.shows(w.get(page), http.StatusOK, "€50.00", `value="half an ad"`, "عربي 🎉", "Müller &amp; Co", "A\nB", "<details open>")
	form.Set("do", "remove:editor")
	w.leads(w.post(page, form), page)
	if body := w.get(page).Body.String(); strings.Contains(body, "q.editor") || !strings.Contains(body, "q.player") {
		t.Errorf("removed:\n%s", body)
	}
	w.leads(w.post(page, url.Values{"do": {"remove:player"}}), page)
	w.shows(w.get(page), http.StatusOK, "nothing in your order")
	w.shows(w.post(page, good()), http.StatusUnprocessableEntity, "nothing in your order")
	if n := w.orders.count(); n != 0 {
		t.Errorf("%d orders", n)
	}
}

func TestP10CheckoutMistakesAreNamed(t *testing.T) {
	w := newShop(t)
	page := w.visit("/checkout/acme/editor")
	for name, tt := range map[string]struct{ field, value, id string }{
		"no consent":     {"consent", "", "consent"},
		"no e-mail":      {"email", "", "email"},
		"bad e-mail":     {"email", "jo@", "email"},
		"no method":      {"method", "", "method"},
		"bad discount":   {"discount", "NOPE", "discount"},
		"long name":      {"name", strings.Repeat("n", 101), "name"},
		"control":        {"company", "a\x00b", "company"},
		"six lines":      {"address", "1\n2\n3\n4\n5\n6", "address"},
		"bad quantity":   {"q.editor", "1.5", "q.editor"},
		"large quantity": {"q.editor", "10001", "q.editor"},
		"minus quantity": {"q.editor", "-1", "q.editor"},
	} {
		form := good()
		form.Set(tt.field, tt.value)
		rec := w.post(page, form)
		w.shows(rec, http.StatusUnprocessableEntity, `<a href="#`+tt.id+`">`, `role="alert"`)
		if t.Failed() {
			t.Fatalf("%s", name)
		}
		w.post(page, url.Values{"discount": {""}, "q.editor": {"1"}, "method": {""}})
	}
	if n := w.orders.count(); n != 0 {
		t.Errorf("%d orders", n)
	}
}

// TestOneVisitIsOneOrder: double submits, edits after the fact, reloads and the
// back button lead to the same order.
func TestOneVisitIsOneOrder(t *testing.T) {
	w := newShop(t)
	page := w.visit("/checkout/acme/editor")
	first := w.ordered(page, good())
	changed := good()
	changed.Set("q.editor", "9")
	changed.Set("email", "other@example.org")
	if again := w.ordered(page, changed); again.GetId() != first.GetId() || again.GetTotal().GetMinor() != 1000 || again.GetCustomer().GetEmail() != "jo@example.org" {
		t.Errorf("sent twice: %v", again)
	}
	if rec := w.get(page); rec.Code != http.StatusSeeOther || !strings.HasPrefix(rec.Header().Get("Location"), "/pay/") {
		t.Errorf("back: %d to %q", rec.Code, rec.Header().Get("Location"))
	}
	if n := w.orders.count(); n != 1 {
		t.Errorf("%d orders", n)
	}
}

// TestCheckoutWhileTheOrderServiceIsDown: nothing is lost, and a lost answer
// makes no second order.
func TestCheckoutWhileTheOrderServiceIsDown(t *testing.T) {
	w := newShop(t)
	page := w.visit("/checkout/acme/editor")
	w.orders.change(func() { w.orders.down = true })
	w.shows(w.get("/checkout/acme/editor"), http.StatusServiceUnavailable, "Nothing is lost", `href="/checkout/acme/editor"`)
	w.shows(w.get(page), http.StatusServiceUnavailable, "Nothing is lost")
	w.shows(w.post(page, good()), http.StatusServiceUnavailable, "What you entered is kept", `href="`+page+`"`)
	w.orders.change(func() { w.orders.down, w.orders.lose = false, true })
	w.shows(w.get(page), http.StatusServiceUnavailable, "What you entered is kept")
	if rec := w.get(page); rec.Code != http.StatusSeeOther || !strings.HasPrefix(rec.Header().Get("Location"), "/pay/") {
		t.Errorf("tried again: %d\n%s", rec.Code, rec.Body)
	}
	if n := w.orders.count(); n != 1 {
		t.Errorf("%d orders", n)
	}
}

func TestWhatIsFreeIsNotPaid(t *testing.T) {
	w := newShop(t)
	page := w.visit("/checkout/acme/editor?discount=ALL")
	w.shows(w.get(page), http.StatusOK, "Nothing to pay", `name="free"`)
	form := good()
	form.Del("method")
	form.Set("free", "yes")
	o := w.ordered(page, form)
	if rec := w.get(strings.TrimPrefix(o.GetPayUrl(), publicURL)); !strings.HasPrefix(rec.Header().Get("Location"), "/orders/") {
		t.Errorf("pay page: %d to %q", rec.Code, rec.Header().Get("Location"))
	}
}

func TestWhatIsGoneIsLeftOut(t *testing.T) {
	w := newShop(t)
	w.shows(w.get("/checkout/acme/editor?add=gone"), http.StatusBadRequest, "can&#39;t be used")
	for _, unknown := range []string{"/buy/" + id.Token(), "/buy/x", "/buy/" + strings.Repeat("a", 200)} {
		w.shows(w.get(unknown), http.StatusNotFound, "no longer available")
		w.shows(w.post(unknown, good()), http.StatusNotFound, "no longer available")
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, w.visit("/checkout/acme/editor"), strings.NewReader(good().Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://evil.example")
	w.shows(w.do(r), http.StatusForbidden, "another website")
}

// FuzzCheckoutLink: whatever a link holds, it is refused, or leads to a page.
func FuzzCheckoutLink(f *testing.F) {
	w := newWorld(f)
	w.addProducts("editor", "player")
	for _, q := range []string{"quantity=2&add=player:3", "add=a:b:c&quantity=%zz", "discount=%00&email=<a>&lang=de", "signature=&expires=x", "currency=€"} {
		f.Add(q)
	}
	known := regexp.MustCompile(`^/buy/[A-Za-z0-9_-]{43}(\?lang=(en|de))?$`)
	f.Fuzz(func(t *testing.T, query string) {
		w.t = t
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/checkout/acme/editor", nil)
		r.URL.RawQuery = query
		rec := w.do(r)
		if rec.Code != http.StatusBadRequest && (rec.Code != http.StatusSeeOther || !known.MatchString(rec.Header().Get("Location"))) {
			t.Fatalf("%d to %q", rec.Code, rec.Header().Get("Location"))
		}
		if to := rec.Header().Get("Location"); to != "" {
			w.shows(w.get(to), http.StatusOK, "</html>")
		}
	})
}

// TestTheCheckoutFormIsSentAgain: the page about a store that is down has all that
// was entered, sends it again, and the order is the one that was asked for.
func TestTheCheckoutFormIsSentAgain(t *testing.T) {
	w := newShop(t)
	page := w.visit("/checkout/acme/editor")
	form := good()
	form.Set("name", `"><b>Ada & Bob`)
	w.storeDown.Store(true)
	rec := w.post(page, form)
	w.shows(rec, http.StatusServiceUnavailable, "Nothing is lost", `<form method="post" action="`+page+`">`, "Try again")
	if strings.Contains(rec.Body.String(), "<b>Ada") {
		t.Errorf("what was entered is markup:\n%s", rec.Body)
	}
	kept := url.Values{}
	for _, field := range regexp.MustCompile(`type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(rec.Body.String(), -1) {
		kept.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	if !maps.EqualFunc(kept, form, slices.Equal) {
		t.Fatalf("kept %v of %v", kept, form)
	}
	w.storeDown.Store(false)
	if o := w.ordered(page, kept); o.GetCustomer().GetName() != form.Get("name") {
		t.Errorf("%v", o)
	}
}
