package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

const notDelivered = orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED

// sell puts a product of a unique name into the demonstration merchant's
// catalogue.
func (w *world) sell(p *orderv1.Product) string {
	w.t.Helper()
	p.Id = strings.ToLower(strings.ReplaceAll(id.New("goods"), "_", "-"))
	p.Name = "Goods " + p.GetId()
	p.Prices = []*orderv1.Money{{Minor: 100, Currency: "EUR"}}
	retried(w, w.catalog.PutProduct, &orderv1.PutProductRequest{Product: p})
	return p.GetId()
}

// fill imports keys into a pool whose product may not be known there yet.
func (w *world) fill(product string, keys ...string) {
	w.t.Helper()
	testkit.Eventually(w.t, patience, func() error { return w.importKeys(product, keys...) })
}

// prepaid creates an order that is paid already.
func (w *world) prepaid(items ...*orderv1.OrderItem) *orderv1.Order {
	w.t.Helper()
	return retried(w, w.orders.CreateOrder, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Customer: &orderv1.Customer{Email: w.email, Name: "Ada"}, Items: items, Prepaid: true,
	})
}

func (w *world) awaitState(orderID string, state orderv1.DeliveryState, problem string) *orderv1.Order {
	w.t.Helper()
	return w.await(orderID, fmt.Sprint(state, " ", problem), func(o *orderv1.Order) bool {
		return o.GetDeliveryState() == state && strings.Contains(o.GetDeliveryProblem(), problem) && (problem != "" || o.GetDeliveryProblem() == "")
	})
}

// TestS13EmptyPool: a pool is empty, so paid orders wait and the merchant is told
// what to do; keys are imported, and the orders are delivered by themselves within
// seconds, the oldest first.
func TestS13EmptyPool(t *testing.T) {
	w := start(t, setup{})
	product := w.sell(&orderv1.Product{DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL})
	var orders []*orderv1.Order
	for range 3 {
		o := w.prepaid(item(product, 1))
		w.awaitState(o.GetId(), notDelivered, "the merchant must import keys")
		orders = append(orders, o)
	}
	w.awaitWebhooks(orders[0].GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDeliveryDelayed)

	imported := time.Now()
	w.fill(product, "S13-FIRST", "S13-SECOND")
	for _, o := range orders[:2] {
		w.awaitDelivered(o.GetId())
	}
	if took := time.Since(imported); took > 10*time.Second {
		t.Errorf("delivered %v after the import", took)
	}
	w.awaitState(orders[2].GetId(), notDelivered, "the merchant must import keys")
	w.fill(product, "S13-FIRST", "S13-THIRD")
	w.awaitDelivered(orders[2].GetId())
	var got []string
	for _, o := range orders {
		got = append(got, w.keys(o.GetId())[1]...)
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"S13-FIRST", "S13-SECOND", "S13-THIRD"}) {
		t.Errorf("keys %v", got)
	}
	w.awaitWebhooks(orders[0].GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDeliveryDelayed, event.ProductDelivered, event.OrderDelivered)
}

// TestS14TwoOfThree: two of three products can be delivered: the order is
// partially delivered until the third can be too.
func TestS14TwoOfThree(t *testing.T) {
	w := start(t, setup{})
	product := w.sell(&orderv1.Product{DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL})
	o := w.prepaid(item("notepad", 2), item("handbook", 1), item(product, 1))
	got := w.awaitState(o.GetId(), orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED, "the merchant must import keys")
	if l := got.GetLines(); l[0].GetDeliveryState() != delivered || l[1].GetDeliveryState() != delivered || l[2].GetDeliveryState() != notDelivered {
		t.Errorf("lines %v", l)
	}
	if n := len(w.mails()); n != 2 {
		t.Errorf("%d mails", n)
	}
	w.fill(product, "S14-KEY")
	w.awaitDelivered(o.GetId())
	hooks := w.webhooks(o.GetId())
	if n := strings.Count(strings.Join(hooks, " "), event.OrderDelivered); n > 1 || len(w.mails()) != 3 {
		t.Errorf("webhooks %v, %d mails", hooks, len(w.mails()))
	}
}
