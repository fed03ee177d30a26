package e2e

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/standalone"
)

// TestS12PaidTwiceInTheBrowser: somebody has two windows, goes to pay in one, is
// told in the other, and pays both all the same. They get their licence once, and
// the order page says nothing else after the second payment.
func TestS12PaidTwiceInTheBrowser(t *testing.T) {
	w := start(t, setup{})
	w.everywhere(t, func(v *visitor) {
		o := v.order(item("notepad", 1))
		other := v.tab()
		v.opens(o.GetPayUrl())
		other.opens(o.GetPayUrl())
		first := v.toProvider()
		other.clicks(`input[value^="demo-cards"]`)
		other.clicks("main form button")
		other.reads("Another window has started to pay this order", "already been started")
		if second := other.toProvider(); second == first {
			v.t.Fatalf("both at %s", first)
		}
		other.clicks(`button[value="pay"]`)
		paidBy := v.awaitDelivered(o.GetId()).GetPaidAttemptId()

		v.clicks(`button[value="pay"]`)
		got := v.await(o.GetId(), "with money to give back", func(o *orderv1.Order) bool { return len(o.GetOperations()) == 1 })
		if op := v.byHand(o.GetId(), got.GetOperations()[0].GetAttemptId()); op.GetAttemptId() == paidBy ||
			op.GetCause() != orderv1.OperationCause_OPERATION_CAUSE_DUPLICATE || op.GetAmount().GetMinor() != 1999 {
			v.t.Fatalf("%v", op)
		}
		for _, page := range []string{orderPage(o), o.GetPayUrl()} {
			v.opens(page)
			v.reads("Your order is complete")
		}
		v.readsKeys(o.GetId())
		if keys := v.keys(o.GetId())[1]; len(keys) != 1 || len(v.mails()) != 1 {
			v.t.Fatalf("%d keys, %d mails", len(keys), len(v.mails()))
		}
	})
}

func orderPage(o *orderv1.Order) string {
	return strings.Replace(o.GetPayUrl(), "/pay/", "/orders/", 1)
}

// TestS17AnonymousPurchaseInTheBrowser: bought by a link without an account, with
// the keyboard alone; what the shop connects with it afterwards changes nothing
// that the customer sees.
func TestS17AnonymousPurchaseInTheBrowser(t *testing.T) {
	w := start(t, setup{})
	w.everywhere(t, func(v *visitor) {
		v.opens(v.public + "/checkout/demo/notepad?lang=en")
		v.presses(kb.Tab)
		v.isTrue("the first stop leads to the content", `document.activeElement.className == "skip"`)
		v.presses(kb.Enter)
		v.tabsTo("#email")
		v.presses(v.email)
		v.tabsTo(`input[value^="demo-cards"]`)
		v.presses(" ")
		v.tabsTo("#consent")
		v.presses(" ")
		v.tabsTo(`button[value="place"]`)
		v.presses(kb.Enter)
		v.reads("Pay your order")
		o := v.only()
		v.tabsTo("main form button")
		v.presses(kb.Enter)
		v.sees(`button[value="pay"]`)
		v.tabsTo(`button[value="pay"]`)
		v.presses(kb.Enter)
		if bought := v.awaitDelivered(o.GetId()); bought.GetUserId() != "" || bought.GetCustomerId() != "" {
			v.t.Fatalf("%v", bought)
		}
		v.reads("Your order is complete")
		v.readsKeys(o.GetId())
		assigned := retried(v.world, v.orders.AssignUser, &orderv1.AssignUserRequest{
			OrderId: o.GetId(), Credential: &orderv1.AssignUserRequest_Email{Email: v.email},
		})
		v.does("reload", chromedp.Reload())
		v.reads("Your order is complete")
		v.readsKeys(o.GetId())
		v.readsNot(assigned.GetCustomerId())
		if got := v.awaitDelivered(o.GetId()); got.GetCustomerId() != assigned.GetCustomerId() || len(v.mails()) != 1 {
			v.t.Fatalf("%v, %d mails", got, len(v.mails()))
		}
	})
}

// presses types on the keyboard.
func (v *visitor) presses(keys string) {
	v.t.Helper()
	v.does("press "+keys, chromedp.KeyEvent(keys))
}

// tabsTo presses Tab until something has the focus, and shows that it has.
func (v *visitor) tabsTo(selector string) {
	v.t.Helper()
	for range 40 {
		v.presses(kb.Tab)
		if do(v.ctx, v.test, "look for the focus", chromedp.Evaluate[bool](fmt.Sprintf("document.activeElement.matches(%q)", selector))) {
			v.isTrue("the focus is seen at "+selector, `(e => [e, e.closest("label")].some(e => e && parseFloat(getComputedStyle(e).outlineWidth) >= 2 && getComputedStyle(e).outlineStyle != "none"))(document.activeElement)`)
			return
		}
	}
	v.t.Fatalf("no way to %s by the keyboard", selector)
}

