package edge_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/returns"
	"quittance/pkg/seal"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

const shop = "https://shop.example.org/back?b=2&a=1&b=1"

// fulfillmentURL is the shop's link, with further pairs of parameters.
func fulfillmentURL(o *orderv1.Order, back string, more ...string) string {
	q := url.Values{"orderId": {o.GetId()}, "returnUrl": {back}}
	for i := 0; i < len(more); i += 2 {
		q.Add(more[i], more[i+1])
	}
	return "/fulfillment?" + q.Encode()
}

// fulfilled is where the browser goes from there.
func fulfilled(o *orderv1.Order, status string) string {
	return shop + "&orderId=" + o.GetId() + "&fulfillmentStatus=" + status
}

func in(state orderv1.PaymentState) func(*orderv1.Order) {
	return func(o *orderv1.Order) { o.PaymentState = state }
}

// learned are the facts that were told to the order service.
func (w *world) learned(o *orderv1.Order) (facts []*eventv1.FulfillmentChanged) {
	w.t.Helper()
	for _, e := range w.bus.published(event.FulfillmentChanged) {
		f := &eventv1.FulfillmentChanged{}
		if err := e.Decode(f); err != nil {
			w.t.Fatal(err)
		}
		if f.GetOrderId() == o.GetId() {
			facts = append(facts, f)
		}
	}
	return facts
}

func (w *world) returnKeys() []seal.Secret {
	w.t.Helper()
	keys, err := w.ref.ReturnKeys(w.t.Context(), merchant)
	if err != nil {
		w.t.Fatal(err)
	}
	return keys
}

// TestS16PrepaidGoesStraightBack, and so does every order that is over, with
// the word that is true of it. Only success is told to the order service.
func TestS16PrepaidGoesStraightBack(t *testing.T) {
	w := newWorld(t)
	for state, status := range map[orderv1.PaymentState]string{
		orderv1.PaymentState_PAYMENT_STATE_PAID:               returns.Success,
		orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED: returns.Success,
		orderv1.PaymentState_PAYMENT_STATE_CANCELED:           returns.Cancel,
		orderv1.PaymentState_PAYMENT_STATE_EXPIRED:            returns.Error,
		orderv1.PaymentState_PAYMENT_STATE_REFUNDED:           returns.Error,
		orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK:       returns.Error,
		orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:            returns.Unknown,
		orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:         returns.Unknown,
	} {
		o, _ := w.orders.add(in(state), func(o *orderv1.Order) { o.Prepaid, o.PaidTime = true, timestamppb.Now() })
		for range 2 { // a reload tells the same and writes nothing
			rec := w.get(fulfillmentURL(o, shop))
			w.leads(rec, fulfilled(o, status))
			if strings.Contains(rec.Header().Get("Location"), returns.AccessParam) {
				t.Errorf("%s: whoever knows the order's id gets access", state)
			}
		}
		if status != returns.Success {
			if facts := w.learned(o); len(facts) != 0 {
				t.Errorf("%s: %v", state, facts)
			}
			continue
		}
		testkit.Eventually(t, 20*time.Second, func() error {
			if facts := w.learned(o); len(facts) != 1 || facts[0].GetFulfillTime() == nil || facts[0].GetUserId() != "" {
				return fmt.Errorf("%s: told %v", state, facts)
			}
			return nil
		})
	}
}

