package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

// CallbackRescued copies a callback into the store that could not be written
// when it came.
func (h *Handlers) CallbackRescued(ctx context.Context, e event.Event) error {
	fact := &eventv1.CallbackRescued{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	return h.Callbacks.Rescued(ctx, fact)
}
