package shop_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"quittance/pkg/seal"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/internal/shop"
	"quittance/services/sandbox/internal/shop/shoptest"
)

// world is the shop over real HTTP and the stand-in API over real gRPC.
type world struct {
	t       *testing.T
	dir     string
	api     *shoptest.API
	shop    *shop.Shop
	server  *httptest.Server
	browser *http.Client
}

func newWorld(t *testing.T, key string) *world {
	archived := shoptest.Product("old", "Old thing", 1)
	archived.Archived = true
	w := &world{t: t, dir: t.TempDir(), browser: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	w.api = shoptest.Start(t, "https://pay.example.org/pay/", shoptest.Product("editor", "Editor <Pro>", 999),
		archived, shoptest.Product("player", "Player", 500))
	w.start(key)
	return w
}

func (w *world) start(key string) {
	w.t.Helper()
	var err error
	w.shop, err = shop.New(shop.Config{Dir: w.dir, Target: w.api.Target, APIKey: seal.Secret(key),
		PublicURL: "https://sandbox.example.org", Currency: "EUR"})
	if err != nil {
		w.t.Fatal(err)
	}
	mux := http.NewServeMux()
	w.shop.Routes(mux)
	w.server = httptest.NewServer(mux)
	w.t.Cleanup(func() { w.server.Close(); _ = w.shop.Close() })
}

func (w *world) get(path string) (int, string) {
	w.t.Helper()
	resp, err := w.browser.Get(w.server.URL + path)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.read(resp)
}

func (w *world) read(resp *http.Response) (int, string) {
	w.t.Helper()
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// buy posts the basket and returns where it leads, and the page if nowhere.
func (w *world) buy(form url.Values) (int, string, string) {
	w.t.Helper()
	resp, err := w.browser.PostForm(w.server.URL+"/shop/buy", form)
	if err != nil {
		w.t.Fatal(err)
	}
	location := resp.Header.Get("Location")
	status, body := w.read(resp)
	return status, location, body
}

var basketField = regexp.MustCompile(`name="basket" value="([^"]+)"`)

func (w *world) basket() string {
	w.t.Helper()
	_, body := w.get("/shop/")
	match := basketField.FindStringSubmatch(body)
	if match == nil {
		w.t.Fatalf("no basket in\n%s", body)
	}
	return match[1]
}

func TestCatalogue(t *testing.T) {
	w := newWorld(t, shoptest.Key)
	status, body := w.get("/shop/")
	for _, word := range []string{"Editor &lt;Pro&gt;", "9.99 EUR", "Player", "5.00 EUR", `href="/shop/?currency=USD"`} {
		if status != http.StatusOK || !strings.Contains(body, word) {
			t.Errorf("%d, no %q in\n%s", status, word, body)
		}
	}
	if strings.Contains(body, "Old thing") {
		t.Error("an archived product is for sale")
	}
	if _, body := w.get("/shop/?currency=USD"); !strings.Contains(body, "10.99 USD") || strings.Contains(body, "9.99 EUR") {
		t.Errorf("in dollars:\n%s", body)
	}
	if w.basket() == w.basket() {
		t.Error("two forms have the same idempotency key")
	}
}

func TestBuy(t *testing.T) {
	w := newWorld(t, shoptest.Key)
	form := url.Values{"basket": {w.basket()}, "currency": {"EUR"}, "email": {" jo@example.org "},
		"q.editor": {"2"}, "q.player": {"1"}, "q.old": {"0"}}
	status, location, body := w.buy(form)
	orders := w.api.Orders()
	if status != http.StatusSeeOther || len(orders) != 1 || location != "https://pay.example.org/pay/"+orders[0] {
		t.Fatalf("%d to %s, orders %v\n%s", status, location, orders, body)
	}
	order := w.api.Order(orders[0])
	if order.GetTotal().GetMinor() != 2498 || order.GetCustomer().GetEmail() != "jo@example.org" || len(order.GetLines()) != 2 {
		t.Errorf("order %v", order)
	}
	if want := "https://sandbox.example.org/shop/return?basket=" + form.Get("basket"); order.GetReturnUrl() != want {
		t.Errorf("return URL %s, want %s", order.GetReturnUrl(), want)
	}
	if status, again, _ := w.buy(form); status != http.StatusSeeOther || again != location || len(w.api.Orders()) != 1 {
		t.Errorf("the form sent twice: %d to %s, orders %v", status, again, w.api.Orders())
	}
	form.Set("q.editor", "3")
	if status, _, body := w.buy(form); status != http.StatusConflict || !strings.Contains(body, "different request") {
		t.Errorf("the form sent again, changed: %d %s", status, body)
	}
}

func TestBuyRefuses(t *testing.T) {
	w := newWorld(t, shoptest.Key)
	good := url.Values{"basket": {"b"}, "currency": {"EUR"}, "email": {"jo@example.org"}, "q.editor": {"1"}}
	for name, want := range map[string]string{
		"email":    "customer.email",
		"q.editor": "quantity",
		"q.none":   "no product",
	} {
		form := url.Values{}
		for n, v := range good {
			form[n] = v
		}
		form.Set(name, map[string]string{"email": "", "q.editor": "x", "q.none": "1"}[name])
		if status, _, body := w.buy(form); status != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d, no %q in\n%s", name, status, want, body)
		}
	}
	if status, _, body := w.buy(url.Values{"basket": {"b"}, "q.editor": {"0"}}); status != http.StatusBadRequest || !strings.Contains(body, "quantity") {
		t.Errorf("empty basket: %d\n%s", status, body)
	}
}

func TestBundle(t *testing.T) {
	w := newWorld(t, shoptest.Key)
	if _, body := w.get("/shop/"); strings.Contains(body, "bundle") {
		t.Error("a bundle of what is not there")
	}
	w.api.Add(shoptest.Product("notepad", "Notepad", 1999), shoptest.Product("backup", "Backup", 4900))
	if _, body := w.get("/shop/"); !strings.Contains(body, "55.20 EUR") || !strings.Contains(body, "68.99 EUR") {
		t.Errorf("no bundle in\n%s", body)
	}
	form := url.Values{"basket": {w.basket()}, "currency": {"EUR"}, "email": {"jo@example.org"}, "bundle": {"1"}, "q.backup": {"2"}}
	if status, _, body := w.buy(form); status != http.StatusSeeOther {
		t.Fatalf("%d %s", status, body)
	}
	if o := w.api.Order(w.api.Orders()[0]); o.GetTotal().GetMinor() != 1999+3*4900 || len(o.GetLines()) != 2 || o.GetDiscountCode() != "BUNDLE" {
		t.Errorf("order %v", o)
	}
	for _, path := range []string{"/shop/terms", "/shop/privacy"} {
		if status, _ := w.get(path); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestReturn(t *testing.T) {
	w := newWorld(t, shoptest.Key)
	basket := w.basket()
	w.buy(url.Values{"basket": {basket}, "currency": {"EUR"}, "email": {"jo@example.org"}, "q.editor": {"1"}})
	orderID := w.api.Orders()[0]

	// The browser claims success; the page shows what the API says.
	_, body := w.get("/shop/return?basket=" + basket + "&fulfillmentStatus=success")
	for _, word := range []string{"Thank you", orderID, "unpaid", "not delivered", `http-equiv="refresh"`, `href="/mails"`, "Pay now"} {
		if !strings.Contains(body, word) {
			t.Errorf("no %q in\n%s", word, body)
		}
	}
	w.api.Change(orderID, func(o *orderv1.Order) {
		o.PaymentState = orderv1.PaymentState_PAYMENT_STATE_PAID
		o.DeliveryState = orderv1.DeliveryState_DELIVERY_STATE_DELIVERED
	})
	w.server.Close()
	_ = w.shop.Close()
	w.start("") // the shop remembers the basket and the key
	_, body = w.get("/shop/return?basket=" + basket + "&fulfillmentStatus=unknown")
	if !strings.Contains(body, "waiting for your payment") || !strings.Contains(body, ">paid<") || strings.Contains(body, "refresh") {
		t.Errorf("paid and delivered:\n%s", body)
	}
	if status, body := w.get("/shop/return?orderId=" + orderID); status != http.StatusOK || !strings.Contains(body, "Your order") {
		t.Errorf("by order id: %d\n%s", status, body)
	}
	for _, query := range []string{"", "?basket=other", "?orderId=ord_x"} {
		if status, _ := w.get("/shop/return" + query); status != http.StatusNotFound {
			t.Errorf("%q: %d", query, status)
		}
	}
}

func TestAPIKey(t *testing.T) {
	w := newWorld(t, "")
	if status, body := w.get("/shop/"); status != http.StatusServiceUnavailable || !strings.Contains(body, "no API key yet") {
		t.Errorf("without a key: %d\n%s", status, body)
	}
	if err := w.shop.SetAPIKey("wrong"); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.get("/shop/"); status != http.StatusUnauthorized {
		t.Errorf("with a wrong key: %d", status)
	}
	put := func(body string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, w.server.URL+"/control/shop", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		status, _ := w.read(resp)
		return status
	}
	if put(`{}`) != http.StatusBadRequest || put(`{"apiKey":"`+shoptest.Key+`"}`) != http.StatusNoContent {
		t.Error("control API")
	}
	if status, _ := w.get("/shop/"); status != http.StatusOK {
		t.Errorf("with the key: %d", status)
	}
	if _, body := w.get("/control/shop"); !strings.Contains(body, `"hasAPIKey":true`) || strings.Contains(body, shoptest.Key) {
		t.Errorf("control API says %s", body)
	}
}
