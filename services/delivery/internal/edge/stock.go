package edge

import (
	"context"

	"quittance/pkg/fault"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	"quittance/services/delivery/internal/licenses"
)

// maxWanted bounds how many products are asked for at once.
const maxWanted = 100

// Stock implements the internal StockService.
type Stock struct {
	deliveryv1.UnimplementedStockServiceServer
	Licenses *licenses.Licenses
}

var _ deliveryv1.StockServiceServer = (*Stock)(nil)

// CheckStock implements StockService. It reads no more licences than are wanted.
func (s *Stock) CheckStock(ctx context.Context, req *deliveryv1.CheckStockRequest) (*deliveryv1.CheckStockResponse, error) {
	if n := len(req.GetWanted()); n == 0 || n > maxWanted {
		return nil, fault.Invalid("wanted", "must have 1 to %d entries", maxWanted)
	}
	out := &deliveryv1.CheckStockResponse{}
	for _, w := range req.GetWanted() {
		enough, err := s.Licenses.AtLeast(ctx, req.GetMerchantId(), w.GetProductId(), w.GetQuantity())
		if err != nil {
			return nil, err
		}
		if !enough {
			out.ShortProductIds = append(out.ShortProductIds, w.GetProductId())
		}
	}
	return out, nil
}
