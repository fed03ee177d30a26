package handle

import (
	"context"

	"quittance/pkg/event"
	"quittance/services/delivery/internal/delivery"
)

// OrderRefunded closes the delivery of an order that is no longer paid.
func (h *Handlers) OrderRefunded(ctx context.Context, e event.Event) error {
	fact, d, err := h.delivery(e)
	if err != nil || !delivery.Unpaid(fact.GetOrder().GetPaymentState()) {
		return err
	}
	return h.Deliveries.Close(ctx, d, fact.GetOrder().GetPaymentState())
}
