package e2e

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/standalone"
)

// TestS12PaidTwiceInTheBrowser: somebody goes to pay, is told when beginning
// again, and pays both all the same. They get their licence once, and the order
// page says nothing else after the second payment.
func TestS12PaidTwiceInTheBrowser(t *testing.T) {
	ctx := browserFor(t, 4*patience)
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	toProvider := func() (at string) {
		do(ctx, t, "cards", chromedp.Click(`input[value^="demo-cards"]`))
		do(ctx, t, "continue", chromedp.Click(`form button`))
		do(ctx, t, "see the provider", chromedp.WaitVisible(`button[value="pay"]`))
		return do(ctx, t, "where", chromedp.Location())
	}
	do(ctx, t, "pay page", chromedp.Navigate(o.GetPayUrl()))
	first := toProvider()
	do(ctx, t, "pay page again", chromedp.Navigate(o.GetPayUrl()))
	reads(ctx, t, "already been started")
	if second := toProvider(); second == first {
		t.Fatalf("both at %s", first)
	}
	do(ctx, t, "pay", chromedp.Click(`button[value="pay"]`))
	paidBy := w.awaitDelivered(o.GetId()).GetPaidAttemptId()

	do(ctx, t, "the first again", chromedp.Navigate(first))
	do(ctx, t, "see it", chromedp.WaitVisible(`button[value="pay"]`))
	do(ctx, t, "pay a second time", chromedp.Click(`button[value="pay"]`))
	got := w.await(o.GetId(), "with money to give back", func(o *orderv1.Order) bool { return len(o.GetOperations()) == 1 })
	if op := w.byHand(o.GetId(), got.GetOperations()[0].GetAttemptId()); op.GetAttemptId() == paidBy ||
		op.GetCause() != orderv1.OperationCause_OPERATION_CAUSE_DUPLICATE || op.GetAmount().GetMinor() != 1999 {
		t.Fatalf("%v", op)
	}
	do(ctx, t, "order page", chromedp.Navigate(orderPage(o)))
	reads(ctx, t, "Your order is complete")
	keys := w.keys(o.GetId())[1]
	if len(keys) != 1 || len(w.mails()) != 1 {
		t.Fatalf("%d keys, %d mails", len(keys), len(w.mails()))
	}
	reads(ctx, t, keys[0])
	do(ctx, t, "pay page once more", chromedp.Navigate(o.GetPayUrl()))
	reads(ctx, t, "Your order is complete")
}

func orderPage(o *orderv1.Order) string {
	return strings.Replace(o.GetPayUrl(), "/pay/", "/orders/", 1)
}

// TestS17AnonymousPurchaseInTheBrowser: bought by a link without an account;
// what the shop connects with it afterwards changes nothing that the customer
// sees.
func TestS17AnonymousPurchaseInTheBrowser(t *testing.T) {
	ctx := browserFor(t, 4*patience)
	w := start(t, setup{})
	do(ctx, t, "open the link", chromedp.Navigate(w.public+"/checkout/demo/notepad?lang=en"))
	do(ctx, t, "address", chromedp.SetValue(`#email`, w.email))
	do(ctx, t, "cards", chromedp.Click(`input[value^="demo-cards"]`))
	do(ctx, t, "agree", chromedp.Click(`#consent`))
	do(ctx, t, "place it", chromedp.Click(`button[value="place"]`))
	reads(ctx, t, "Pay your order")
	o := w.only()
	do(ctx, t, "continue", chromedp.Click(`form button`))
	do(ctx, t, "see the provider", chromedp.WaitVisible(`button[value="pay"]`))
	do(ctx, t, "pay", chromedp.Click(`button[value="pay"]`))
	if bought := w.awaitDelivered(o.GetId()); bought.GetUserId() != "" || bought.GetCustomerId() != "" {
		t.Fatalf("%v", bought)
	}
	reads(ctx, t, "Your order is complete")
	key := w.keys(o.GetId())[1][0]
	reads(ctx, t, key)
	assigned := retried(w, w.orders.AssignUser, &orderv1.AssignUserRequest{
		OrderId: o.GetId(), Credential: &orderv1.AssignUserRequest_Email{Email: w.email},
	})
	do(ctx, t, "reload", chromedp.Reload())
	reads(ctx, t, "Your order is complete")
	reads(ctx, t, key)
	if text := do(ctx, t, "read all", chromedp.Text("body")); strings.Contains(text, assigned.GetCustomerId()) {
		t.Errorf("the page shows whose order it is: %s", text)
	}
	if got := w.awaitDelivered(o.GetId()); got.GetCustomerId() != assigned.GetCustomerId() || len(w.mails()) != 1 {
		t.Fatalf("%v, %d mails", got, len(w.mails()))
	}
}

// TestS15ExpiryAndLatePaymentInTheBrowser: the clock of all services goes on by
// 91 days. The pages say that the order is over; who pays all the same, on a
// page of the provider that was left open, sees it looked at, not delivered; the
// shop accepts it, and it is complete.
func TestS15ExpiryAndLatePaymentInTheBrowser(t *testing.T) {
	var ahead atomic.Int64
	ctx := browserFor(t, 4*patience)
	w := start(t, setup{
		config:  func(c *standalone.Config) { c.ReturnWait = 300 * time.Millisecond },
		options: standalone.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }},
	})
	o := w.order(item("notepad", 1))
	a := w.startCards(o)
	do(ctx, t, "order page", chromedp.Navigate(orderPage(o)))
	reads(ctx, t, "Waiting for your payment")
	ahead.Store(int64(91 * 24 * time.Hour))
	w.await(o.GetId(), "expired", func(o *orderv1.Order) bool {
		return o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_EXPIRED
	})
	reads(ctx, t, "Order expired") // by itself
	do(ctx, t, "pay page", chromedp.Navigate(o.GetPayUrl()))
	reads(ctx, t, "not paid in time")
	w.untouched(o.GetId())

	w.payAtProvider(a, map[string]string{"fault.skipRedirect": "on"})
	w.await(o.GetId(), "on hold", func(o *orderv1.Order) bool {
		return o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD
	})
	do(ctx, t, "order page", chromedp.Navigate(orderPage(o)))
	reads(ctx, t, "Your payment is being checked")
	w.untouched(o.GetId())
	retried(w, w.orders.ResolveHold, &orderv1.ResolveHoldRequest{OrderId: o.GetId(), Decision: orderv1.HoldDecision_HOLD_DECISION_ACCEPT})
	w.awaitDelivered(o.GetId())
	reads(ctx, t, "Your order is complete")
	if len(w.mails()) != 1 {
		t.Fatalf("%d mails", len(w.mails()))
	}
}
