package e2e

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/returns"
	"quittance/pkg/seal"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/sandbox/client"
)

// returnKey is what the demonstration merchant verifies returns with.
func (w *world) returnKey() seal.Secret {
	w.t.Helper()
	return seal.Secret(retried(w, w.shops.GetReturnKey, &orderv1.GetReturnKeyRequest{}).GetKey())
}

// fulfillmentURL is the link by which the shop sends its customer.
func (w *world) fulfillmentURL(o *orderv1.Order, more url.Values) string {
	q := url.Values{"orderId": {o.GetId()}, "returnUrl": {w.shop + "/shop/return?b=2&a=1&b=1"}}
	for name, values := range more {
		q[name] = values
	}
	return w.public + "/fulfillment?" + q.Encode()
}

// word is what the shop verifies of the address at which a customer came back.
func (w *world) word(at *url.URL) returns.Word {
	w.t.Helper()
	word, err := returns.Verify(at.Query(), []seal.Secret{w.returnKey()}, time.Now(), time.Hour)
	if err != nil {
		w.t.Fatalf("%s: %v", at, err)
	}
	if got := at.Query()["b"]; len(got) != 2 || got[0] != "2" || got[1] != "1" || at.Query().Get("a") != "1" {
		w.t.Fatalf("the shop's own parameters are gone: %s", at)
	}
	return word
}

// TestS16FulfillmentOfPrepaid: straight back with a signed success, the order
// fulfilled and assigned to the user that the shop signed; nothing to pay.
func TestS16FulfillmentOfPrepaid(t *testing.T) {
	w := start(t, setup{})
	o := retried(w, w.orders.CreateOrder, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Customer: &orderv1.Customer{Email: w.email},
		Items: []*orderv1.OrderItem{item("notepad", 1)}, Prepaid: true,
	})
	user := url.Values{"userId": {"user-17"}, "userSignature": {returns.SignUser(w.returnKey(), o.GetId(), "user-17")}}
	direct := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := direct.Get(w.fulfillmentURL(o, user))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	at, err := resp.Location()
	if err != nil {
		t.Fatalf("status %d: %v", resp.StatusCode, err)
	}
	if word := w.word(at); word.Status != returns.Success || word.Order != o.GetId() || word.Access != "" {
		t.Fatalf("%+v", word)
	}
	w.await(o.GetId(), "fulfilled", func(o *orderv1.Order) bool {
		return o.GetFulfillment().GetFulfillTime() != nil && o.GetUserId() == "user-17"
	})
	w.awaitDelivered(o.GetId())
	if book, err := w.sandbox.Book(t.Context()); err != nil || len(book.Sales) != 0 {
		t.Fatalf("%v %v", book, err)
	}
}

// TestS6FulfillmentURL: from the shop to the provider and back at once, with a
// word that only we can sign and with access that another merchant can't use.
func TestS6FulfillmentURL(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	visit, err := client.PayLikeABrowser(t.Context(), w.fulfillmentURL(o, nil), client.Pay{Method: "demo-cards"})
	if err != nil {
		t.Fatalf("%v; visited %v", err, visit.URLs)
	}
	word := w.word(visit.Last.URL)
	if word.Status != returns.Success || word.Order != o.GetId() {
		t.Fatalf("%+v", word)
	}
	typed := visit.Last.URL.Query()
	typed.Set(returns.OrderParam, w.order(item("notepad", 1)).GetId())
	if _, err := returns.Verify(typed, []seal.Secret{w.returnKey()}, time.Now(), time.Hour); !errors.Is(err, returns.ErrForged) {
		t.Fatalf("success for another order verifies: %v", err)
	}
	access := retried(w, w.payments.CheckAccess, &paymentv1.CheckAccessRequest{Token: word.Access})
	if access.GetOrderId() != o.GetId() {
		t.Fatal(access)
	}
	if _, err := w.stranger().payments.CheckAccess(t.Context(), &paymentv1.CheckAccessRequest{Token: word.Access}); fault.KindOf(err) != fault.KindNotFound {
		t.Fatalf("another merchant opens it: %v", err)
	}
	w.await(o.GetId(), "fulfilled", func(o *orderv1.Order) bool { return o.GetFulfillment().GetFulfillTime() != nil })
	w.awaitDelivered(o.GetId())

	declined := w.order(item("notepad", 1))
	visit, err = client.PayLikeABrowser(t.Context(), w.fulfillmentURL(declined, nil), client.Pay{Method: "demo-cards", Action: "decline"})
	if err != nil {
		t.Fatalf("%v; visited %v", err, visit.URLs)
	}
	if word := w.word(visit.Last.URL); word.Status != returns.Error || word.Access != "" {
		t.Fatalf("%+v", word)
	}
	w.await(declined.GetId(), "still open", func(o *orderv1.Order) bool {
		return o.GetPaymentState() == unpaid && o.GetFulfillment() == nil
	})
}
