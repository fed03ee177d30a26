package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"quittance/pkg/id"
	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// reads waits until the page says something.
func reads(ctx context.Context, t *testing.T, words string) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		within, cancel := context.WithTimeout(ctx, patience/9)
		defer cancel()
		text, err := chromedp.Run(within, chromedp.Text("body"))
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

// transferred confirms that the money of a transfer has come.
func (w *world) transferred(o *orderv1.Order, attempt string) {
	w.t.Helper()
	retried(w, w.payments.ConfirmOffline, &paymentv1.ConfirmOfflineRequest{
		IdempotencyKey: id.New("key"), AttemptId: attempt, Amount: o.GetTotal(), TransactionId: id.New("bank"),
	})
}

// homeless creates an order whose customer comes back to its own page.
func (w *world) homeless(items ...*orderv1.OrderItem) *orderv1.Order {
	w.t.Helper()
	return retried(w, w.orders.CreateOrder, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Items: items, Customer: &orderv1.Customer{Email: w.email, Name: "Ada"},
	})
}

// TestFromTheCheckoutLinkToTheLicence: link with a discount that isn't good,
// mistakes, a product removed, a look at the shop, another quantity, a discount,
// the details of a company, pay page, provider, order page with the keys, receipt,
// mail again.
func TestFromTheCheckoutLinkToTheLicence(t *testing.T) {
	w := start(t, setup{})
	w.everywhere(t, func(v *visitor) {
		v.opens(v.public + "/checkout/demo/notepad?discount=nope&add=backup&add=handbook&lang=en&reference=R-1&email=" + v.email +
			"&returnUrl=" + url.QueryEscape(v.shop+"/shop/"))
		v.reads("€77.99", "This discount code can't be used")
		v.clicks(`button[value="place"]`)
		v.reads("Please check the following", "Please choose how you want to pay", "Please agree to the terms")
		v.isTrue("the summary of mistakes has the focus", `document.activeElement.id == "errors"`)
		v.clicks(`#errors a[href="#consent"]`)
		v.isTrue("its link leads to the field", `document.activeElement.id == "consent"`)
		v.clicks(`button[value="remove:handbook"]`)
		v.reads("€68.99")
		v.clicks(`a[href^="` + v.shop + `"]`)
		v.arrives("/shop/")
		v.does("go back", chromedp.NavigateBack())
		v.reads("€68.99")
		v.fills(`input[name="q.notepad"]`, "3")
		v.fills("#discount", "bundle")
		v.clicks(`button[value="update"]`)
		v.reads("€87.18")
		v.clicks("summary")
		v.fills("#name", "Ada Lovelace")
		v.fills("#company", "Analytical Engines Ltd")
		v.fills("#vat_id", "GB123456789")
		v.fills("#address", "12 St James's Square\nLondon")
		v.clicks(`input[value^="demo-cards"]`)
		v.clicks("#consent")
		v.clicks(`button[value="place"]`)
		v.reads("Pay your order", "€87.18")
		o := v.only()
		if c := o.GetCustomer(); o.GetTotal().GetMinor() != 8718 || o.GetConsent().GetTermsVersion() == "" || o.GetConsent().GetTime() == nil ||
			o.GetDiscountCode() != "BUNDLE" || o.GetReference() != "R-1" || len(o.GetLines()) != 2 || c.GetVatId() != "GB123456789" {
			v.t.Fatalf("order %v", o)
		}
		v.paysByCard()
		v.arrives("fulfillmentStatus=success")
		v.awaitDelivered(o.GetId())
		v.opens(orderPage(o))
		v.reads("Your order is complete")
		v.readsKeys(o.GetId())
		mails := len(v.mails())
		v.clicks(`form[action*="/resend"] button`)
		v.reads("on its way again")
		testkit.Eventually(v.t, patience, func() error {
			if n := len(v.mails()); n <= mails {
				return fmt.Errorf("%d mails", n)
			}
			return nil
		})
		v.clicks(`a[href*="/receipt"]`)
		v.reads("Receipt", "Demo Software GmbH", "Analytical Engines Ltd", "GB123456789", "Credit card", "€87.18", o.GetPaidAttemptId())
	})
}

// TestTheOrderPageUpdatesItself: a page that waits shows the payment and the
// delivery when they are there; with script by events, without by reloading.
func TestTheOrderPageUpdatesItself(t *testing.T) {
	w := start(t, setup{})
	w.everywhere(t, func(v *visitor) {
		o := v.order(item("notepad", 1))
		v.opens(orderPage(o))
		v.reads("Waiting for your payment")
		do(v.ctx, v.test, "mark the page", chromedp.Evaluate[int](`window.marked = 1`))
		v.transferred(o, retried(v.world, v.payments.StartPayment, startOffline(o)).GetId())
		v.reads("Your order is complete")
		v.readsKeys(o.GetId())
		v.isTrue("the page is the same with script, and another without", fmt.Sprintf(`(window.marked == 1) == %t`, v.script))
	})
}

