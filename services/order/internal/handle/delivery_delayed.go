package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/order/internal/order"
)

// DeliveryDelayed notes why lines wait.
func (h *Handlers) DeliveryDelayed(ctx context.Context, e event.Event) error {
	fact := &eventv1.DeliveryDelayed{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	_, err := h.Orders.For(fact.GetMerchantId()).Update(ctx, fact.GetOrderId(), func(o *order.Order, ch *docstore.Change) error {
		list, changed := o.Delayed(fact, h.Orders.Now())
		if !changed {
			return docstore.ErrUnchanged
		}
		return h.Orders.Announce(ch, o, list)
	})
	return lost(err, fact.GetOrderId())
}
