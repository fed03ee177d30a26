package handle

import (
	"context"

	"quittance/pkg/event"
)

// PaymentSucceeded begins the delivery of an order, or answers an order that
// asks again.
func (h *Handlers) PaymentSucceeded(ctx context.Context, e event.Event) error {
	_, d, err := h.delivery(e)
	if err != nil {
		return err
	}
	return h.Deliveries.Begin(ctx, d)
}
