package callbackingest_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"quittance/pkg/event"
	"quittance/pkg/rpc"
	callbackv1 "quittance/proto/gen/go/quittance/callback/v1"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// kept is how many of the merchant's callbacks have their raw request.
func (w *world) kept() int {
	w.t.Helper()
	ctx := rpc.WithPrincipal(w.t.Context(), rpc.Principal{Role: rpc.RoleMerchant, Merchant: merchant})
	n := 0
	for _, c := range w.callbacks(merchant) {
		full, err := w.list.GetCallback(ctx, &callbackv1.GetCallbackRequest{CallbackId: c.GetId()})
		if err != nil {
			w.t.Fatal(err)
		}
		if full.GetRequest() != nil {
			n++
		}
	}
	return n
}

// TestErasedOrdersCallbacks: of an erased order no raw request is kept, neither of
// callbacks that came before nor of those that come later; the callbacks are.
func TestErasedOrdersCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		for _, sale := range []string{"1", "2", "3"} {
			w.wants(w.call(postback(sale)), http.StatusOK, "OK")
		}
		synctest.Wait()
		sent := w.bus.published(event.CallbackReceived)
		known := &eventv1.PaymentVerified{AttemptId: attempt, OrderId: "ord_1", CallbackIds: []string{sent[0].Subject}}
		w.answer(event.PaymentVerified, known)
		w.answer(event.CallbackAcknowledged, &eventv1.CallbackAcknowledged{AttemptId: attempt, OrderId: "ord_2", CallbackIds: []string{sent[2].Subject}})
		erased := &eventv1.OrderEvent{Order: &orderv1.Order{Id: "ord_1", MerchantId: merchant}}
		for i := range 2 {
			w.answer(event.CustomerErased, erased)
			if n := w.kept(); n != 2 { // another order's, and one that nobody has said whose it is
				t.Errorf("time %d: %d requests are kept", i, n)
			}
			acks := w.bus.published(event.ErasureAcknowledged)
			fact := &eventv1.ErasureAcknowledged{}
			if len(acks) != i+1 || acks[i].ID != acks[0].ID || acks[i].Decode(fact) != nil || fact.GetOrderId() != "ord_1" || fact.GetService() != "callback" {
				t.Fatalf("answered %v", acks)
			}
		}
		w.answer(event.CallbackAcknowledged, &eventv1.CallbackAcknowledged{AttemptId: attempt, OrderId: "ord_1", CallbackIds: []string{sent[1].Subject}})
		if n := w.kept(); n != 1 {
			t.Errorf("%d requests are kept after a late answer", n)
		}
		// The provider repeats one.
		w.wants(w.call(postback("1")), http.StatusOK, "OK")
		w.answer(event.PaymentVerified, known)
		if n := w.kept(); n != 1 || len(w.callbacks(merchant)) != 3 {
			t.Errorf("%d requests of %d callbacks are kept after a repeat", n, len(w.callbacks(merchant)))
		}
	})
}
