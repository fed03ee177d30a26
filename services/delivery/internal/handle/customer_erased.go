package handle

import (
	"context"
	"errors"

	"quittance/pkg/docstore"
	"quittance/pkg/service"
	"quittance/services/delivery/internal/delivery"
)

// Erase drops whom a merchant's order was delivered to, if its delivery was ever
// begun.
func (h *Handlers) Erase(ctx context.Context, merchant, order string) ([]string, error) {
	deliveryID := delivery.ID(order)
	err := service.Erase(ctx, h.Deliveries.For(merchant), deliveryID, (*delivery.Delivery).Erase)
	if errors.Is(err, docstore.ErrNotFound) {
		return nil, nil
	}
	return []string{deliveryID}, err
}