// TestFulfillmentLinksThatAreRefused: the page names the parameter, and nothing
// of the order or its customer.
func TestFulfillmentLinksThatAreRefused(t *testing.T) {
	w := newWorld(t)
	o, token := w.orders.add()
	signature := returns.SignUser(w.returnKeys()[0], o.GetId(), "u1")
	for name, c := range map[string]struct {
		target string
		status int
		says   string
	}{
		"relative":           {fulfillmentURL(o, "/back"), http.StatusBadRequest, "returnUrl must be an absolute"},
		"script":             {fulfillmentURL(o, "javascript:alert(1)"), http.StatusBadRequest, "returnUrl must be an absolute"},
		"another site":       {fulfillmentURL(o, "https://evil.example/back"), http.StatusBadRequest, "returnUrl is not on"},
		"beside the prefix":  {fulfillmentURL(o, "https://shop.example.org/backdoor"), http.StatusBadRequest, "returnUrl is not on"},
		"above the prefix":   {fulfillmentURL(o, "https://shop.example.org/back/../x"), http.StatusBadRequest, "returnUrl is not on"},
		"with credentials":   {fulfillmentURL(o, "https://a:b@shop.example.org/back"), http.StatusBadRequest, "returnUrl must be"},
		"none":               {"/fulfillment?orderId=" + o.GetId(), http.StatusBadRequest, "returnUrl must have 1"},
		"two":                {fulfillmentURL(o, shop, "returnUrl", shop), http.StatusBadRequest, "returnUrl must be there once"},
		"two orders":         {fulfillmentURL(o, shop, "orderId", o.GetId()), http.StatusBadRequest, "orderId must be there once"},
		"no order":           {"/fulfillment?returnUrl=" + url.QueryEscape(shop), http.StatusBadRequest, "orderId must have 1"},
		"unknown order":      {fulfillmentURL(&orderv1.Order{Id: id.New("ord")}, shop), http.StatusNotFound, "Page not found"},
		"no order's id":      {fulfillmentURL(&orderv1.Order{Id: "1 or 2"}, shop), http.StatusNotFound, "Page not found"},
		"unsigned user":      {fulfillmentURL(o, shop, "userId", "u1"), http.StatusBadRequest, "userSignature is not"},
		"another user":       {fulfillmentURL(o, shop, "userId", "u2", "userSignature", signature), http.StatusBadRequest, "userSignature is not"},
		"user with new line": {fulfillmentURL(o, shop, "userId", "u\n1", "userSignature", signature), http.StatusBadRequest, "userId must be one line"},
	} {
		rec := w.get(c.target)
		w.shows(rec, c.status, c.says)
		for _, secret := range []string{"jo@example.org", "Jo Personal", token, "Notepad"} {
			if strings.Contains(rec.Body.String(), secret) {
				t.Errorf("%s: the page shows %q", name, secret)
			}
		}
	}
	sms, _ := w.orders.add(func(o *orderv1.Order) { o.Fulfillment = &orderv1.Fulfillment{PaymentMethod: "sms"} })
	w.shows(w.get(fulfillmentURL(sms, shop)), http.StatusConflict, "Nothing to pay here", "fulfillmentStatus=error")
	w.orders.change(func() { w.orders.down = true })
	w.shows(w.get(fulfillmentURL(o, shop)), http.StatusServiceUnavailable, "Just a moment")
	if n := len(w.bus.published(event.FulfillmentChanged)) + len(w.bus.published(event.PaymentStarted)); n != 0 {
		t.Errorf("%d events of refused links", n)
	}
}

// chooseOn sends the pay form of a fulfilment page.
func (w *world) chooseOn(o *orderv1.Order, account string, more ...string) (string, *http.Response) {
	w.t.Helper()
	rec := w.get(fulfillmentURL(o, shop, more...))
	w.shows(rec, http.StatusOK, "Credit card", "Bank transfer", "fulfillmentStatus=cancel")
	_, after, _ := strings.Cut(rec.Body.String(), `name="key" value="`)
	key, _, _ := strings.Cut(after, `"`)
	sent := w.post(fulfillmentURL(o, shop, more...), url.Values{"method": {account}, "key": {key}})
	return sent.Body.String(), sent.Result()
}

// attemptOf is the latest attempt of an order.
func (w *world) attemptOf(o *orderv1.Order) string {
	w.t.Helper()
	var attempt string
	testkit.Eventually(w.t, 20*time.Second, func() error {
		for _, e := range w.bus.published(event.PaymentStarted) {
			f := &eventv1.PaymentStarted{}
			if err := e.Decode(f); err == nil && f.GetOrderId() == o.GetId() {
				attempt = f.GetAttemptId()
			}
		}
		if attempt == "" {
			return fmt.Errorf("no attempt of %s", o.GetId())
		}
		return nil
	})
	return attempt
}

