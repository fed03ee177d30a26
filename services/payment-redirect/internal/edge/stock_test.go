package edge_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/reference"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
)

// shelf is a delivery service with so many licences of each product; nil is down.
type shelf struct {
	free  map[string]int64
	asked []*deliveryv1.CheckStockRequest
}

func (s *shelf) CheckStock(_ context.Context, req *deliveryv1.CheckStockRequest, _ ...grpc.CallOption) (*deliveryv1.CheckStockResponse, error) {
	s.asked = append(s.asked, req)
	if s.free == nil {
		return nil, fault.Unavailable("delivery is down")
	}
	out := &deliveryv1.CheckStockResponse{}
	for _, w := range req.GetWanted() {
		if s.free[w.GetProductId()] < w.GetQuantity() {
			out.ShortProductIds = append(out.ShortProductIds, w.GetProductId())
		}
	}
	return out, nil
}

// TestStockIsCheckedWhereTheShopWantsIt: a pool that is known to be too empty
// keeps a payment from being started; not wanting to know, enough, and not being
// able to tell do not.
func TestStockIsCheckedWhereTheShopWantsIt(t *testing.T) {
	w := newWorld(t)
	s := &shelf{}
	w.payments.Checkout.Stock = s
	o, token := w.orders.add(func(o *orderv1.Order) {
		for _, l := range o.GetLines() {
			l.ProductId, l.DeliveryMethod = "tool", orderv1.DeliveryMethod_DELIVERY_METHOD_POOL
		}
		o.Lines = append(o.Lines, &orderv1.Line{Number: 3, ProductId: "mail", Quantity: 9, DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_MAIL})
	})
	start := func() error {
		_, err := w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{IdempotencyKey: id.Token(), OrderId: o.GetId(), AccountId: cards})
		return err
	}
	policy := func(check bool) {
		w.refer(reference.KindMerchant, merchant, &orderv1.Reference{Item: &orderv1.Reference_Merchant{
			Merchant: &orderv1.Merchant{Id: merchant, Name: "Acme", Policy: &orderv1.ShopPolicy{CheckStock: check}},
		}})
	}
	s.free = map[string]int64{"tool": 2} // of three in two lines
	policy(false)
	if err := start(); err != nil || len(s.asked) != 0 {
		t.Fatalf("not wanted, asked %d times: %v", len(s.asked), err)
	}
	policy(true)
	if err := start(); fault.KindOf(err) != fault.KindConflict || !strings.Contains(err.Error(), "out of stock: tool") {
		t.Fatalf("sold out: %v", err)
	}
	w.shows(w.get("/pay/"+token), http.StatusOK, "no way to pay")
	s.free = nil
	if err := start(); err != nil {
		t.Fatalf("delivery is down: %v", err)
	}
	s.free = map[string]int64{"tool": 3}
	if err := start(); err != nil {
		t.Fatalf("enough: %v", err)
	}
	if last := s.asked[len(s.asked)-1]; last.GetMerchantId() != merchant || len(last.GetWanted()) != 1 || last.GetWanted()[0].GetQuantity() != 3 {
		t.Errorf("asked %v", last)
	}
}
