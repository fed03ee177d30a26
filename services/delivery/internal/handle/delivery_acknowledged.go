package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/delivery/internal/deliveries"
)

// DeliveryAcknowledged notes what the order knew already of its delivery.
func (h *Handlers) DeliveryAcknowledged(ctx context.Context, e event.Event) error {
	fact := &eventv1.DeliveryAcknowledged{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	known := deliveries.Acknowledged{Lines: fact.GetLineNumbers(), Revoked: map[int32]int64{}}
	for _, r := range fact.GetRevoked() {
		known.Revoked[r.GetLineNumber()] = r.GetUnits()
	}
	return lost(h.Deliveries.Acknowledge(ctx, e.Merchant, fact.GetOrderId(), known), fact.GetOrderId())
}
