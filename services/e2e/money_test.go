package e2e

import (
	"fmt"
	"strings"
	"testing"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

const (
	authorized        = orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED
	partiallyRefunded = orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED
	refunded          = orderv1.PaymentState_PAYMENT_STATE_REFUNDED
	canceled          = orderv1.PaymentState_PAYMENT_STATE_CANCELED
)

// bank opens an account of the demo merchant at a bank that can capture, cancel
// and refund, with further settings, and waits until orders can be paid by it.
func (w *world) bank(account string, settings map[string]string) {
	w.t.Helper()
	store, method := fmt.Sprintf("22222222-2222-4333-8444-%012x", len(account)), "cccccccc-1111-4222-8333-444444444444"
	if err := w.sandbox.PutVendorShop(w.t.Context(), client.Resurs, store, map[string]string{
		"clientID": account, "clientSecret": "secret", "methods": method, "currency": "EUR",
	}); err != nil {
		w.t.Fatal(err)
	}
	all := map[string]string{
		"base_url": w.shop + "/resurs", "client_id": account, "store_id": store, "currency": "EUR", "payment_methods": method + "=Pay later",
		"first": "1s", "then": "1s", "resend_after": "3s",
	}
	for name, value := range settings {
		all[name] = value
	}
	if _, err := w.merchants().PutProviderAccount(w.t.Context(), &orderv1.PutProviderAccountRequest{
		Account: &orderv1.ProviderAccount{Id: account, MerchantId: standalone.DemoMerchant, Provider: "resurs", DisplayName: account, Settings: all},
		Secrets: map[string]string{"client_secret": "secret"},
	}); err != nil {
		w.t.Fatal(err)
	}
	o := w.order(item("notepad", 1))
	testkit.Eventually(w.t, patience, func() error {
		methods, err := w.payments.ListMethods(w.t.Context(), &paymentv1.ListMethodsRequest{OrderId: o.GetId()})
		if err == nil && !strings.Contains(methods.String(), account) {
			err = fmt.Errorf("methods %v", methods)
		}
		return err
	})
}

// startAt opens an attempt by an account, and waits for the way to its provider.
func (w *world) startAt(o *orderv1.Order, account string) *paymentv1.Attempt {
	w.t.Helper()
	a := retried(w, w.payments.StartPayment, &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.New("key"), OrderId: o.GetId(), AccountId: account,
	})
	testkit.Eventually(w.t, patience, func() (err error) {
		if a, err = w.payments.GetAttempt(w.t.Context(), &paymentv1.GetAttemptRequest{AttemptId: a.GetId()}); err == nil && a.GetRedirect() == nil {
			err = fmt.Errorf("preparing: %v", a)
		}
		return err
	})
	return a
}

// booked is what the bank's book says of an attempt.
func (w *world) booked(a *paymentv1.Attempt) client.Payment {
	w.t.Helper()
	p, err := w.sandbox.Payment(w.t.Context(), client.Resurs, a.GetReference())
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// TestCapturedRefundedInPartsRefunded: reserved money is captured on the
// merchant's word and given back in two parts; each counts when the bank's book
// shows it. The bank's answer to the first refund gets lost, which gives nothing
// back twice.
func TestCapturedRefundedInPartsRefunded(t *testing.T) {
	waits(t)
	w := start(t, setup{})
	w.bank("captures", map[string]string{"deliver_on": "authorized"})
	o := w.order(item("notepad", 1))
	a := w.startAt(o, "captures")
	w.payAtProvider(a, nil)
	w.await(o.GetId(), "reserved and delivered", func(o *orderv1.Order) bool {
		return o.GetPaymentState() == authorized && o.GetDeliveryState() == delivered
	})
	for range 2 {
		retried(w, w.orders.CapturePayment, &orderv1.CapturePaymentRequest{OrderId: o.GetId()})
	}
	w.awaitPayment(o.GetId(), paid)
	if p := w.booked(a); p.Captured.Minor != 1999 {
		t.Fatalf("%+v", p)
	}
	if err := w.sandbox.SetVendorFault(t.Context(), client.Resurs, a.GetReference(), client.Faults{Status: client.StatusDown, StatusTimes: 3}); err != nil {
		t.Fatal(err)
	}
	refund := func(key string, amount *orderv1.Money) *orderv1.Order {
		return retried(w, w.orders.RefundOrder, &orderv1.RefundOrderRequest{OrderId: o.GetId(), IdempotencyKey: key, Amount: amount})
	}
	for range 2 {
		refund("part", &orderv1.Money{Minor: 500, Currency: "EUR"})
	}
	if got := w.awaitPayment(o.GetId(), partiallyRefunded); got.GetRefunded().GetMinor() != 500 {
		t.Fatalf("%v", got)
	}
	refund("rest", nil)
	if got := w.awaitPayment(o.GetId(), refunded); got.GetRefunded().GetMinor() != 1999 || got.GetDeliveryState() != delivered {
		t.Fatalf("%v", got)
	}
	if p := w.booked(a); p.Refunded.Minor != 1999 {
		t.Fatalf("%+v", p)
	}
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered, event.OrderRefunded, event.OrderRefunded)
}

