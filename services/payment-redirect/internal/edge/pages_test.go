package edge_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	"quittance/pkg/id"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

var (
	keyField  = regexp.MustCompile(`name="key" value="([^"]+)"`)
	seenField = regexp.MustCompile(`name="seen" value="([^"]+)"`)
)

// form opens the pay page and fills in its form.
func (w *world) form(token, method string) url.Values {
	w.t.Helper()
	rec := w.get("/pay/" + token)
	found := keyField.FindStringSubmatch(rec.Body.String())
	if rec.Code != http.StatusOK || found == nil {
		w.t.Fatalf("pay page: %d\n%s", rec.Code, rec.Body)
	}
	return url.Values{"key": {found[1]}, "method": {method}, "seen": {seenField.FindStringSubmatch(rec.Body.String())[1]}}
}

func TestPayPageShowsOrderAndMethods(t *testing.T) {
	w := newWorld(t)
	_, token := w.orders.add(func(o *orderv1.Order) { o.PaymentProblem = "card <expired>" })
	rec := w.get("/pay/" + token)
	w.shows(rec, http.StatusOK, "Notepad", "Backup", "€24.99", "Credit card", "Bank transfer", post, "Acme &lt;Software&gt;",
		"card &lt;expired&gt;", `action="/pay/`+token)
	if body := rec.Body.String(); strings.Contains(body, "jo@example.org") || strings.Contains(body, "Jo Personal") || strings.Contains(body, "style=") {
		t.Errorf("the page shows personal data or has script:\n%s", body)
	}
	h := rec.Header()
	csp := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src 'self'", "form-action 'self'", "https://secure.example.org", "https://paper.example.net", "frame-ancestors 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("policy %q lacks %q", csp, want)
		}
	}
	if strings.Contains(csp, "unsafe") || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" || len(h.Values("Set-Cookie")) > 0 {
		t.Errorf("headers %v", h)
	}
	if one, two := w.form(token, bank), w.form(token, bank); one.Get("key") == two.Get("key") {
		t.Error("two renderings have the same key")
	}
	if css := w.get("/assets/pay.css"); css.Code != http.StatusOK || !strings.HasPrefix(css.Header().Get("Content-Type"), "text/css") {
		t.Errorf("style sheet: %d %v", css.Code, css.Header())
	}
}

func TestUnknownTokensGiveA404Page(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	for _, token := range []string{id.Token(), o.GetId(), "x", "%00", strings.Repeat("a", 500)} {
		for _, path := range []string{"/pay/", "/orders/"} {
			w.shows(w.get(path+token), http.StatusNotFound, "Page not found")
		}
		w.shows(w.post("/pay/"+token, nil), http.StatusNotFound, "Page not found")
	}
}

func TestPayPageOfAnOrderThatCannotBePaid(t *testing.T) {
	w := newWorld(t)
	for number := range orderv1.PaymentState_name {
		state := orderv1.PaymentState(number)
		_, token := w.orders.add(func(o *orderv1.Order) { o.PaymentState = state })
		got, posted := w.get("/pay/"+token), w.post("/pay/"+token, url.Values{"key": {id.Token()}, "method": {bank}})
		switch state {
		case orderv1.PaymentState_PAYMENT_STATE_UNPAID:
			w.shows(got, http.StatusOK, "<form")
		case orderv1.PaymentState_PAYMENT_STATE_CANCELED:
			w.shows(got, http.StatusOK, "canceled")
			w.shows(posted, http.StatusOK, "canceled")
		case orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
			w.shows(got, http.StatusOK, "not paid in time")
			w.shows(posted, http.StatusOK, "not paid in time")
		default:
			w.leads(got, "/orders/"+token)
			w.leads(posted, "/orders/"+token)
		}
	}
	eventually(t, "one attempt", func() bool { return len(w.bus.published(event.PaymentStarted)) == 1 })
}

