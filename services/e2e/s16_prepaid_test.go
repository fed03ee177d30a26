package e2e

import (
	"testing"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// TestS16Prepaid: delivered without a payment, and nothing can be paid.
func TestS16Prepaid(t *testing.T) {
	w := start(t, setup{})
	o, err := w.orders.CreateOrder(t.Context(), &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Customer: &orderv1.Customer{Email: w.email},
		Items: []*orderv1.OrderItem{item("notepad", 1)}, Prepaid: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	o = w.awaitDelivered(o.GetId())
	if !o.GetPrepaid() || o.GetCaptured().GetMinor() != 0 || o.GetPaidAttemptId() != "" {
		t.Fatalf("%v", o)
	}
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)
	if _, err := w.payments.StartPayment(t.Context(), &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.New("key"), OrderId: o.GetId(), AccountId: standalone.DemoAccount,
	}); fault.KindOf(err) != fault.KindConflict {
		t.Fatalf("a prepaid order can be paid: %v", err)
	}
	book, err := w.sandbox.Book(t.Context())
	if err != nil || len(book.Sales) != 0 {
		t.Fatalf("%v %v", book, err)
	}
	visit := w.pay(o, client.Pay{Until: func(*client.Page) bool { return true }})
	if visit.Ordered {
		t.Fatal("the pay page offers to pay a prepaid order")
	}
}
