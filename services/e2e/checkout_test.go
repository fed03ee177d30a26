package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"quittance/pkg/id"
	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// reads waits until the page says something.
func reads(ctx context.Context, t *testing.T, words string) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		text, err := chromedp.Run(ctx, chromedp.Text("body"))
		if err == nil && !strings.Contains(text, words) {
			err = fmt.Errorf("no %q in %s", words, text)
		}
		return err
	})
}

// only is the one order that the customer has.
func (w *world) only() *orderv1.Order {
	w.t.Helper()
	list := retried(w, w.orders.ListOrders, &orderv1.ListOrdersRequest{PageSize: 200})
	all := slices.DeleteFunc(list.GetOrders(), func(o *orderv1.Order) bool { return o.GetCustomer().GetEmail() != w.email })
	if len(all) != 1 {
		w.t.Fatalf("%d orders of %s: %v", len(all), w.email, all)
	}
	return all[0]
}

// TestFromTheCheckoutLinkToTheLicence: link, checkout page with a mistake, a
// change of quantity and a discount, pay page, provider, order page with the
// keys, receipt, mail again. On a phone with script and on a desktop without.
func TestFromTheCheckoutLinkToTheLicence(t *testing.T) {
	for _, with := range []struct {
		screen
		script bool
	}{{screens[0], true}, {screens[3], false}} {
		t.Run(with.device, func(t *testing.T) {
			ctx := browserFor(t, 4*patience)
			w := start(t, setup{})
			with.on(ctx, t)
			script(ctx, t, with.script)
			link := w.public + "/checkout/demo/notepad?discount=bundle&add=backup&lang=en&email=" + w.email
			do(ctx, t, "open the link", chromedp.Navigate(link))
			reads(ctx, t, "€55.20")
			do(ctx, t, "place it at once", chromedp.Click(`button[value="place"]`))
			reads(ctx, t, "Please check the following")
			do(ctx, t, "three", chromedp.SetValue(`input[name="q.notepad"]`, "3"))
			do(ctx, t, "update", chromedp.Click(`button[value="update"]`))
			reads(ctx, t, "€87.18")
			do(ctx, t, "cards", chromedp.Click(`input[value^="demo-cards"]`))
			do(ctx, t, "agree", chromedp.Click(`#consent`))
			do(ctx, t, "place it", chromedp.Click(`button[value="place"]`))
			reads(ctx, t, "Pay your order")
			o := w.only()
			if o.GetTotal().GetMinor() != 8718 || o.GetConsent().GetTermsVersion() == "" || o.GetDiscountCode() != "BUNDLE" {
				t.Fatalf("order %v", o)
			}
			do(ctx, t, "continue", chromedp.Click(`form button`))
			do(ctx, t, "see the provider", chromedp.WaitVisible(`button[value="pay"]`))
			do(ctx, t, "pay", chromedp.Click(`button[value="pay"]`))
			w.awaitDelivered(o.GetId())
			reads(ctx, t, "Your order is complete")
			for _, keys := range w.keys(o.GetId()) {
				for _, key := range keys {
					reads(ctx, t, key)
				}
			}
			mails := len(w.mails())
			do(ctx, t, "mail again", chromedp.Click(`form[action*="/resend"] button`))
			reads(ctx, t, "on its way again")
			testkit.Eventually(t, patience, func() error {
				if n := len(w.mails()); n <= mails {
					return fmt.Errorf("%d mails", n)
				}
				return nil
			})
			do(ctx, t, "receipt", chromedp.Click(`a[href*="/receipt"]`))
			reads(ctx, t, "Receipt")
			reads(ctx, t, "Demo Software GmbH")
		})
	}
}

// TestTheOrderPageUpdatesItself: a page that waits shows the payment and the
// delivery when they are there, with script by events, without by reloading.
func TestTheOrderPageUpdatesItself(t *testing.T) {
	for name, on := range map[string]bool{"script": true, "no script": false} {
		t.Run(name, func(t *testing.T) {
			ctx := browserFor(t, 4*patience)
			w := start(t, setup{})
			o := w.order(item("notepad", 1))
			script(ctx, t, on)
			do(ctx, t, "watch", chromedp.Navigate(strings.Replace(o.GetPayUrl(), "/pay/", "/orders/", 1)))
			reads(ctx, t, "Waiting for your payment")
			a := retried(w, w.payments.StartPayment, startOffline(o))
			if _, err := w.payments.ConfirmOffline(t.Context(), &paymentv1.ConfirmOfflineRequest{
				IdempotencyKey: id.New("key"), AttemptId: a.GetId(), Amount: o.GetTotal(), TransactionId: id.New("bank"),
			}); err != nil {
				t.Fatal(err)
			}
			reads(ctx, t, "Your order is complete")
			reads(ctx, t, w.keys(o.GetId())[1][0])
		})
	}
}

