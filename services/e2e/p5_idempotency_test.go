package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/fault"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// TestP5ReplayedIdempotencyKeys: each method that takes an idempotency key is
// called by eight clients at once with the same key, and again later: it happens
// once. The same key with another wish is refused, and changes nothing. In another
// merchant's hands it is a key like any other.
func TestP5ReplayedIdempotencyKeys(t *testing.T) {
	w := start(t, setup{})
	stranger := w.stranger()
	took := map[string]bool{}
	ctx := t.Context()

	create := func(quantity int64) *orderv1.CreateOrderRequest {
		return &orderv1.CreateOrderRequest{
			IdempotencyKey: "replayed", Currency: "EUR", Customer: &orderv1.Customer{Email: w.email},
			Items: []*orderv1.OrderItem{item("notepad", quantity)}, ReturnUrl: w.shop + "/shop/return",
		}
	}
	o := once(t, took, w.orders.CreateOrder, create(1), (*orderv1.Order).GetId)
	refusedWith(t, w.orders.CreateOrder, create(2))
	if _, err := stranger.orders.CreateOrder(ctx, create(1)); fault.KindOf(err) != fault.KindInvalid {
		t.Errorf("the stranger, who doesn't sell that: %v", err)
	}
	if got := w.only(); got.GetId() != o.GetId() || got.GetTotal().GetMinor() != 1999 {
		t.Errorf("the order is %v", got)
	}

	pay := func(account string) *paymentv1.StartPaymentRequest {
		return &paymentv1.StartPaymentRequest{IdempotencyKey: "replayed", OrderId: o.GetId(), AccountId: account}
	}
	a := once(t, took, w.payments.StartPayment, pay(standalone.DemoOffline), (*paymentv1.Attempt).GetId)
	refusedWith(t, w.payments.StartPayment, pay(standalone.DemoAccount))

	confirm := func(transaction string) *paymentv1.ConfirmOfflineRequest {
		return &paymentv1.ConfirmOfflineRequest{
			IdempotencyKey: "replayed", AttemptId: a.GetId(), Amount: &orderv1.Money{Minor: 1999, Currency: "EUR"}, TransactionId: transaction,
		}
	}
	once(t, took, w.payments.ConfirmOffline, confirm("bank-1"), (*paymentv1.Attempt).GetId)
	refusedWith(t, w.payments.ConfirmOffline, confirm("bank-2"))
	w.awaitDelivered(o.GetId())

	cards := w.order(item("notepad", 1))
	w.pay(cards, client.Pay{})
	w.awaitDelivered(cards.GetId())
	refund := func(minor int64) *orderv1.RefundOrderRequest {
		return &orderv1.RefundOrderRequest{OrderId: cards.GetId(), IdempotencyKey: "replayed", Amount: &orderv1.Money{Minor: minor, Currency: "EUR"}}
	}
	once(t, took, w.orders.RefundOrder, refund(500), func(o *orderv1.Order) string { return fmt.Sprint(len(o.GetOperations())) })
	refusedWith(t, w.orders.RefundOrder, refund(700))
	if got := retried(w, w.orders.GetOrder, &orderv1.GetOrderRequest{OrderId: cards.GetId()}); len(got.GetOperations()) != 1 || got.GetOperations()[0].GetAmount().GetMinor() != 500 {
		t.Errorf("operations %v", got.GetOperations())
	}

	replay := func(from time.Duration) *notificationv1.ReplayRangeRequest {
		return &notificationv1.ReplayRangeRequest{
			IdempotencyKey: "replayed", EndpointId: standalone.DemoEndpoint, StartTime: timestamppb.New(o.GetCreateTime().AsTime().Add(from)),
		}
	}
	once(t, took, w.notifications.ReplayRange, replay(-time.Hour), (*notificationv1.ReplayRun).GetId)
	refusedWith(t, w.notifications.ReplayRange, replay(-2*time.Hour))

	for _, m := range methodsOf() {
		if m.Input().Fields().ByName("idempotency_key") != nil && !took[string(m.Input().FullName())] {
			t.Errorf("%s takes an idempotency key, and is not tried here", m.FullName())
		}
	}
}

// method is a unary method of a client.
type method[Q proto.Message, A any] func(context.Context, Q, ...grpc.CallOption) (A, error)

// refusedWith makes a call that uses a key of another request.
func refusedWith[Q proto.Message, A any](t *testing.T, call method[Q, A], req Q) {
	t.Helper()
	if answer, err := call(t.Context(), req); fault.KindOf(err) != fault.KindConflict {
		t.Errorf("%T with a used key: %v %v", req, answer, err)
	}
}

// once makes a call eight times at once and then once more, which must be one
// thing; it notes which request it tried.
func once[Q proto.Message, A any](t *testing.T, took map[string]bool, call method[Q, A], req Q, same func(A) string) A {
	t.Helper()
	var (
		mu      sync.Mutex
		wg      sync.WaitGroup
		answers = map[string]int{}
	)
	try := func() A {
		answer, err := call(t.Context(), req)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Errorf("%T again: %v", req, err)
		}
		answers[same(answer)]++
		return answer
	}
	for range 8 {
		wg.Go(func() { try() })
	}
	wg.Wait()
	answer := try()
	if len(answers) != 1 {
		t.Errorf("%T is %d things: %v", req, len(answers), answers)
	}
	took[string(req.ProtoReflect().Descriptor().FullName())] = true
	return answer
}
