package e2e

import (
	"testing"
	"time"

	"quittance/pkg/id"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// TestS9StatusAPIDown: the customer pays and comes back while the provider's
// status API answers nobody. They are told "unknown", nothing is delivered, and
// when the API is back the order completes by itself.
func TestS9StatusAPIDown(t *testing.T) {
	w := start(t, setup{config: func(c *standalone.Config) { c.ReturnWait = 300 * time.Millisecond }})
	for _, fault := range []string{string(client.StatusDown), string(client.StatusError), string(client.StatusGarbage)} {
		o := w.order(item("notepad", 1))
		a := w.startCards(o)
		visit := w.payAtProvider(a, map[string]string{"fault.status": fault})
		if got := visit.FulfillmentStatus(); got != "unknown" {
			t.Fatalf("%s: came back with %q", fault, got)
		}
		w.await(o.GetId(), "still open", func(o *orderv1.Order) bool { return o.GetPaymentState() == unpaid })
		v := retried(w, w.verifications.GetVerification, &verificationv1.GetVerificationRequest{AttemptId: a.GetId()})
		if v.GetProblem() == "" || v.GetNextAskTime() == nil || v.GetFinal() {
			t.Fatalf("%s: %v", fault, v)
		}
		if err := w.sandbox.SetFault(t.Context(), a.GetReference(), client.Faults{}); err != nil {
			t.Fatal(err)
		}
		// Asked again by itself before long; the operator may hurry it.
		retried(w, w.verifications.VerifyNow, &verificationv1.VerifyNowRequest{AttemptId: a.GetId()})
		w.awaitDelivered(o.GetId())
	}
}

// TestS11FailedThenPaidByAnotherMethod: the card is declined, the order stays
// open and says why, and a bank transfer pays it.
func TestS11FailedThenPaidByAnotherMethod(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	w.pay(o, client.Pay{Action: "decline"})
	w.await(o.GetId(), "unpaid with a reason", func(o *orderv1.Order) bool {
		return o.GetPaymentState() == unpaid && o.GetPaymentProblem() != ""
	})
	w.untouched(o.GetId())
	a := retried(w, w.payments.StartPayment, &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.New("key"), OrderId: o.GetId(), AccountId: standalone.DemoOffline,
	})
	retried(w, w.payments.ConfirmOffline, &paymentv1.ConfirmOfflineRequest{
		IdempotencyKey: id.New("key"), AttemptId: a.GetId(), Amount: o.GetTotal(), TransactionId: "bank-11",
	})
	got := w.awaitDelivered(o.GetId())
	if got.GetPaymentProblem() != "" || len(w.keys(o.GetId())[1]) != 1 {
		t.Fatalf("%v", got)
	}
}
