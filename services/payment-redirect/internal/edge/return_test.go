package edge_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/provider/flexpay"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// back is where the shop of an order is told a status.
func back(o *orderv1.Order, status string) string {
	return "https://shop.example.org/thanks?cart=7&orderId=" + o.GetId() + "&fulfillmentStatus=" + status
}

func (w *world) pay(o *orderv1.Order) {
	w.orders.change(func() { o.PaymentState = orderv1.PaymentState_PAYMENT_STATE_PAID })
}

func TestReturnWaitsForTheOrder(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	a := w.start(o.GetId(), cards)
	signed := flexpay.SignData(signatureKey, flexpay.Params{"saleID": "433456", "referenceID": a.GetId(), "shopID": "68849"}).Query()

	start := time.Now()
	w.leads(w.get("/return/"+a.GetId()+"?"+signed), back(o, "unknown"))
	if took := time.Since(start); took < returnWait {
		t.Errorf("answered after %s, without waiting", took)
	}
	time.AfterFunc(returnWait/4, func() { w.pay(o) })
	w.leads(w.get("/return/"+a.GetId()+"?"+signed), back(o, "success"))

	eventually(t, "payment.returned", func() bool { return len(w.bus.published(event.PaymentReturned)) > 0 })
	events, fact := w.bus.published(event.PaymentReturned), &eventv1.PaymentReturned{}
	if err := events[0].Decode(fact); err != nil {
		t.Fatal(err)
	}
	if len(events) != 1 || events[0].Key != o.GetId() || fact.GetMerchantId() != merchant {
		t.Errorf("%d events, %+v with %v", len(events), events[0], fact)
	}
	if s := w.state(a.GetId()); s != paymentv1.AttemptState_ATTEMPT_STATE_PENDING {
		t.Errorf("state %s", s)
	}
}

func TestP1TypedReturnsMakeNothingASuccess(t *testing.T) {
	w := newWorld(t)
	var browsers sync.WaitGroup
	var attempts []string
	for _, account := range []string{cards, post} {
		o, _ := w.orders.add()
		a := w.start(o.GetId(), account)
		attempts = append(attempts, a.GetId())
		for _, query := range []string{
			"paymentResult=OK", "fulfillmentStatus=success", "result=success&ref=made-up", "saleID=1&signature=" + strings.Repeat("a", 64),
			"status=paid;x=%zz", "sig=bad",
		} {
			path := "/return/" + a.GetId() + "?" + query
			for _, visit := range []func() *httptest.ResponseRecorder{
				func() *httptest.ResponseRecorder { return w.get(path) },
				func() *httptest.ResponseRecorder {
					return w.post(path, url.Values{"paymentResult": {"OK"}, "fulfillmentStatus": {"success"}})
				},
			} {
				browsers.Go(func() {
					rec := visit()
					if to := rec.Header().Get("Location"); rec.Code != http.StatusSeeOther || strings.Contains(to, "success") {
						t.Errorf("%s: %d to %q", query, rec.Code, to)
					}
				})
			}
		}
	}
	browsers.Wait()
	for _, attempt := range attempts {
		if s := w.state(attempt); s == paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED {
			t.Errorf("state %s", s)
		}
	}
	if n := len(w.bus.published(event.PaymentConfirmed)); n != 0 {
		t.Errorf("%d confirmations", n)
	}
}

