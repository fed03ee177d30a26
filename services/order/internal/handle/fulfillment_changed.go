package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/order/internal/order"
)

// FulfillmentChanged notes what the fulfilment URL learned of an order.
func (h *Handlers) FulfillmentChanged(ctx context.Context, e event.Event) error {
	fact := &eventv1.FulfillmentChanged{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	_, err := h.Orders.For(fact.GetMerchantId()).Update(ctx, fact.GetOrderId(), func(o *order.Order, ch *docstore.Change) error {
		o.Fulfill(fact)
		ack, err := event.New(event.FulfillmentAcknowledged, h.Source, o.ID, o.ID, o.Merchant, h.Orders.Now(),
			&eventv1.FulfillmentAcknowledged{OrderId: o.ID, Revision: fact.GetRevision()})
		ch.Emit(ack)
		return err
	})
	return lost(err, fact.GetOrderId())
}
