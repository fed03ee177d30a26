package e2e

import (
	"fmt"
	"strings"
	"testing"

	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// TestS1CardsSeveralProducts: the happy path by FlexPay, three products of two
// kinds, quantities above one.
func TestS1CardsSeveralProducts(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 2), item("backup", 3), item("handbook", 1))
	if o.GetTotal().GetMinor() != 2*1999+3*4900+900 {
		t.Fatalf("total %v", o.GetTotal())
	}
	visit := w.pay(o, client.Pay{})
	back := visit.Last.URL.Query()
	if visit.FulfillmentStatus() != "success" || back.Get("orderId") != o.GetId() || back.Get("shop") != "kept" {
		t.Fatalf("came back to %s", visit.Last.URL)
	}
	o = w.awaitDelivered(o.GetId())
	if o.GetCaptured().GetMinor() != o.GetTotal().GetMinor() {
		t.Fatalf("captured %v of %v", o.GetCaptured(), o.GetTotal())
	}
	keys := w.keys(o.GetId())
	if len(keys[1]) != 2 || len(keys[2]) != 3 || len(keys[3]) != 0 {
		t.Fatalf("keys %v", keys)
	}
	w.checkMails(keys)
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded,
		event.ProductDelivered, event.ProductDelivered, event.ProductDelivered, event.OrderDelivered)
	sale, err := w.sandbox.Sale(t.Context(), o.GetPaidAttemptId())
	if err != nil || sale.State != client.Approved || sale.Captured.Minor != o.GetTotal().GetMinor() || !sale.Acknowledged {
		t.Fatalf("the provider's book: %+v %v", sale, err)
	}
}

// checkMails asserts that each key is in exactly one mail, and a mail per line.
func (w *world) checkMails(keys map[int32][]string) {
	w.t.Helper()
	testkit.Eventually(w.t, patience, func() error {
		if n := len(w.mails()); n < len(keys) {
			return fmt.Errorf("%d mails for %d lines", n, len(keys))
		}
		return nil
	})
	mails := w.mails()
	if len(mails) != len(keys) {
		w.t.Fatalf("%d mails for %d lines", len(mails), len(keys))
	}
	for _, ks := range keys {
		for _, k := range ks {
			in := 0
			for _, m := range mails {
				in += strings.Count(m.Text, k)
			}
			if in != 1 {
				w.t.Fatalf("a key is in %d mails", in)
			}
		}
	}
}

// TestS1Offline: a bank transfer is paid when the merchant says that exactly
// this money has arrived, and a transfer pays once.
func TestS1Offline(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	visit := w.pay(o, client.Pay{Method: standalone.DemoOffline})
	if visit.Ordered || !strings.Contains(visit.Last.Body, "XX00 0000 0000 0000") {
		t.Fatalf("no instructions at %s", visit.Last.URL)
	}
	a, err := w.payments.StartPayment(t.Context(), &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.New("key"), OrderId: o.GetId(), AccountId: standalone.DemoOffline,
	})
	if err != nil {
		t.Fatal(err)
	}
	if a.GetInstructions() == "" || !strings.Contains(a.GetInstructions(), a.GetReference()) {
		t.Fatalf("instructions %q", a.GetInstructions())
	}
	w.untouched(o.GetId())
	if _, err := w.payments.ConfirmOffline(t.Context(), &paymentv1.ConfirmOfflineRequest{
		IdempotencyKey: id.New("key"), AttemptId: a.GetId(), Amount: &orderv1.Money{Minor: 1999, Currency: "EUR"}, TransactionId: "bank-1",
	}); err != nil {
		t.Fatal(err)
	}
	w.awaitDelivered(o.GetId())

	again := w.order(item("notepad", 1))
	b, err := w.payments.StartPayment(t.Context(), &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.New("key"), OrderId: again.GetId(), AccountId: standalone.DemoOffline,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.payments.ConfirmOffline(t.Context(), &paymentv1.ConfirmOfflineRequest{
		IdempotencyKey: id.New("key"), AttemptId: b.GetId(), Amount: &orderv1.Money{Minor: 1999, Currency: "EUR"}, TransactionId: "bank-1",
	}); err != nil {
		t.Fatal(err)
	}
	held := w.await(again.GetId(), "on hold", func(o *orderv1.Order) bool {
		return o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD
	})
	if held.GetHold().GetReason() != orderv1.HoldReason_HOLD_REASON_MISMATCH {
		t.Fatalf("%v", held.GetHold())
	}
}
