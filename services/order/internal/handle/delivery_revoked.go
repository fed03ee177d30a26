package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/order/internal/order"
)

// DeliveryRevoked notes which units may use their licence no more.
func (h *Handlers) DeliveryRevoked(ctx context.Context, e event.Event) error {
	fact := &eventv1.DeliveryRevoked{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	_, err := h.Orders.For(fact.GetMerchantId()).Update(ctx, fact.GetOrderId(), func(o *order.Order, ch *docstore.Change) error {
		list, known := o.Revoked(fact.GetLines(), h.Orders.Now())
		if !known {
			return h.Orders.Announce(ch, o, list)
		}
		ack, err := event.New(event.DeliveryAcknowledged, h.Source, o.ID, o.ID, o.Merchant, h.Orders.Now(),
			&eventv1.DeliveryAcknowledged{OrderId: o.ID, Revoked: fact.GetLines()})
		ch.Emit(ack)
		return err
	})
	return lost(err, fact.GetOrderId())
}
