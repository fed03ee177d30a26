package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

// PaymentVerified answers the callbacks that led to these facts.
func (h *Handlers) PaymentVerified(ctx context.Context, e event.Event) error {
	fact := &eventv1.PaymentVerified{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	return h.answered(ctx, fact.GetCallbackIds(), fact.GetOrderId())
}
