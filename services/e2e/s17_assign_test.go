package e2e

import (
	"testing"

	"quittance/pkg/event"
	"quittance/pkg/id"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// TestS17AssignUserAfterAnonymousPurchase: bought without an account, delivered,
// and connected to a customer afterwards, once and for all.
func TestS17AssignUserAfterAnonymousPurchase(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	w.pay(o, client.Pay{})
	if bought := w.awaitDelivered(o.GetId()); bought.GetCustomerId() != "" || bought.GetUserId() != "" {
		t.Fatalf("%v", bought)
	}
	req := &orderv1.AssignUserRequest{OrderId: o.GetId(), Credential: &orderv1.AssignUserRequest_Email{Email: w.email}}
	first := retried(w, w.orders.AssignUser, req)
	again := retried(w, w.orders.AssignUser, req)
	if !first.GetIsNewUser() || first.GetIsPasswordSet() || first.GetCustomerId() != again.GetCustomerId() || !again.GetIsNewUser() {
		t.Fatalf("%v, then %v", first, again)
	}
	next := w.order(item("handbook", 1))
	req.OrderId = next.GetId()
	if known := retried(w, w.orders.AssignUser, req); known.GetIsNewUser() || known.GetCustomerId() != first.GetCustomerId() {
		t.Fatalf("%v", known)
	}
	if got := w.awaitDelivered(o.GetId()); got.GetCustomerId() != first.GetCustomerId() {
		t.Fatalf("%v", got)
	}
}

// TestS11PolicyCancelsAFailedPayment: a shop that wants it so has its order
// canceled by a declined payment, and is told both.
func TestS11PolicyCancelsAFailedPayment(t *testing.T) {
	w := start(t, setup{})
	merchants := w.merchants()
	m := retried(w, merchants.GetMerchant, &orderv1.GetMerchantRequest{MerchantId: standalone.DemoMerchant})
	m.Policy = &orderv1.ShopPolicy{CancelOnFailure: true}
	retried(w, merchants.PutMerchant, &orderv1.PutMerchantRequest{Merchant: m})
	o := retried(w, w.orders.CreateOrder, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Customer: &orderv1.Customer{Email: w.email},
		Items: []*orderv1.OrderItem{item("notepad", 1)}, ReturnUrl: w.shop + "/shop/return",
	})
	w.pay(o, client.Pay{Action: "decline"})
	o = w.await(o.GetId(), "canceled", func(o *orderv1.Order) bool {
		return o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_CANCELED
	})
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentFailed, event.OrderCanceled)
	if len(w.mails()) != 0 {
		t.Fatal("a canceled order was delivered")
	}
}