func TestChoosingAMethodLeadsToTheProvider(t *testing.T) {
	w := newWorld(t)
	o, token := w.orders.add()

	form := w.form(token, cards)
	rec := w.post("/pay/"+token, form)
	target := rec.Header().Get("Location")
	if rec.Code != http.StatusSeeOther || !strings.HasPrefix(target, "https://secure.example.org/flexpay/startorder?") {
		t.Errorf("card: %d to %q", rec.Code, target)
	}
	if again := w.post("/pay/"+token, form); again.Header().Get("Location") != target {
		t.Errorf("the same form led to %q first, then to %q", target, again.Header().Get("Location"))
	}

	rec = w.post("/pay/"+token, w.form(token, post))
	w.shows(rec, http.StatusOK, `action="https://paper.example.net/start"`, `name="ref" value="pay_`,
		html.EscapeString(publicURL)+"/return/pay_", "https://in.example.org/callbacks/paper/"+post, "2 × Notepad, Backup")
	if csp := rec.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://paper.example.net") {
		t.Errorf("policy %q", csp)
	}

	rec = w.post("/pay/"+token, w.form(token, bank))
	how := rec.Header().Get("Location")
	if rec.Code != http.StatusSeeOther || !strings.HasPrefix(how, "/pay/"+token+"/how/pay_") {
		t.Fatalf("bank: %d to %q", rec.Code, how)
	}
	w.shows(w.get(how), http.StatusOK, "€24.99", "Acme", "XX00", "pay_", "/orders/"+token)

	eventually(t, "three attempts", func() bool { return len(w.bus.published(event.PaymentStarted)) == 3 })
	for _, e := range w.bus.published(event.PaymentStarted) {
		if e.Key != o.GetId() {
			t.Errorf("event %+v", e)
		}
	}
}

func TestP10BadPayFormsStartNothing(t *testing.T) {
	w := newWorld(t)
	_, token := w.orders.add()
	good := w.form(token, bank)
	for name, form := range map[string]url.Values{
		"no method":        {"key": good["key"]},
		"unknown method":   {"key": good["key"], "method": {"none"}},
		"other's method":   {"key": good["key"], "method": {"other-bank"}},
		"no key":           {"method": {bank}},
		"merchant-ish key": {"method": {bank}, "key": {"order-1"}},
		"strange key":      {"method": {bank}, "key": {strings.Repeat("\x00", 40)}},
	} {
		if rec := w.post("/pay/"+token, form); rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), "lease choose") {
			t.Errorf("%s: %d\n%s", name, rec.Code, rec.Body)
		}
	}
	if rec := w.post("/pay/"+token, url.Values{"x": {strings.Repeat("x", 20<<10)}}); rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("long form: %d", rec.Code)
	}
	if rec := w.post("/pay/"+token+"?method="+bank+"&key="+id.Token(), nil); rec.Code != http.StatusBadRequest {
		t.Errorf("form in the query: %d", rec.Code)
	}
	if n := len(w.bus.published(event.PaymentStarted)); n != 0 {
		t.Errorf("%d attempts announced", n)
	}
}

func TestAnOldFormDoesNotReviveAnAttempt(t *testing.T) {
	w := newWorld(t)
	_, token := w.orders.add()
	form := w.form(token, cards)
	w.post("/pay/"+token, form)
	eventually(t, "payment.started", func() bool { return len(w.bus.published(event.PaymentStarted)) == 1 })
	attempt := w.bus.published(event.PaymentStarted)[0].Subject
	w.verify(attempt, verificationv1.Outcome_OUTCOME_FAILED, 1)
	eventually(t, "the way back to the pay page", func() bool {
		return w.post("/pay/"+token, form).Header().Get("Location") == "/pay/"+token
	})
	w.verify(attempt, verificationv1.Outcome_OUTCOME_PAID, 2)
	eventually(t, "the way to the order page", func() bool {
		return w.post("/pay/"+token, form).Header().Get("Location") == "/orders/"+token
	})
}

