package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/order/internal/order"
)

// DeliveryCompleted notes which lines have reached the customer.
func (h *Handlers) DeliveryCompleted(ctx context.Context, e event.Event) error {
	fact := &eventv1.DeliveryCompleted{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	_, err := h.Orders.For(fact.GetMerchantId()).Update(ctx, fact.GetOrderId(), func(o *order.Order, ch *docstore.Change) error {
		o.Licensed(fact.GetLicenses())
		list, known := o.Completed(fact.GetLineNumbers(), h.Orders.Now())
		closed := o.Closed(fact.GetClosedFor())
		if !known {
			return h.Orders.Announce(ch, o, list)
		}
		if len(fact.GetLineNumbers()) == 0 {
			if !closed {
				return docstore.ErrUnchanged
			}
			return nil
		}
		ack, err := event.New(event.DeliveryAcknowledged, h.Source, o.ID, o.ID, o.Merchant, h.Orders.Now(),
			&eventv1.DeliveryAcknowledged{OrderId: o.ID, LineNumbers: fact.GetLineNumbers()})
		ch.Emit(ack)
		return err
	})
	return lost(err, fact.GetOrderId())
}
