package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// ProductDelivered notes that the order knows a line to be delivered. The event
// shows the whole order, so the first of several answers for all lines.
func (h *Handlers) ProductDelivered(ctx context.Context, e event.Event) error {
	fact := &eventv1.OrderEvent{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	o := fact.GetOrder()
	lines := []int32{fact.GetLineNumber()}
	for _, l := range o.GetLines() {
		if l.GetDeliveryState() == orderv1.DeliveryState_DELIVERY_STATE_DELIVERED {
			lines = append(lines, l.GetNumber())
		}
	}
	return lost(h.Deliveries.Acknowledge(ctx, o.GetMerchantId(), o.GetId(), lines), o.GetId())
}
