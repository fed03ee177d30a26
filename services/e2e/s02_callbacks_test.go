package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/testkit"
	callbackv1 "quittance/proto/gen/go/quittance/callback/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// TestS2CustomerNeverReturns: the callback alone is enough.
func TestS2CustomerNeverReturns(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	a := w.startCards(o)
	w.payAtProvider(a, map[string]string{"fault.skipRedirect": "on"})
	w.awaitDelivered(o.GetId())
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)
}

// TestS3CustomerReturnsBeforeTheCallback: the return makes us ask, but a card
// sale counts only with its acknowledged callback.
func TestS3CustomerReturnsBeforeTheCallback(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	visit := w.pay(o, client.Pay{Fields: map[string]string{"fault.delayMillis": "1500"}})
	if got := visit.FulfillmentStatus(); got != "success" {
		t.Fatalf("came back with %q", got)
	}
	w.awaitDelivered(o.GetId())
}

// TestS3TheCustomerIsToldUnknown: a callback later than we let customers wait.
func TestS3TheCustomerIsToldUnknown(t *testing.T) {
	w := start(t, setup{config: func(c *standalone.Config) { c.ReturnWait = 300 * time.Millisecond }})
	o := w.order(item("notepad", 1))
	visit := w.pay(o, client.Pay{Fields: map[string]string{"fault.delayMillis": "1500"}})
	if got := visit.FulfillmentStatus(); got != "unknown" {
		t.Fatalf("came back with %q", got)
	}
	w.untouched(o.GetId())
	w.awaitDelivered(o.GetId())
}

// TestS4CallbackNeverArrives: polling finds the sale, which counts after the
// refund window because the provider still has the money.
func TestS4CallbackNeverArrives(t *testing.T) {
	w := start(t, setup{
		config:  func(c *standalone.Config) { c.ReturnWait = 100 * time.Millisecond },
		seeding: func(s *standalone.Seeding) { s.RefundWindow = "2s" },
	})
	o := w.order(item("notepad", 1))
	a := w.startCards(o)
	w.payAtProvider(a, map[string]string{"fault.dropPostback": "on", "fault.noRefund": "on"})
	w.untouched(o.GetId())
	w.awaitDelivered(o.GetId())
}

// TestS4GivenBackForAMissingOK: no callback arrives, the provider gives the
// money back, nothing is delivered and the order says why.
func TestS4GivenBackForAMissingOK(t *testing.T) {
	waits(t)
	w := start(t, setup{
		config:  func(c *standalone.Config) { c.ReturnWait = 100 * time.Millisecond },
		seeding: func(s *standalone.Seeding) { s.RefundWindow = "20s" },
	})
	o := w.order(item("notepad", 1))
	a := w.startCards(o)
	w.payAtProvider(a, map[string]string{"fault.dropPostback": "on"})
	testkit.Eventually(t, patience, func() error {
		sale, err := w.sandbox.Sale(t.Context(), a.GetReference())
		if err == nil && sale.State != client.Refunded {
			err = fmt.Errorf("the provider has not given the money back: %s", sale.State)
		}
		return err
	})
	w.await(o.GetId(), "unpaid with a reason", func(o *orderv1.Order) bool {
		return o.GetPaymentState() == unpaid && o.GetPaymentProblem() != ""
	})
	w.untouched(o.GetId())
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentFailed)
}

// TestS5ForgedCallback: refused as the vendor's sample refuses, recorded,
// harmless.
func TestS5ForgedCallback(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	a := w.startCards(o)
	// The customer is on the provider's page; a forger is faster.
	browser, err := client.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := browser.Open(t.Context(), a.GetRedirect().GetUrl()); err != nil {
		t.Fatal(err)
	}
	report, err := w.sandbox.Postback(t.Context(), client.PostbackOrder{Reference: a.GetReference(), Forged: true, Times: 5})
	if err != nil {
		t.Fatal(err)
	}
	for _, try := range report.Attempts {
		if try.Status != http.StatusInternalServerError || try.Body != "ERROR - Invalid signature!" {
			t.Fatalf("a forged postback was answered %d %q", try.Status, try.Body)
		}
	}
	list, err := w.callbacks.ListCallbacks(t.Context(), &callbackv1.ListCallbacksRequest{})
	if err != nil || len(list.GetCallbacks()) == 0 || list.GetCallbacks()[0].GetAccepted() || list.GetCallbacks()[0].GetRefusal() == "" {
		t.Fatalf("not on record: %v %v", list, err)
	}
	w.untouched(o.GetId())
	w.payAtProvider(a, nil)
	w.awaitDelivered(o.GetId())
}

// TestS7TheSameCallbackAHundredTimes: all are acknowledged, one delivery.
func TestS7TheSameCallbackAHundredTimes(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("backup", 2))
	a := w.startCards(o)
	w.payAtProvider(a, map[string]string{"fault.copies": "100"})
	w.awaitDelivered(o.GetId())
	report, err := w.sandbox.Postback(t.Context(), client.PostbackOrder{Reference: a.GetReference(), Times: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, try := range report.Attempts {
		if try.Status != http.StatusOK || try.Body != "OK" {
			t.Fatalf("a repeat was answered %d %q %s", try.Status, try.Body, try.Error)
		}
	}
	keys := w.keys(o.GetId())
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)
	if len(keys[1]) != 2 || len(w.mails()) != 1 {
		t.Fatalf("%d keys, %d mails", len(keys[1]), len(w.mails()))
	}
	w.checkMails(keys)
	list, err := w.callbacks.ListCallbacks(t.Context(), &callbackv1.ListCallbacksRequest{})
	if err != nil || len(list.GetCallbacks()) != 1 {
		t.Fatalf("%d callbacks on record, %v", len(list.GetCallbacks()), err)
	}
}