// TestPaidByFulfillmentURL: to the provider, and back to that return URL with a
// signed success and access for the customer who paid; the order learns the user
// as soon as a payment is begun, and that it is fulfilled in the end.
func TestPaidByFulfillmentURL(t *testing.T) {
	w := newWorld(t)
	o, token := w.orders.add()
	signature := returns.SignUser(w.returnKeys()[0], o.GetId(), "u1")
	body, resp := w.chooseOn(o, cards, "userId", "u1", "userSignature", signature)
	if resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), "https://secure.example.org/flexpay/startorder?") {
		t.Fatalf("%d %s\n%s", resp.StatusCode, resp.Header.Get("Location"), body)
	}
	a := w.attemptOf(o)
	w.leads(w.get("/return/"+a+"/declined"), fulfilled(o, returns.Error))
	if facts := w.learned(o); len(facts) != 1 || facts[0].GetUserId() != "u1" || facts[0].GetFulfillTime() != nil {
		t.Fatalf("what is no success went on: %v", facts)
	}

	w.verify(a, verificationv1.Outcome_OUTCOME_PAID, 1)
	w.orders.change(func() {
		o.PaymentState, o.PaidAttemptId, o.PaidTime = orderv1.PaymentState_PAYMENT_STATE_PAID, a, timestamppb.Now()
	})
	rec := w.get("/return/" + a)
	w.leads(rec, fulfilled(o, returns.Success))
	testkit.Eventually(t, 20*time.Second, func() error {
		if facts := w.learned(o); len(facts) != 2 || facts[1].GetUserId() != "u1" || facts[1].GetFulfillTime() == nil || facts[1].GetRevision() != 2 {
			return fmt.Errorf("told %v", facts)
		}
		return nil
	})
	location, err := rec.Result().Location()
	if err != nil {
		t.Fatal(err)
	}
	access := location.Query().Get(returns.AccessParam)
	answer, err := w.payments.CheckAccess(w.as(merchant), &paymentv1.CheckAccessRequest{Token: access})
	if err != nil || answer.GetOrderId() != o.GetId() {
		t.Fatal(answer, err)
	}
	if order, _, err := returns.CheckAccess(access, w.returnKeys(), time.Now()); err != nil || order != o.GetId() {
		t.Fatal("offline:", order, err)
	}
	for name, ask := range map[string]struct{ merchant, token string }{
		"another merchant (P8)": {"other", access}, "made up": {merchant, access + "0"},
	} {
		if _, err := w.payments.CheckAccess(w.as(ask.merchant), &paymentv1.CheckAccessRequest{Token: ask.token}); err == nil {
			t.Errorf("%s: opens", name)
		}
	}
	if _, err := w.payments.CheckAccess(w.as(merchant), &paymentv1.CheckAccessRequest{}); fault.KindOf(err) != fault.KindInvalid {
		t.Error(err)
	}
	// The way back stays in the browser's history; the access it gives does not.
	w.orders.change(func() { o.PaidTime = timestamppb.New(time.Now().Add(-time.Hour)) })
	if rec := w.get("/return/" + a); strings.Contains(rec.Header().Get("Location"), returns.AccessParam) {
		t.Error("access long after the payment")
	}
	if strings.Contains(body, token) {
		t.Error("whoever knows the order's id gets the customer's link")
	}
}

// TestOfflineByFulfillmentURL: instructions, and no way to the order's page; the
// transfer's reference leads nowhere, before it is paid and after.
func TestOfflineByFulfillmentURL(t *testing.T) {
	w := newWorld(t)
	o, token := w.orders.add()
	body, resp := w.chooseOn(o, bank)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, "XX00") || !strings.Contains(body, "fulfillmentStatus=unknown") {
		t.Errorf("%d\n%s", resp.StatusCode, body)
	}
	for _, secret := range []string{token, "jo@example.org", "Jo Personal"} {
		if strings.Contains(body, secret) {
			t.Errorf("the page shows %q", secret)
		}
	}
	transfer := w.attemptOf(o)
	if _, resp := w.chooseOn(o, post); resp.StatusCode != http.StatusOK {
		t.Errorf("form to the provider: %d", resp.StatusCode)
	}
	w.shows(w.post(fulfillmentURL(o, shop), url.Values{"method": {"other-bank"}, "key": {id.Token()}}),
		http.StatusBadRequest, "choose a payment method")
	w.shows(w.post(fulfillmentURL(o, shop), url.Values{"method": {cards}}),
		http.StatusBadRequest, "out of date")
	for range 2 {
		if rec := w.get("/fulfillment/start/" + transfer); rec.Code != http.StatusNotFound || rec.Header().Get("Location") != "" {
			t.Errorf("%d to %q", rec.Code, rec.Header().Get("Location"))
		}
		w.pay(o)
	}
}