func TestPayPageWithoutMethodsOrOrderService(t *testing.T) {
	w := newWorld(t)
	_, token := w.orders.add(func(o *orderv1.Order) { o.MerchantId = "poor" })
	w.shows(w.get("/pay/"+token), http.StatusOK, "no way to pay")
	w.orders.change(func() { w.orders.down = true })
	for _, path := range []string{"/pay/", "/orders/"} {
		rec := w.get(path + token)
		w.shows(rec, http.StatusServiceUnavailable, "try again", `href="`+path+token)
		if rec.Header().Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
}

func TestOrderPageSaysWhereTheOrderIs(t *testing.T) {
	w := newWorld(t)
	const (
		unpaid   = orderv1.PaymentState_PAYMENT_STATE_UNPAID
		paid     = orderv1.PaymentState_PAYMENT_STATE_PAID
		waiting  = orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED
		partly   = orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED
		complete = orderv1.DeliveryState_DELIVERY_STATE_DELIVERED
		broken   = orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED
	)
	for _, tt := range []struct {
		payment  orderv1.PaymentState
		delivery orderv1.DeliveryState
		problem  string
		words    string
		status   string
		final    bool
	}{
		{unpaid, waiting, "", "Waiting for your payment", "unknown", false},
		{paid, waiting, "", "is paid", "success", false},
		{paid, waiting, "pool is empty", "not delivered yet", "success", false},
		{paid, partly, "", "Partly delivered", "success", false},
		{paid, partly, "pool is empty", "not delivered yet", "success", false},
		{paid, broken, "", "not delivered yet", "success", false},
		{paid, complete, "", "is complete", "success", true},
		{orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, waiting, "", "authorized", "unknown", false},
		{orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, complete, "", "is complete", "success", true},
		{orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, complete, "", "A part of your payment", "success", true},
		{orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, waiting, "", "being checked", "unknown", false},
		{orderv1.PaymentState_PAYMENT_STATE_REFUNDED, complete, "", "Refunded", "unknown", true},
		{orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK, complete, "", "taken back", "unknown", true},
		{orderv1.PaymentState_PAYMENT_STATE_CANCELED, waiting, "", "canceled", "unknown", true},
		{orderv1.PaymentState_PAYMENT_STATE_EXPIRED, waiting, "", "not paid in time", "unknown", true},
	} {
		o, token := w.orders.add(func(o *orderv1.Order) {
			o.PaymentState, o.DeliveryState, o.DeliveryProblem = tt.payment, tt.delivery, tt.problem
		})
		rec := w.get("/orders/" + token)
		w.shows(rec, http.StatusOK, tt.words,
			`href="https://shop.example.org/thanks?cart=7&amp;orderId=`+o.GetId()+"&amp;fulfillmentStatus="+tt.status+"&amp;fulfillmentTime=")
		if refreshes := strings.Contains(rec.Body.String(), `http-equiv="refresh" content="3"`); refreshes == tt.final {
			t.Errorf("%s, %s: refreshes: %t", tt.payment, tt.delivery, refreshes)
		}
		if strings.Contains(rec.Body.String(), "pool is empty") || strings.Contains(rec.Body.String(), "jo@example.org") {
			t.Errorf("%s, %s: shows what is not the customer's:\n%s", tt.payment, tt.delivery, rec.Body)
		}
		if offers := strings.Contains(rec.Body.String(), `href="/pay/`+token); offers != (tt.payment == unpaid) {
			t.Errorf("%s: offers to pay: %t", tt.payment, offers)
		}
	}
	_, old := w.orders.add(func(o *orderv1.Order) { o.CreateTime = timestamppb.New(o.GetCreateTime().AsTime().Add(-2 * 3600e9)) })
	w.shows(w.get("/orders/"+old), http.StatusOK, `http-equiv="refresh" content="30"`)
}