// TestS11FailedThenPaidInTheBrowser: the pay page says that it failed, takes
// another method, shows how to pay by it, and warns whoever begins again.
func TestS11FailedThenPaidInTheBrowser(t *testing.T) {
	ctx := browserFor(t, 4*patience)
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	script(ctx, t, false)
	do(ctx, t, "pay page", chromedp.Navigate(o.GetPayUrl()))
	do(ctx, t, "cards", chromedp.Click(`input[value^="demo-cards"]`))
	do(ctx, t, "continue", chromedp.Click(`form button`))
	do(ctx, t, "see the provider", chromedp.WaitVisible(`button[value="decline"]`))
	do(ctx, t, "decline", chromedp.Click(`button[value="decline"]`))
	testkit.Eventually(t, patience, func() error {
		at, err := chromedp.Run(ctx, chromedp.Location())
		if err == nil && !strings.Contains(at, "fulfillmentStatus=") {
			err = fmt.Errorf("at %s", at)
		}
		return err
	})
	w.untouched(o.GetId())
	do(ctx, t, "pay page again", chromedp.Navigate(o.GetPayUrl()+"?lang=de"))
	reads(ctx, t, "hat nicht geklappt")
	do(ctx, t, "transfer", chromedp.Click(`input[value="demo-transfer"]`))
	do(ctx, t, "continue", chromedp.Click(`form button`))
	reads(ctx, t, "Verwendungszweck")
	reads(ctx, t, "19,99")
	do(ctx, t, "back to paying", chromedp.Navigate(o.GetPayUrl()+"?lang=en"))
	reads(ctx, t, "already been started")
}

// TestS6AndS16InTheBrowser: a typed return makes no page say "paid"; what is
// prepaid is never asked to be paid.
func TestS6AndS16InTheBrowser(t *testing.T) {
	ctx := browserFor(t, 4*patience)
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	a := w.startCards(o)
	do(ctx, t, "typed return", chromedp.Navigate(w.public+"/return/"+a.GetId()+"?"+url.Values{"paymentResult": {"OK"}, "fulfillmentStatus": {"success"}}.Encode()))
	reads(ctx, t, "unpaid")
	do(ctx, t, "order page", chromedp.Navigate(strings.Replace(o.GetPayUrl(), "/pay/", "/orders/", 1)))
	reads(ctx, t, "Waiting for your payment")
	w.untouched(o.GetId())

	prepaid := retried(w, w.orders.CreateOrder, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Prepaid: true, Items: []*orderv1.OrderItem{item("notepad", 1)},
		Customer: &orderv1.Customer{Email: w.email},
	})
	do(ctx, t, "pay page of a prepaid order", chromedp.Navigate(prepaid.GetPayUrl()))
	reads(ctx, t, "Your order is complete")
}

// TestLinksAndSessionsGoneWrong: what a customer meets who edits, doubles or
// forges, without a browser.
func TestLinksAndSessionsGoneWrong(t *testing.T) {
	w := start(t, setup{})
	signed, err := w.payments.SignCheckoutLink(t.Context(), &paymentv1.SignCheckoutLinkRequest{ProductId: "backup", Quantity: 2, DiscountCode: "BUNDLE"})
	if err != nil {
		t.Fatal(err)
	}
	browser, err := client.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	open := func(link string) *client.Page {
		t.Helper()
		page, err := browser.Open(t.Context(), link)
		if err != nil {
			t.Fatal(err)
		}
		return page
	}
	page := open(signed.GetUrl())
	if page.Status != http.StatusOK || !strings.Contains(page.Body, "€78.40") || strings.Contains(page.Body, `name="q.`) {
		t.Fatalf("%d\n%s", page.Status, page.Body)
	}
	for old, replacement := range map[string]string{"quantity=2": "quantity=1", "discount=BUNDLE": "discount=", "/backup?": "/notepad?"} {
		if edited := open(strings.Replace(signed.GetUrl(), old, replacement, 1)); edited.Status != http.StatusBadRequest {
			t.Errorf("%s: %d", replacement, edited.Status)
		}
	}
	form := page.Forms[0]
	form.Fields.Set("email", w.email)
	form.Fields.Set("consent", "yes")
	form.Fields.Set("method", standalone.DemoAccount)
	for range 3 {
		paying, err := browser.Submit(t.Context(), form, client.Button{Name: "do", Value: "place"})
		if err != nil || !strings.Contains(paying.URL.Path, "/pay/") {
			t.Fatalf("%v at %v", err, paying)
		}
	}
	if o := w.only(); o.GetTotal().GetMinor() != 7840 {
		t.Errorf("order %v", o)
	}
}

// TestS14PartlyDeliveredInTheBrowser: the page says that something was sent and
// something is missing, shows the keys that are there, and hides why.
func TestS14PartlyDeliveredInTheBrowser(t *testing.T) {
	ctx := browserFor(t, 4*patience)
	w := start(t, setup{})
	o := retried(w, w.orders.CreateOrder, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Prepaid: true, Items: []*orderv1.OrderItem{item("notepad", 1), item("backup", 500)},
		Customer: &orderv1.Customer{Email: w.email},
	})
	w.await(o.GetId(), "partly delivered", func(o *orderv1.Order) bool {
		return o.GetDeliveryState() == orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED && o.GetDeliveryProblem() != ""
	})
	do(ctx, t, "order page", chromedp.Navigate(strings.Replace(o.GetPayUrl(), "/pay/", "/orders/", 1)))
	reads(ctx, t, "not delivered yet")
	reads(ctx, t, w.keys(o.GetId())[1][0])
}
