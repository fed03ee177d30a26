package e2e

import (
	"strings"
	"testing"

	"quittance/pkg/event"
	"quittance/pkg/id"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// TestS18EveryProviderGivesMoneyBack: on its own, after delivery; an unsigned
// callback makes us ask, and the answer makes it so.
func TestS18EveryProviderGivesMoneyBack(t *testing.T) {
	w := start(t, setup{})
	for account, vendor := range others {
		o := w.order(item("notepad", 1))
		w.pay(o, client.Pay{Method: account})
		w.awaitGoods(o.GetId())
		p := w.payment(vendor)
		if vendor == client.Resurs { // what is only reserved can't be given back
			w.capture(o.GetId())
		}
		if _, err := w.sandbox.Act(t.Context(), vendor, client.Order{Reference: p.Reference, Action: client.Refund}); err != nil {
			t.Fatal(err)
		}
		w.awaitPayment(o.GetId(), orderv1.PaymentState_PAYMENT_STATE_REFUNDED)
	}
}

// capture takes reserved money.
func (w *world) capture(orderID string) {
	w.t.Helper()
	if _, err := w.orders.CapturePayment(w.t.Context(), &orderv1.CapturePaymentRequest{OrderId: orderID}); err != nil {
		w.t.Fatal(err)
	}
	w.awaitPayment(orderID, paid)
}

// TestMoneyOfACreatedPaymentIsMoved: captured, given back in part, then the
// rest, by us. The provider's book agrees.
func TestMoneyOfACreatedPaymentIsMoved(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	w.pay(o, client.Pay{Method: standalone.DemoInvoice})
	w.awaitGoods(o.GetId())
	w.capture(o.GetId())
	if p := w.payment(client.Resurs); p.Captured.Minor != 1999 || p.Authorized.Minor != 0 {
		t.Errorf("captured: the book says %+v", p)
	}
	back := func(amount *orderv1.Money, want orderv1.PaymentState, refunded int64) {
		t.Helper()
		if _, err := w.orders.RefundOrder(t.Context(), &orderv1.RefundOrderRequest{OrderId: o.GetId(), IdempotencyKey: id.New("key"), Amount: amount}); err != nil {
			t.Fatal(err)
		}
		w.awaitPayment(o.GetId(), want)
		if p := w.payment(client.Resurs); p.Refunded.Minor != refunded {
			t.Errorf("given back: the book says %+v, want %d", p, refunded)
		}
	}
	back(&orderv1.Money{Minor: 999, Currency: "EUR"}, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, 999)
	back(nil, orderv1.PaymentState_PAYMENT_STATE_REFUNDED, 1999)
}

// TestP4ALostCreationIsRepeated: the provider creates the payment but its answer
// is lost; another one is created, paid and delivered, once.
func TestP4ALostCreationIsRepeated(t *testing.T) {
	w := start(t, setup{})
	if err := w.sandbox.SetVendorFault(t.Context(), client.Resurs, "", client.Faults{Status: client.StatusDown, StatusTimes: 2}); err != nil {
		t.Fatal(err)
	}
	o := w.order(item("notepad", 1))
	if got := w.pay(o, client.Pay{Method: standalone.DemoInvoice}).FulfillmentStatus(); got != "success" {
		t.Errorf("came back with %q", got)
	}
	w.awaitGoods(o.GetId())
	list, err := w.sandbox.Payments(t.Context(), client.Resurs)
	if err != nil || len(list.Payments) != 3 {
		t.Fatalf("%d payments in the book, %v", len(list.Payments), err)
	}
	for i, p := range list.Payments {
		if p.Reference != list.Payments[0].Reference || (p.Authorized.Minor > 0) != (i == 0) {
			t.Errorf("payment %d: %+v", i, p)
		}
	}
	if keys := w.keys(o.GetId()); len(keys[1]) != 1 {
		t.Errorf("keys %v", keys)
	}
}

// TestADeclinedCreationIsAFailedPayment: the merchant is told, the customer pays
// by something else.
func TestADeclinedCreationIsAFailedPayment(t *testing.T) {
	w := start(t, setup{})
	const account, store = "demo-odd", "11111111-2222-4333-8444-666666666666"
	if err := w.sandbox.PutVendorShop(t.Context(), client.Resurs, store, map[string]string{"clientID": "odd", "clientSecret": "secret", "currency": "EUR"}); err != nil {
		t.Fatal(err)
	}
	w.putAccount(&orderv1.ProviderAccount{
		Id: account, MerchantId: standalone.DemoMerchant, Provider: "resurs", DisplayName: "Odd",
		Settings: map[string]string{
			"base_url": w.shop + "/resurs", "client_id": "odd", "store_id": store, "currency": "EUR",
			"payment_methods": "cccccccc-1111-4222-8333-444444444444", // the store has no such method
		},
	}, map[string]string{"client_secret": "secret"})
	o := w.order(item("notepad", 1))
	w.offered(o, account)
	visit := w.pay(o, client.Pay{Method: account, Until: func(p *client.Page) bool { return strings.Contains(p.Body, "the provider declines") }})
	if visit.Ordered {
		t.Errorf("visited %v", visit.URLs)
	}
	w.await(o.GetId(), "unpaid with a reason", func(o *orderv1.Order) bool {
		return o.GetPaymentState() == unpaid && strings.Contains(o.GetPaymentProblem(), "declines")
	})
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentFailed)
	w.pay(o, client.Pay{Method: standalone.DemoWallet})
	w.awaitDelivered(o.GetId())
}
