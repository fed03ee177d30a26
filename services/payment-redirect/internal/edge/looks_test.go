package edge_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	"quittance/pkg/reference"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// png is the smallest thing that counts as a picture.
var png = []byte("\x89PNG\x0D\x0A\x1A\x0A and so on")

func (w *world) brand(s *orderv1.Storefront) {
	w.refer(reference.KindMerchant, merchant, &orderv1.Reference{Item: &orderv1.Reference_Merchant{
		Merchant: &orderv1.Merchant{Id: merchant, Name: "Acme <Software>", Storefront: s},
	}})
}

var assetLink = regexp.MustCompile(`(?:href|src)="(/assets/[^"]+)"`)

func TestPagesWearTheMerchantsFace(t *testing.T) {
	w := newWorld(t)
	w.brand(&orderv1.Storefront{
		Color: "#0b6e5c", Logo: png, Seller: "Acme Ltd\n1 <Main> Street", TermsUrl: "https://acme.example/terms",
		PrivacyUrl: "https://acme.example/privacy", SupportEmail: "help@acme.example",
	})
	_, token := w.orders.add()
	rec := w.get("/pay/" + token)
	w.shows(rec, http.StatusOK, `href="https://acme.example/terms"`, `href="https://acme.example/privacy"`, "mailto:help@acme.example")
	kinds := map[string]string{"/assets/brand/acme.css": "text/css", "/assets/logo/acme": "image/png", "/assets/pay.css": "text/css"}
	links := assetLink.FindAllStringSubmatch(rec.Body.String(), -1)
	if len(links) != len(kinds) {
		t.Errorf("assets %v", links)
	}
	weight := rec.Body.Len()
	for _, link := range links {
		path, _, _ := strings.Cut(link[1], "?")
		got := w.get(link[1])
		weight += got.Body.Len()
		if got.Code != http.StatusOK || !strings.HasPrefix(got.Header().Get("Content-Type"), kinds[path]) || kinds[path] == "" {
			t.Errorf("%s: %d %v", link[1], got.Code, got.Header())
		}
	}
	if weight > 50<<10 {
		t.Errorf("the page weighs %d bytes", weight)
	}
	w.shows(w.get("/orders/"+token+"/receipt"), http.StatusOK, "Acme Ltd\n1 &lt;Main&gt; Street")
	for _, none := range []string{"/assets/brand/other.css", "/assets/logo/none", "/assets/brand/acme", "/assets/brand/%2e%2e"} {
		if got := w.get(none); got.Code != http.StatusNotFound {
			t.Errorf("%s: %d", none, got.Code)
		}
	}
}

func TestPagesSpeakTheCustomersLanguage(t *testing.T) {
	w := newWorld(t)
	_, token := w.orders.add(func(o *orderv1.Order) { o.Customer.Locale = "de-AT" })
	w.shows(w.get("/pay/"+token), http.StatusOK, `<html lang="de">`, "Wie möchten Sie bezahlen?", "24,99\u00a0€", `href="/pay/`+token+`?lang=en"`)
	w.shows(w.get("/pay/"+token+"?lang=en"), http.StatusOK, `<html lang="en">`, "€24.99", `action="/pay/`+token+`?lang=en"`)
	w.shows(w.get("/orders/"+token+"?lang=xx"), http.StatusOK, `<html lang="de">`, "steht noch aus")
	_, plain := w.orders.add()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders/"+plain, nil)
	r.Header.Set("Accept-Language", "fr;q=0.8, de-CH;q=0.9")
	w.shows(w.do(r), http.StatusOK, `<html lang="de">`)
	w.shows(w.get("/orders/nothing-of-the-kind-here?lang=de"), http.StatusNotFound, "Seite nicht gefunden")
}

// TestTwoWindowsDoNotPayTwiceUntold: a form that does not know of a payment
// under way is shown again with a word about it, once.
func TestTwoWindowsDoNotPayTwiceUntold(t *testing.T) {
	w := newWorld(t)
	_, token := w.orders.add()
	one, two := w.form(token, cards), w.form(token, bank)
	if rec := w.post("/pay/"+token, one); rec.Code != http.StatusSeeOther {
		t.Fatalf("first window: %d", rec.Code)
	}
	rec := w.post("/pay/"+token, two)
	w.shows(rec, http.StatusConflict, "Another window", "already been started", "Credit card")
	if n := len(w.bus.published(event.PaymentStarted)); n > 1 {
		t.Fatalf("%d payments", n)
	}
	if rec := w.post("/pay/"+token, one); rec.Code != http.StatusSeeOther {
		t.Errorf("the first form, sent twice: %d", rec.Code)
	}
	two.Set("seen", seenField.FindStringSubmatch(rec.Body.String())[1])
	if rec := w.post("/pay/"+token, two); rec.Code != http.StatusSeeOther {
		t.Errorf("knowingly: %d", rec.Code)
	}
	eventually(t, "two payments", func() bool { return len(w.bus.published(event.PaymentStarted)) == 2 })
}

