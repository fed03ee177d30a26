// Package handle takes the public events and puts them into the queues of the
// merchant's endpoints. It only writes; a repeated event changes nothing.
package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	"quittance/services/notification/internal/payload"
	"quittance/services/notification/internal/queue"
	"quittance/services/notification/internal/queues"
)

// Handlers applies events to queues.
type Handlers struct {
	Queues *queues.Queues
}

// Public takes any public order event.
func (h *Handlers) Public(ctx context.Context, e event.Event) error {
	ev, merchant, order, err := payload.FromBus(e)
	if err != nil {
		return bus.Permanent(err)
	}
	return h.Queues.Take(ctx, merchant, order, []queue.Event{ev})
}

// Merchant takes any public event that is about no order.
func (h *Handlers) Merchant(ctx context.Context, e event.Event) error {
	ev, err := payload.FromMerchantEvent(e)
	if err != nil {
		return bus.Permanent(err)
	}
	return h.Queues.TakeSingle(ctx, e.Merchant, ev, payload.Noticed(e))
}
