package e2e

import (
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	callbackv1 "quittance/proto/gen/go/quittance/callback/v1"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// stranger is another merchant, with a key of its own.
func (w *world) stranger() *world {
	w.t.Helper()
	merchants := w.merchants()
	retried(w, merchants.PutMerchant, &orderv1.PutMerchantRequest{Merchant: &orderv1.Merchant{
		Id: "stranger", Name: "Stranger", MailFrom: "a@stranger.example",
	}})
	key := retried(w, merchants.RotateAPIKey, &orderv1.RotateAPIKeyRequest{MerchantId: "stranger"})
	s := &world{t: w.t, at: w.at, key: seal.Secret(key.GetApiKey())}
	s.connect(seal.Secret(key.GetApiKey()))
	return s
}

// merchants is the operator's service.
func (w *world) merchants() orderv1.MerchantServiceClient {
	w.t.Helper()
	conn, err := rpc.Dial(w.at.Order, rpc.DialOptions{APIKey: w.operatorKey})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return orderv1.NewMerchantServiceClient(conn)
}

// TestP8S25AnotherMerchantsKey: a stranger with a valid key of its own finds
// none of the demo merchant's documents, by any method of any service.
func TestP8S25AnotherMerchantsKey(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	w.pay(o, client.Pay{})
	o = w.awaitDelivered(o.GetId())
	attempt := o.GetPaidAttemptId()

	s := w.stranger()
	ctx := t.Context()

	denied := map[string]error{}
	_, denied["GetOrder"] = s.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: o.GetId()})
	_, denied["CancelOrder"] = s.orders.CancelOrder(ctx, &orderv1.CancelOrderRequest{OrderId: o.GetId()})
	_, denied["ListEvents"] = s.orders.ListEvents(ctx, &orderv1.ListEventsRequest{OrderId: o.GetId()})
	_, denied["ListMethods"] = s.payments.ListMethods(ctx, &paymentv1.ListMethodsRequest{OrderId: o.GetId()})
	_, denied["StartPayment"] = s.payments.StartPayment(ctx, &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.New("key"), OrderId: o.GetId(), AccountId: standalone.DemoAccount,
	})
	_, denied["GetAttempt"] = s.payments.GetAttempt(ctx, &paymentv1.GetAttemptRequest{AttemptId: attempt})
	_, denied["ConfirmOffline"] = s.payments.ConfirmOffline(ctx, &paymentv1.ConfirmOfflineRequest{
		IdempotencyKey: id.New("key"), AttemptId: attempt, Amount: &orderv1.Money{Minor: 1, Currency: "EUR"}, TransactionId: "x",
	})
	_, denied["GetVerification"] = s.verifications.GetVerification(ctx, &verificationv1.GetVerificationRequest{AttemptId: attempt, Wait: durationpb.New(0)})
	_, denied["VerifyNow"] = s.verifications.VerifyNow(ctx, &verificationv1.VerifyNowRequest{AttemptId: attempt})
	_, denied["GetDelivery"] = s.deliveries.GetDelivery(ctx, &deliveryv1.GetDeliveryRequest{OrderId: o.GetId()})
	_, denied["ResendEmail"] = s.deliveries.ResendEmail(ctx, &deliveryv1.ResendEmailRequest{OrderId: o.GetId()})
	_, denied["Replay"] = s.notifications.Replay(ctx, &notificationv1.ReplayRequest{OrderId: o.GetId(), EndpointId: standalone.DemoEndpoint})
	for method, err := range denied {
		if fault.KindOf(err) != fault.KindNotFound {
			t.Errorf("%s: %v", method, err)
		}
	}
	list, err := s.orders.ListOrders(ctx, &orderv1.ListOrdersRequest{})
	hooks, err2 := s.notifications.ListDeliveries(ctx, &notificationv1.ListDeliveriesRequest{})
	endpoints, err3 := s.notifications.ListEndpoints(ctx, &notificationv1.ListEndpointsRequest{})
	callbacks, err4 := s.callbacks.ListCallbacks(ctx, &callbackv1.ListCallbacksRequest{})
	for _, err := range []error{err, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := len(list.GetOrders()) + len(hooks.GetWebhooks()) + len(endpoints.GetEndpoints()) + len(callbacks.GetCallbacks()); n != 0 {
		t.Fatalf("a stranger sees %d documents", n)
	}
	// And none of the merchants' methods open to no key, or to the operator's.
	for name, key := range map[string]seal.Secret{"no key": "", "operator": w.operatorKey} {
		x := &world{t: t, at: w.at}
		x.connect(key)
		if _, err := x.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: o.GetId()}); fault.KindOf(err) != fault.KindUnauthenticated && fault.KindOf(err) != fault.KindDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
}