// TestReservedMoneyFollowsTheOrder: an order whose money is only reserved is
// canceled, which frees the money; another's is captured by itself once
// everything is delivered.
func TestReservedMoneyFollowsTheOrder(t *testing.T) {
	w := start(t, setup{})
	w.bank("frees", nil)
	w.bank("captures", map[string]string{"deliver_on": "authorized", "capture_on": "delivered"})
	o := w.order(item("notepad", 1))
	a := w.startAt(o, "frees")
	w.payAtProvider(a, nil)
	w.awaitPayment(o.GetId(), authorized)
	w.untouched(o.GetId())
	for range 2 {
		if got := retried(w, w.orders.CancelOrder, &orderv1.CancelOrderRequest{OrderId: o.GetId()}); got.GetPaymentState() != canceled {
			t.Fatalf("%v", got)
		}
	}
	w.await(o.GetId(), "freed", func(o *orderv1.Order) bool {
		return len(o.GetOperations()) == 1 && o.GetOperations()[0].GetState() == orderv1.OperationState_OPERATION_STATE_CONFIRMED
	})
	if p := w.booked(a); p.Canceled.Minor != 1999 || p.Captured.Minor != 0 {
		t.Fatalf("%+v", p)
	}
	if _, err := w.orders.CapturePayment(t.Context(), &orderv1.CapturePaymentRequest{OrderId: o.GetId()}); fault.KindOf(err) != fault.KindConflict {
		t.Fatal(err)
	}

	o = w.order(item("notepad", 1))
	a = w.startAt(o, "captures")
	w.payAtProvider(a, nil)
	w.awaitDelivered(o.GetId())
	if p := w.booked(a); p.Captured.Minor != 1999 {
		t.Fatalf("%+v", p)
	}
}

// TestS12UnwantedMoneyGoesBackByItself, where the merchant wants that and the
// provider can: a second payment of a delivered order, and one that comes after
// the order was canceled.
func TestS12UnwantedMoneyGoesBackByItself(t *testing.T) {
	w := start(t, setup{})
	merchants := w.merchants()
	m, err := merchants.GetMerchant(t.Context(), &orderv1.GetMerchantRequest{MerchantId: standalone.DemoMerchant})
	if err != nil {
		t.Fatal(err)
	}
	m.RefundUnwanted = true
	if _, err := merchants.PutMerchant(t.Context(), &orderv1.PutMerchantRequest{Merchant: m}); err != nil {
		t.Fatal(err)
	}
	w.bank("takes", map[string]string{"automatic_capture": "true"})

	twice := w.order(item("notepad", 1))
	second := w.startAt(twice, "takes")
	w.payAtProvider(w.startCards(twice), nil)
	w.awaitDelivered(twice.GetId())
	w.payAtProvider(second, nil)
	late := w.order(item("notepad", 1))
	lateAttempt := w.startAt(late, "takes")
	retried(w, w.orders.CancelOrder, &orderv1.CancelOrderRequest{OrderId: late.GetId()})
	w.payAtProvider(lateAttempt, nil)

	for _, c := range []struct {
		order   string
		attempt *paymentv1.Attempt
		state   orderv1.PaymentState
	}{{twice.GetId(), second, paid}, {late.GetId(), lateAttempt, canceled}} {
		got := w.await(c.order, "rid of what it can't use", func(o *orderv1.Order) bool {
			ops := o.GetOperations()
			return o.GetPaymentState() == c.state && len(ops) == 1 && ops[0].GetState() == orderv1.OperationState_OPERATION_STATE_CONFIRMED
		})
		if p := w.booked(c.attempt); p.Captured.Minor != 1999 || p.Refunded.Minor != 1999 || got.GetRefunded().GetMinor() != 1999 {
			t.Fatalf("%+v, %v", p, got)
		}
	}
	if m := w.mails(); len(m) != 1 {
		t.Fatalf("%d licence mails", len(m))
	}
}
