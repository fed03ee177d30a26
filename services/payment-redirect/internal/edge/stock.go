package edge

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	"quittance/pkg/web"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// stockWait is how long the delivery service may take to tell the stock.
const stockWait = time.Second

// Stock is what is asked of the delivery service; its client does it.
type Stock interface {
	// CheckStock says which products have fewer free licences than wanted. It
	// holds nothing.
	CheckStock(ctx context.Context, req *deliveryv1.CheckStockRequest, opts ...grpc.CallOption) (*deliveryv1.CheckStockResponse, error)
}

// soldOut says what keeps an order from being paid: that its shop wants stock to
// be checked, and the pools of some products are known to be too empty. It is
// empty if not, or if nobody can tell: delivery being down blocks no purchase.
func (c *Checkout) soldOut(ctx context.Context, o *orderv1.Order) string {
	if c.Stock == nil {
		return ""
	}
	m, err := c.Reference.Merchant(ctx, o.GetMerchantId())
	if err != nil || !m.GetPolicy().GetCheckStock() {
		return ""
	}
	req := &deliveryv1.CheckStockRequest{MerchantId: o.GetMerchantId()}
	for _, l := range o.GetLines() {
		if l.GetDeliveryMethod() != orderv1.DeliveryMethod_DELIVERY_METHOD_POOL {
			continue
		}
		same := func(w *deliveryv1.WantedStock) bool { return w.GetProductId() == l.GetProductId() }
		if i := slices.IndexFunc(req.Wanted, same); i >= 0 {
			req.Wanted[i].Quantity += l.GetQuantity()
			continue
		}
		req.Wanted = append(req.Wanted, &deliveryv1.WantedStock{ProductId: l.GetProductId(), Quantity: l.GetQuantity()})
	}
	if len(req.GetWanted()) == 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, stockWait)
	defer cancel()
	answer, err := c.Stock.CheckStock(ctx, req)
	if err != nil {
		web.Annotate(ctx, slog.Any("stock", err))
		return ""
	}
	if len(answer.GetShortProductIds()) == 0 {
		return ""
	}
	return "out of stock: " + strings.Join(answer.GetShortProductIds(), ", ")
}