// TestS15ExpiryAndLatePaymentInTheBrowser: the clock of all services goes on by
// 91 days. The pages say that the order, and the session of a checkout, are over;
// who pays all the same, on a page of the provider that was left open, sees it
// looked at, not delivered; the shop accepts it, and it is complete.
func TestS15ExpiryAndLatePaymentInTheBrowser(t *testing.T) {
	var ahead atomic.Int64
	w := start(t, setup{
		config:  func(c *standalone.Config) { c.ReturnWait = 300 * time.Millisecond },
		options: standalone.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }},
	})
	all := w.visitors(t)
	order, started, checkout := map[*visitor]*orderv1.Order{}, map[*visitor]*paymentv1.Attempt{}, map[*visitor]*visitor{}
	for _, v := range all {
		v.test = t
		order[v], checkout[v] = v.order(item("notepad", 1)), v.tab()
		started[v] = v.startCards(order[v])
	}
	together(t, all, "before it expires on a", func(v *visitor) {
		v.opens(orderPage(order[v]))
		v.reads("Waiting for your payment")
		checkout[v].opens(v.public + "/checkout/demo/notepad?lang=en&email=" + v.email)
		checkout[v].clicks("#consent")
	})
	ahead.Store(int64(91 * 24 * time.Hour))
	together(t, all, "91 days later on a", func(v *visitor) {
		o := order[v]
		v.await(o.GetId(), "expired", func(o *orderv1.Order) bool {
			return o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_EXPIRED
		})
		v.reads("Order expired") // by itself
		v.opens(o.GetPayUrl())
		v.reads("not paid in time")
		v.untouched(o.GetId())
		checkout[v].clicks(`button[value="place"]`)
		checkout[v].reads("This page is no longer available", "Please start again from the shop")
		v.only()

		v.payAtProvider(started[v], map[string]string{"fault.skipRedirect": "on"})
		v.await(o.GetId(), "on hold", func(o *orderv1.Order) bool {
			return o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD
		})
		v.opens(orderPage(o))
		v.reads("Your payment is being checked")
		v.untouched(o.GetId())
		retried(v.world, v.orders.ResolveHold, &orderv1.ResolveHoldRequest{OrderId: o.GetId(), Decision: orderv1.HoldDecision_HOLD_DECISION_ACCEPT})
		v.awaitDelivered(o.GetId())
		if !v.script { // the page of an old order reloads itself now and then only
			v.does("reload", chromedp.Reload())
		}
		v.reads("Your order is complete")
		if len(v.mails()) != 1 {
			v.t.Fatalf("%d mails", len(v.mails()))
		}
	})
}

// TestStrangeNamesInTheBrowser: names from right to left, of pictures, or longer
// than any screen are shown as they are on every page, which stays as wide as its
// screen, and in the mail.
func TestStrangeNamesInTheBrowser(t *testing.T) {
	w := start(t, setup{})
	names := map[string]string{
		"rtl":   "محرر النصوص 🎉 (Pro) – עורך טקסט",
		"long":  strings.Repeat("Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz", 3),
		"emoji": strings.Repeat("👩🏽‍🚀🏳️‍🌈", 12),
	}
	for product, name := range names {
		retried(w, w.catalog.PutProduct, &orderv1.PutProductRequest{Product: &orderv1.Product{
			Id: product, Name: name, Prices: []*orderv1.Money{{Minor: 123_456_789, Currency: "EUR"}}, DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_MAIL,
		}})
	}
	w.everywhere(t, func(v *visitor) {
		customer := "د. عائشة " + strings.Repeat("W", 60) + " 👩🏽‍🚀"
		look := func(page string, shown ...string) {
			v.t.Helper()
			for _, name := range names {
				v.reads(name)
			}
			v.reads(shown...)
			inspect(v.ctx, v.test, v.world, "strange-"+page+"-"+strings.ReplaceAll(v.name, " ", "-"))
		}
		v.opens(v.public + "/checkout/demo/rtl?lang=en&add=long:3&add=emoji&email=" + v.email)
		v.fills("#name", customer)
		v.clicks("summary")
		v.fills("#company", strings.Repeat("長", 100))
		v.fills("#address", strings.Repeat("ﷺ", 100)+"\nبيروت")
		v.clicks(`input[value="demo-transfer"]`)
		look("checkout")
		v.clicks("#consent")
		v.clicks(`button[value="place"]`)
		v.reads("Pay your order")
		look("pay", "€6,172,839.45")
		v.clicks("main form button")
		v.reads("How to pay")
		look("how")
		o := v.only()
		if o.GetCustomer().GetName() != customer {
			v.t.Errorf("%q became %q", customer, o.GetCustomer().GetName())
		}
		v.opens(orderPage(o))
		look("order")
		v.opens(orderPage(o) + "/receipt")
		look("receipt", customer, strings.Repeat("長", 100), "بيروت")
		mail := v.awaitLetters(instructions, 1)[0]
		says(v.test, mail, customer)
		for _, name := range names {
			says(v.test, mail, name)
		}
	})
}