// TestS11FailedThenPaidInTheBrowser: the card is declined, with the reason on the
// pages; a transfer shows how to pay it, in German; another try with the card is
// warned of it, and pays.
func TestS11FailedThenPaidInTheBrowser(t *testing.T) {
	waits(t)
	w := start(t, setup{})
	w.everywhere(t, func(v *visitor) {
		o := v.homeless(item("notepad", 1))
		v.opens(o.GetPayUrl())
		v.toProvider()
		v.clicks(`button[value="decline"]`)
		v.reads("The last payment did not go through. You have not been charged for it.")
		v.await(o.GetId(), "failed", func(o *orderv1.Order) bool { return o.GetPaymentProblem() != "" })
		v.untouched(o.GetId())
		v.clicks("main a.button")
		v.reads("Pay your order", "The last payment did not go through. You have not been charged for it.")

		v.opens(o.GetPayUrl() + "?lang=de")
		v.reads("hat nicht geklappt")
		v.clicks(`input[value="demo-transfer"]`)
		v.clicks("main form button")
		v.reads("Verwendungszweck", "19,99", "XX00 0000 0000 0000", "drucken")
		v.clicks(`a[href*="/pay/"]`)
		v.reads("schon eine Zahlung begonnen")
		v.opens(o.GetPayUrl() + "?lang=en")
		v.reads("already been started")
		v.paysByCard()
		v.reads("Your order is complete")
		v.readsKeys(o.GetId())
	})
}

// TestS11CanceledInTheBrowser: a customer is refused an invoice, and reads the
// provider's reason; begins again and gives up on the provider's page, and reads
// that; nothing is lost, and they pay by card.
func TestS11CanceledInTheBrowser(t *testing.T) {
	waits(t)
	w := start(t, setup{})
	w.everywhere(t, func(v *visitor) {
		o := v.homeless(item("notepad", 1))
		byInvoice := func(action string) {
			v.opens(o.GetPayUrl())
			v.clicks(`input[value^="demo-invoice"]`)
			v.clicks("main form button")
			v.clicks(`button[value="` + action + `"]`)
		}
		byInvoice("decline")
		v.reads("The last payment did not go through. You have not been charged for it.", "credit denied")
		byInvoice("cancel")
		v.reads("You canceled the last payment. You can try again or choose another way to pay.")
		v.untouched(o.GetId())
		v.clicks("main a.button")
		v.reads("Pay your order", "You canceled the last payment.")
		v.paysByCard()
		v.reads("Your order is complete")
		v.readsKeys(o.GetId())
	})
}

// TestS9UnknownInTheBrowser: the provider tells nobody whether the customer has
// paid. The page says so and not that it is paid, until the answer is there.
func TestS9UnknownInTheBrowser(t *testing.T) {
	waits(t)
	w := start(t, setup{config: func(c *standalone.Config) { c.ReturnWait = 300 * time.Millisecond }})
	w.everywhere(t, func(v *visitor) {
		o := v.homeless(item("notepad", 1))
		a := v.startCards(o)
		v.opens(a.GetRedirect().GetUrl())
		v.does("the provider goes silent", chromedp.SetValue(`[name="fault.status"]`, string(client.StatusDown)))
		v.clicks(`button[value="pay"]`)
		v.reads("Waiting for your payment", "If you have just paid, the confirmation is on its way")
		v.untouched(o.GetId())
		if err := v.sandbox.SetFault(v.t.Context(), a.GetReference(), client.Faults{}); err != nil {
			v.t.Fatal(err)
		}
		retried(v.world, v.verifications.VerifyNow, &verificationv1.VerifyNowRequest{AttemptId: a.GetId()})
		v.reads("Your order is complete") // by itself
	})
}

