package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/delivery/internal/deliveries"
)

// OrderKnows notes what the order knows of its delivery: product.delivered and
// product.revoked say it. The event shows the whole order, so the first of several
// answers for all lines.
func (h *Handlers) OrderKnows(ctx context.Context, e event.Event) error {
	fact := &eventv1.OrderEvent{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	o := fact.GetOrder()
	known := deliveries.Acknowledged{Revoked: map[int32]int64{}}
	if e.Type == event.ProductDelivered {
		known.Lines = append(known.Lines, fact.GetLineNumber())
	}
	for _, l := range o.GetLines() {
		if l.GetDeliveryState() == orderv1.DeliveryState_DELIVERY_STATE_DELIVERED {
			known.Lines = append(known.Lines, l.GetNumber())
		}
		known.Revoked[l.GetNumber()] = l.GetRevokedUnits()
	}
	return lost(h.Deliveries.Acknowledge(ctx, o.GetMerchantId(), o.GetId(), known), o.GetId())
}
