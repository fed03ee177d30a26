package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

// DeliveryAcknowledged notes that the order knows lines to be delivered.
func (h *Handlers) DeliveryAcknowledged(ctx context.Context, e event.Event) error {
	fact := &eventv1.DeliveryAcknowledged{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	return lost(h.Deliveries.Acknowledge(ctx, e.Merchant, fact.GetOrderId(), fact.GetLineNumbers()), fact.GetOrderId())
}
