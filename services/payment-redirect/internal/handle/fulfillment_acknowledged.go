package handle

import (
	"context"
	"errors"
	"fmt"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

// FulfillmentAcknowledged notes that the order knows what the fulfilment URL
// learned.
func (h *Handlers) FulfillmentAcknowledged(ctx context.Context, e event.Event) error {
	fact := &eventv1.FulfillmentAcknowledged{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	err := h.Fulfillments.Answered(ctx, fact.GetOrderId(), fact.GetRevision())
	if errors.Is(err, docstore.ErrNotFound) {
		return bus.Permanent(fmt.Errorf("fulfillment of order %s: %w", fact.GetOrderId(), err))
	}
	return err
}