func TestReturnOfAnAttemptThatCameToNothing(t *testing.T) {
	w := newWorld(t)
	for name, tt := range map[string]struct {
		account, path, status string
		state                 paymentv1.AttemptState
	}{
		"declined":            {cards, "/declined", "error", paymentv1.AttemptState_ATTEMPT_STATE_FAILED},
		"declined, canceled":  {post, "/declined?result=cancel", "cancel", paymentv1.AttemptState_ATTEMPT_STATE_CANCELED},
		"declined, bad":       {post, "/declined?sig=bad", "error", paymentv1.AttemptState_ATTEMPT_STATE_FAILED},
		"says canceled":       {post, "?result=cancel", "cancel", paymentv1.AttemptState_ATTEMPT_STATE_CANCELED},
		"says failed":         {post, "?result=fail", "error", paymentv1.AttemptState_ATTEMPT_STATE_FAILED},
		"unreadable":          {post, "?sig=bad&result=fail", "unknown", paymentv1.AttemptState_ATTEMPT_STATE_PENDING},
		"strange reference":   {post, "?result=fail&ref=%00%ff", "unknown", paymentv1.AttemptState_ATTEMPT_STATE_PENDING},
		"oversized reference": {post, "?ref=" + strings.Repeat("r", 300), "unknown", paymentv1.AttemptState_ATTEMPT_STATE_PENDING},
		"broken query":        {post, "?result=fail;&%zz", "unknown", paymentv1.AttemptState_ATTEMPT_STATE_PENDING},
	} {
		o, _ := w.orders.add()
		a := w.start(o.GetId(), tt.account)
		if rec := w.get("/return/" + a.GetId() + tt.path); w.unsigned(rec.Header().Get("Location")) != back(o, tt.status) {
			t.Errorf("%s: %d to %q, want status %s", name, rec.Code, rec.Header().Get("Location"), tt.status)
		}
		if s := w.state(a.GetId()); s != tt.state {
			t.Errorf("%s: state %s, want %s", name, s, tt.state)
		}
	}
}

// The attempt's id is what a transfer is marked with: whoever reads it on a bank
// statement gets neither to the order's page nor to the shop with it.
func TestP8ATransfersReferenceOpensNothing(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	a := w.start(o.GetId(), bank)
	for range 2 {
		for _, path := range []string{"", "?result=success", "/declined"} {
			path = "/return/" + a.GetId() + path
			for _, rec := range []*httptest.ResponseRecorder{w.get(path), w.post(path, url.Values{"result": {"success"}})} {
				if rec.Code != http.StatusNotFound || rec.Header().Get("Location") != "" {
					t.Errorf("%s: %d to %q", path, rec.Code, rec.Header().Get("Location"))
				}
			}
		}
		w.pay(o)
	}
}

func TestFalseClaimsNeverMoveASuccess(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	a := w.start(o.GetId(), post)
	w.leads(w.get("/return/"+a.GetId()+"?result=fail"), back(o, "error"))
	w.verify(a.GetId(), verificationv1.Outcome_OUTCOME_PAID, 1)
	eventually(t, "succeeded", func() bool { return w.state(a.GetId()) == paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED })
	w.leads(w.get("/return/"+a.GetId()+"/declined"), back(o, "unknown")) // the order has not heard of it yet
	w.pay(o)
	w.leads(w.get("/return/"+a.GetId()+"/declined?result=cancel"), back(o, "success"))
	if s := w.state(a.GetId()); s != paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED {
		t.Errorf("state %s", s)
	}
}

func TestReturnEndsTheWaitWhenTheAttemptFails(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add(func(o *orderv1.Order) { o.ReturnUrl = "" })
	a := w.start(o.GetId(), post)
	time.AfterFunc(returnWait/4, func() { w.verify(a.GetId(), verificationv1.Outcome_OUTCOME_FAILED, 1) })
	start := time.Now()
	w.leads(w.post("/return/"+a.GetId(), url.Values{"ref": {"r1"}}), "/orders/"+o.GetPayUrl()[len(publicURL+"/pay/"):])
	if took := time.Since(start); took > returnWait*3/4 {
		t.Errorf("answered after %s", took)
	}
}

func TestFulfillmentStatusOfEveryOrder(t *testing.T) {
	w := newWorld(t)
	for number := range orderv1.PaymentState_name {
		state := orderv1.PaymentState(number)
		o, _ := w.orders.add()
		a := w.start(o.GetId(), post)
		w.orders.change(func() { o.PaymentState = state })
		want := "unknown"
		switch state {
		case orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED:
			want = "success"
		case orderv1.PaymentState_PAYMENT_STATE_UNPAID, orderv1.PaymentState_PAYMENT_STATE_CANCELED, orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
			want = "cancel"
		default:
		}
		w.leads(w.get("/return/"+a.GetId()+"?result=cancel"), back(o, want))
	}
}

