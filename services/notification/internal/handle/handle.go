// Package handle takes the public events, puts them into the queues of the
// merchant's endpoints and writes the letters to customers that they cause. It
// only writes; a repeated event changes nothing.
package handle

import (
	"context"
	"errors"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/notification/internal/letters"
	"quittance/services/notification/internal/payload"
	"quittance/services/notification/internal/queue"
	"quittance/services/notification/internal/queues"
)

// Handlers applies events to queues and letters.
type Handlers struct {
	Queues  *queues.Queues
	Letters *letters.Letters
}

// Public takes any public order event.
func (h *Handlers) Public(ctx context.Context, e event.Event) error {
	ev, merchant, order, err := payload.FromBus(e)
	if err != nil {
		return bus.Permanent(err)
	}
	return errors.Join(
		h.Queues.Take(ctx, merchant, order, []queue.Event{ev}),
		h.Letters.Take(ctx, merchant, order, ev),
	)
}

// PaymentStarted takes what a customer may have to be told of a payment by hand.
func (h *Handlers) PaymentStarted(ctx context.Context, e event.Event) error {
	p := &eventv1.PaymentStarted{}
	if err := e.Decode(p); err != nil {
		return bus.Permanent(err)
	}
	return h.Letters.Started(ctx, e, p)
}

// Merchant takes any public event that is about no order.
func (h *Handlers) Merchant(ctx context.Context, e event.Event) error {
	ev, err := payload.FromMerchantEvent(e)
	if err != nil {
		return bus.Permanent(err)
	}
	return h.Queues.TakeSingle(ctx, e.Merchant, ev, payload.Noticed(e))
}