// TestS6AndS16InTheBrowser: a typed return makes no page say "paid"; what is
// prepaid, or costs nothing, is never asked to be paid.
func TestS6AndS16InTheBrowser(t *testing.T) {
	w := start(t, setup{})
	retried(w, w.catalog.PutDiscount, &orderv1.PutDiscountRequest{Discount: &orderv1.Discount{Code: "GIFT", Percent: 100}})
	w.everywhere(t, func(v *visitor) {
		o := v.order(item("notepad", 1))
		a := v.startCards(o)
		v.opens(v.public + "/return/" + a.GetId() + "?" + url.Values{"paymentResult": {"OK"}, "fulfillmentStatus": {"success"}}.Encode())
		v.reads("unpaid")
		v.opens(orderPage(o) + "?fulfillmentStatus=success")
		v.reads("Waiting for your payment")
		v.untouched(o.GetId())

		prepaid := retried(v.world, v.orders.CreateOrder, &orderv1.CreateOrderRequest{
			IdempotencyKey: id.New("key"), Currency: "EUR", Prepaid: true, Items: []*orderv1.OrderItem{item("notepad", 1)},
			Customer: &orderv1.Customer{Email: v.email},
		})
		v.opens(prepaid.GetPayUrl())
		v.reads("Your order is complete")
		v.readsKeys(prepaid.GetId())

		v.opens(v.public + "/checkout/demo/notepad?lang=en&discount=gift&email=" + v.email)
		v.reads("Nothing to pay: your order is delivered at once.", "€0.00")
		v.readsNot("How would you like to pay?")
		v.clicks("#consent")
		v.clicks(`button[value="place"]`)
		v.reads("Your order is complete")
		v.arrives("/orders/")
	})
}

// TestLinksAndSessionsGoneWrong: what a customer meets who edits a signed link,
// has an old one, sends the form twice, or goes back.
func TestLinksAndSessionsGoneWrong(t *testing.T) {
	w := start(t, setup{})
	signed, err := w.payments.SignCheckoutLink(t.Context(), &paymentv1.SignCheckoutLinkRequest{ProductId: "backup", Quantity: 2, DiscountCode: "BUNDLE"})
	if err != nil {
		t.Fatal(err)
	}
	w.everywhere(t, func(v *visitor) {
		for old, replacement := range map[string]string{"quantity=2": "quantity=1", "discount=BUNDLE": "discount=", "/backup?": "/notepad?"} {
			if status := v.opensFor(strings.Replace(signed.GetUrl(), old, replacement, 1)); status != http.StatusBadRequest {
				v.t.Errorf("%s: %d", replacement, status)
			}
			v.reads("This link can't be used", "Please go back to the shop")
		}
		for path, says := range map[string]string{
			"/checkout/demo/unheard-of": "Page not found", "/checkout/nobody/notepad": "Page not found",
			"/buy/" + id.Token(): "This page is no longer available", "/pay/" + id.Token(): "Page not found", "/orders/" + id.Token(): "Page not found",
		} {
			if status := v.opensFor(v.public + path + "?lang=en"); status != http.StatusNotFound {
				v.t.Errorf("%s: %d", path, status)
			}
			v.reads(says)
		}
		v.opens(signed.GetUrl() + "&lang=en&email=" + v.email)
		v.reads("€78.40")
		v.isTrue("nothing but the customer's details can be changed", `!document.querySelector('[name^="q."], [value^="remove:"], #discount:not([readonly])')`)
		v.clicks(`input[value^="demo-cards"]`)
		v.clicks("#consent")
		v.does("place it twice", chromedp.DoubleClick(`button[value="place"]`))
		v.reads("Pay your order")
		if o := v.only(); o.GetTotal().GetMinor() != 7840 {
			v.t.Errorf("order %v", o)
		}
		v.does("go back", chromedp.NavigateBack()) // to the form that is sent, which leads on again
		v.reads("Pay your order", "€78.40")
		v.toProvider()
		v.does("go back", chromedp.NavigateBack())
		v.reads("Pay your order", "already been started")
		v.only()
	})
}

// TestS14PartlyDeliveredInTheBrowser: the page says that something was sent and
// something is missing, shows the keys that are there, and hides why.
func TestS14PartlyDeliveredInTheBrowser(t *testing.T) {
	w := start(t, setup{})
	w.everywhere(t, func(v *visitor) {
		o := retried(v.world, v.orders.CreateOrder, &orderv1.CreateOrderRequest{
			IdempotencyKey: id.New("key"), Currency: "EUR", Prepaid: true, Items: []*orderv1.OrderItem{item("notepad", 1), item("backup", 500)},
			Customer: &orderv1.Customer{Email: v.email},
		})
		why := v.await(o.GetId(), "partly delivered", func(o *orderv1.Order) bool {
			return o.GetDeliveryState() == orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED && o.GetDeliveryProblem() != ""
		}).GetDeliveryProblem()
		v.opens(orderPage(o))
		v.reads("not delivered yet", v.keys(o.GetId())[1][0])
		v.readsNot(why)
	})
}
