package handle

import (
	"context"

	"quittance/pkg/event"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/delivery/internal/delivery"
)

// OrderRefunded closes the delivery of an order that is no longer paid. One that was
// canceled is not delivered again, whatever is asked about late money meanwhile.
func (h *Handlers) OrderRefunded(ctx context.Context, e event.Event) error {
	fact, d, err := h.delivery(e)
	if err != nil || e.Type != event.OrderCanceled && !delivery.Unpaid(fact.GetOrder().GetPaymentState()) {
		return err
	}
	state := fact.GetOrder().GetPaymentState()
	if e.Type == event.OrderCanceled {
		state = orderv1.PaymentState_PAYMENT_STATE_CANCELED // what the order waits to be answered for
	}
	return h.Deliveries.Close(ctx, d, state)
}