func TestThePayPageSaysWhyThereIsSomethingToPayStill(t *testing.T) {
	w := newWorld(t)
	for outcome, words := range map[verificationv1.Outcome]string{
		verificationv1.Outcome_OUTCOME_FAILED:   "did not go through",
		verificationv1.Outcome_OUTCOME_CANCELED: "You canceled",
		verificationv1.Outcome_OUTCOME_EXPIRED:  "not completed in time",
	} {
		o, token := w.orders.add()
		w.verify(w.start(o.GetId(), cards).GetId(), outcome, 1)
		eventually(t, words, func() bool { return strings.Contains(w.get("/pay/"+token).Body.String(), words) })
		w.shows(w.get("/orders/"+token), http.StatusOK, words)
	}
}

// Anybody can type the address of the page of failure. Until the provider has
// answered, nobody is told that nothing was taken, nor led to pay again untold.
func TestP1AFailureThatOnlyTheBrowserReports(t *testing.T) {
	w := newWorld(t)
	o, token := w.orders.add()
	a := w.start(o.GetId(), cards)
	w.get("/return/" + a.GetId() + "/declined")
	for _, page := range []string{"/pay/", "/orders/"} {
		rec := w.get(page + token)
		w.shows(rec, http.StatusOK, "We are asking the payment provider")
		if strings.Contains(rec.Body.String(), "not been charged") {
			t.Errorf("%s says what nobody knows", page)
		}
	}
	w.shows(w.get("/pay/"+token), http.StatusOK, "already been started")
	w.verify(a.GetId(), verificationv1.Outcome_OUTCOME_FAILED, 1)
	eventually(t, "known", func() bool {
		page := w.get("/pay/" + token).Body.String()
		return strings.Contains(page, "You have not been charged") && !strings.Contains(page, "already been started")
	})
}

func TestFormsOfOtherSitesDoNothing(t *testing.T) {
	w := newWorld(t)
	_, token := w.orders.add()
	form := w.form(token, bank)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/pay/"+token, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w.shows(w.do(r), http.StatusForbidden, "another website")
	if n := len(w.bus.published(event.PaymentStarted)); n != 0 {
		t.Errorf("%d payments", n)
	}
}

func TestReceiptsOfEveryState(t *testing.T) {
	w := newWorld(t)
	for number := range orderv1.PaymentState_name {
		o, token := w.orders.add(func(o *orderv1.Order) {
			o.PaymentState, o.Reference = orderv1.PaymentState(number), "B-<1>"
			if o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_PAID {
				o.PaidTime, o.Captured = timestamppb.Now(), o.GetTotal()
			}
		})
		title := "Order confirmation"
		if o.GetPaidTime() != nil {
			title = "Receipt"
		}
		rec := w.get("/orders/" + token + "/receipt")
		w.shows(rec, http.StatusOK, "<h1>"+title, "Jo Personal\njo@example.org", o.GetId(), "B-&lt;1&gt;", "€24.99", "Notepad")
		if rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", rec.Header())
		}
	}
}

// TestInstructionsAreTheOrdersOwn: the page is reached again by its address, and
// by nobody else's.
func TestInstructionsAreTheOrdersOwn(t *testing.T) {
	w := newWorld(t)
	o, token := w.orders.add()
	_, other := w.orders.add()
	a := w.start(o.GetId(), bank)
	w.shows(w.get("/pay/"+token+"/how/"+a.GetId()+"?lang=de"), http.StatusOK, "Verwendungszweck", a.GetId(), "XX00")
	w.shows(w.get("/orders/"+token), http.StatusOK, "/pay/"+token+"/how/"+a.GetId())
	w.leads(w.get("/pay/"+other+"/how/"+a.GetId()), "/pay/"+other)
	w.leads(w.get("/pay/"+token+"/how/"+w.start(o.GetId(), cards).GetId()), "/pay/"+token)
	w.shows(w.get("/pay/"+token+"/how/pay_none"), http.StatusNotFound, "Page not found")
	w.pay(o)
	w.leads(w.get("/pay/"+token+"/how/"+a.GetId()), "/orders/"+token)
}

// TestLivePagesHearOfChanges: the event comes once per change, and not for what
// the page shows already.
func TestLivePagesHearOfChanges(t *testing.T) {
	w := newWorld(t)
	o, token := w.orders.add()
	server := httptest.NewServer(w.handler)
	defer server.Close()
	page := w.get("/orders/" + token)
	link := regexp.MustCompile(`data-events="([^"]+)"`).FindStringSubmatch(page.Body.String())
	if link == nil {
		t.Fatalf("no events on\n%s", page.Body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+link[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || lines.Text() != "retry: 3000" {
		t.Fatalf("begins with %q", lines.Text())
	}
	w.orders.change(func() { w.orders.down = true })
	w.orders.change(func() { w.orders.down = false })
	w.pay(o)
	for lines.Scan() && lines.Text() == "" {
	}
	if lines.Text() != "event: changed" {
		t.Errorf("then %q", lines.Text())
	}
	if got := w.get("/orders/nothing-of-the-kind-here/events"); got.Code != http.StatusNotFound {
		t.Errorf("unknown order: %d", got.Code)
	}
}
