package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

// CallbackAcknowledged answers callbacks that led to no new facts.
func (h *Handlers) CallbackAcknowledged(ctx context.Context, e event.Event) error {
	fact := &eventv1.CallbackAcknowledged{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	return h.answered(ctx, fact.GetCallbackIds(), fact.GetOrderId())
}
