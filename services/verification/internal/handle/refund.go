package handle

import (
	"context"
	"fmt"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/verification/internal/verification"
)

// RefundRequested notes what the order wants done to the money of its attempts,
// and answers with the attempts' facts. What is known already is answered again.
func (h *Handlers) RefundRequested(ctx context.Context, e event.Event) error {
	fact := &eventv1.RefundRequested{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	byAttempt := map[string][]*orderv1.Operation{}
	for _, op := range fact.GetOperations() {
		byAttempt[op.GetAttemptId()] = append(byAttempt[op.GetAttemptId()], op)
	}
	vs := h.Verifications
	for attempt, list := range byAttempt {
		doc, err := vs.For(fact.GetMerchantId()).Get(ctx, attempt)
		if err != nil {
			return fmt.Errorf("operations on attempt %s: %w", attempt, err)
		}
		terms, err := vs.Terms(ctx, doc.Body.Account)
		if err != nil {
			return err
		}
		if _, err := vs.For(fact.GetMerchantId()).Update(ctx, attempt, func(v *verification.Verification, ch *docstore.Change) error {
			if v.Request(list, vs.Now()) {
				return vs.Tell(ch, v, terms)
			}
			ch.Resend(ch.Latest(event.PaymentVerified))
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
