package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/order/internal/order"
)

// ErasureAcknowledged notes that a service has erased what it had of an order's
// customer.
func (h *Handlers) ErasureAcknowledged(ctx context.Context, e event.Event) error {
	fact := &eventv1.ErasureAcknowledged{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	_, err := h.Orders.For(e.Merchant).Update(ctx, fact.GetOrderId(), func(o *order.Order, _ *docstore.Change) error {
		if !o.ErasedBy(fact.GetService()) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	return lost(err, fact.GetOrderId())
}
