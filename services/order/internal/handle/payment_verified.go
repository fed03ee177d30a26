package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/order/internal/order"
)

// PaymentVerified merges what a provider said of an attempt.
func (h *Handlers) PaymentVerified(ctx context.Context, e event.Event) error {
	fact := &eventv1.PaymentVerified{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	_, err := h.Orders.For(fact.GetMerchantId()).Update(ctx, fact.GetOrderId(), func(o *order.Order, ch *docstore.Change) error {
		list, _ := o.Verified(fact, h.Orders.Now())
		o.PaidFrom(fact)
		if err := h.Orders.Announce(ch, o, list); err != nil {
			return err
		}
		for _, a := range list {
			if a.Attempt == fact.GetAttemptId() {
				return nil // the announcement is the acknowledgement
			}
		}
		ack, err := event.New(event.PaymentAcknowledged, h.Source, fact.GetAttemptId(), o.ID, o.Merchant, h.Orders.Now(),
			&eventv1.PaymentAcknowledged{OrderId: o.ID, AttemptId: fact.GetAttemptId(), Revision: fact.GetRevision()})
		ch.Emit(ack)
		return err
	})
	return lost(err, fact.GetOrderId())
}
