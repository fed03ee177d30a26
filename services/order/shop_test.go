package order_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// TestP8ReturnKeys: each merchant has its own, replaces it with an overlap, and
// an operator's change of the merchant leaves it alone.
func TestP8ReturnKeys(t *testing.T) {
	w := newWorld(t)
	acme, zeta := w.shop("acme"), w.shop("zeta")
	get := func(s orderv1.ShopServiceClient) *orderv1.ReturnKey {
		t.Helper()
		k, err := s.GetReturnKey(t.Context(), &orderv1.GetReturnKeyRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first := get(acme)
	if first.GetKey() == get(zeta).GetKey() || first.GetPreviousKey() != "" || len(first.GetKey()) != 68 {
		t.Fatal(first)
	}
	second, err := acme.RotateReturnKey(t.Context(), &orderv1.RotateReturnKeyRequest{Overlap: durationpb.New(time.Hour)})
	if err != nil || second.GetKey() == first.GetKey() || second.GetPreviousKey() != first.GetKey() {
		t.Fatal(second, err)
	}
	if _, err := w.operator.PutMerchant(t.Context(), &orderv1.PutMerchantRequest{Merchant: &orderv1.Merchant{
		Id: "acme", Name: "Acme again", MailFrom: "shop@acme.example", ReturnSigning: &orderv1.ReturnSigning{Generation: 7},
	}}); err != nil {
		t.Fatal(err)
	}
	if now := get(acme); now.GetKey() != second.GetKey() || now.GetPreviousKey() != first.GetKey() {
		t.Fatal(now)
	}
	third, err := acme.RotateReturnKey(t.Context(), &orderv1.RotateReturnKeyRequest{})
	if err != nil || third.GetPreviousKey() != "" || third.GetKey() == second.GetKey() {
		t.Fatal(third, err)
	}
	if _, err := acme.RotateReturnKey(t.Context(), &orderv1.RotateReturnKeyRequest{Overlap: durationpb.New(-1)}); fault.KindOf(err) != fault.KindInvalid {
		t.Fatal(err)
	}
}

// shop makes a merchant and gives its ShopService.
func (w *world) shop(name string) orderv1.ShopServiceClient {
	w.t.Helper()
	return orderv1.NewShopServiceClient(w.dial(w.key(name)))
}

// TestFulfillmentChanged: the order learns user and time, keeps what it knew
// first, and answers every time.
func TestFulfillmentChanged(t *testing.T) {
	w := newWorld(t)
	orders, _ := w.merchant("acme")
	create := func(user string) *orderv1.Order {
		t.Helper()
		o, err := orders.CreateOrder(t.Context(), &orderv1.CreateOrderRequest{
			IdempotencyKey: id.New("key"), Currency: "EUR", Customer: &orderv1.Customer{Email: "jo@example.org"},
			Items: []*orderv1.OrderItem{{ProductId: "tool", Quantity: 1}}, UserId: user, PaymentMethod: "other",
		})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	known, unknown := create("u1"), create("")
	at := timestamppb.New(time.Now().Truncate(time.Millisecond))
	for revision, o := range []*orderv1.Order{known, unknown, unknown} {
		e, err := event.New(event.FulfillmentChanged, "payment", o.GetId(), o.GetId(), "acme", time.Now(), &eventv1.FulfillmentChanged{
			OrderId: o.GetId(), MerchantId: "acme", UserId: "u2", FulfillTime: at, Revision: int64(revision + 1),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.bus.Publish(t.Context(), []event.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, 20*time.Second, func() error {
		for o, user := range map[*orderv1.Order]string{known: "u1", unknown: "u2"} {
			got, err := orders.GetOrder(t.Context(), &orderv1.GetOrderRequest{OrderId: o.GetId()})
			if err != nil {
				return err
			}
			if got.GetUserId() != user || !got.GetFulfillment().GetFulfillTime().AsTime().Equal(at.AsTime()) || got.GetFulfillment().GetPaymentMethod() != "other" {
				return fmt.Errorf("%v", got)
			}
		}
		for o, want := range map[*orderv1.Order]int{known: 1, unknown: 2} {
			if n := w.bus.count(event.FulfillmentAcknowledged, o.GetId()); n != want {
				return fmt.Errorf("%d answers, want %d", n, want)
			}
		}
		return nil
	})
	if _, err := orders.CreateOrder(t.Context(), &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Customer: &orderv1.Customer{Email: "jo@example.org"},
		Items: []*orderv1.OrderItem{{ProductId: "tool", Quantity: 1}}, PaymentMethod: "cash",
	}); fault.KindOf(err) != fault.KindInvalid {
		t.Error(err)
	}
}