func TestReturnWhileTheOrderServiceIsDown(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	a := w.start(o.GetId(), post)
	w.orders.change(func() { w.orders.down = true })
	path := "/return/" + a.GetId() + "?ref=r1&a=b"
	rec := w.get(path)
	w.shows(rec, http.StatusServiceUnavailable, "Nothing is lost", `href="/return/`+a.GetId()+`?ref=r1&amp;a=b"`)
	eventually(t, "the hint is recorded", func() bool { return len(w.bus.published(event.PaymentReturned)) == 1 })
	w.orders.change(func() { w.orders.down = false })
	w.pay(o)
	w.leads(w.get(path), back(o, "success"))
	if n := len(w.bus.published(event.PaymentReturned)); n != 1 {
		t.Errorf("the same return was announced %d times", n)
	}
}

func TestP10BadReturnsChangeNothing(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	a := w.start(o.GetId(), post)
	for _, attempt := range []string{"x", id.New("pay"), "pay_" + strings.Repeat("z", 32), o.GetId()} {
		w.shows(w.get("/return/"+attempt), http.StatusNotFound, "Page not found")
	}
	if rec := w.post("/return/"+a.GetId(), url.Values{"x": {strings.Repeat("x", 65<<10)}}); rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("long body: %d", rec.Code)
	}
	head := httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/return/"+a.GetId(), nil)
	if rec := w.do(head); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %d", rec.Code)
	}
	if s := w.state(a.GetId()); s != paymentv1.AttemptState_ATTEMPT_STATE_STARTED {
		t.Errorf("state %s", s)
	}
	if n := len(w.bus.published(event.PaymentReturned)); n != 0 {
		t.Errorf("%d returns announced", n)
	}
}

// FuzzReturn: whatever a browser brings, no success comes of it, and what is
// recorded can be announced.
func FuzzReturn(f *testing.F) {
	w := newWorld(f)
	o, _ := w.orders.add()
	// An order that ends the wait at once, without being paid.
	w.orders.change(func() { o.PaymentState = orderv1.PaymentState_PAYMENT_STATE_UNPAID })
	attempts := []string{w.start(o.GetId(), cards).GetId(), w.start(o.GetId(), post).GetId()}
	w.orders.change(func() { o.PaymentState = orderv1.PaymentState_PAYMENT_STATE_ON_HOLD })
	f.Add("paymentResult=OK&fulfillmentStatus=success", "", true)
	f.Add("ref=%ff&result=cancel", "result=fail&ref=x", false)
	f.Add("signature=1;saleID=2&%zz", "\x00\xff", true)
	f.Fuzz(func(t *testing.T, query, body string, declined bool) {
		w.t = t
		for _, attempt := range attempts {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/return/"+attempt, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.URL.RawQuery = query
			if declined {
				r.URL.Path += "/declined"
			}
			w.leads(w.do(r), back(o, "unknown"))
			if s := w.state(attempt); s == paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED {
				t.Errorf("state %s", s)
			}
		}
	})
}

// TestAPostedReturnIsKept: what a provider's form brought while the store is down
// is in the address that leads on.
func TestAPostedReturnIsKept(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	a := w.start(o.GetId(), post)
	address := "/return/" + a.GetId()
	w.storeDown.Store(true)
	w.shows(w.post(address+"?x=1", url.Values{"ref": {"r1"}}), http.StatusServiceUnavailable, "Nothing is lost", `href="`+address+`?ref=r1&amp;x=1"`)
	w.storeDown.Store(false)
	w.pay(o)
	w.leads(w.get(address+"?ref=r1&x=1"), back(o, "success"))
}

// TestResendTriedAgain leads to the page that has the button.
func TestResendTriedAgain(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	w.orders.change(func() { w.orders.down = true })
	token := path.Base(o.GetPayUrl())
	w.shows(w.post("/orders/"+token+"/resend", nil), http.StatusServiceUnavailable, `href="/orders/`+token+`"`)
}
