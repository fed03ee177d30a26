package handle

import (
	"context"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/verification/internal/verification"
)

// OrderAnswered takes a public event about an attempt: the order knows its
// facts up to the revision named.
func (h *Handlers) OrderAnswered(ctx context.Context, e event.Event) error {
	fact := &eventv1.OrderEvent{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	return h.known(ctx, e.Merchant, fact.GetAttemptId(), fact.GetAttemptRevision())
}

// PaymentAcknowledged takes the order's answer to facts that led to no public
// event.
func (h *Handlers) PaymentAcknowledged(ctx context.Context, e event.Event) error {
	fact := &eventv1.PaymentAcknowledged{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	return h.known(ctx, e.Merchant, fact.GetAttemptId(), fact.GetRevision())
}

func (h *Handlers) known(ctx context.Context, merchant, attempt string, revision int64) error {
	if attempt == "" {
		return nil // a prepaid order: nobody was asked
	}
	_, err := h.Verifications.For(merchant).Update(ctx, attempt, func(v *verification.Verification, _ *docstore.Change) error {
		if !v.OrderKnows(revision) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	return unknown(err)
}
