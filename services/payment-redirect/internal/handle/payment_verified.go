// Package handle takes what verification says of payments and applies it to
// attempts, and the order's answers about fulfillments. A handler only writes.
package handle

import (
	"context"
	"errors"
	"fmt"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/payment-redirect/internal/attempts"
	"quittance/services/payment-redirect/internal/fulfillments"
	"quittance/services/payment-redirect/internal/savedpayments"
	"quittance/services/payment-redirect/internal/sessions"
)

// Handlers applies events to attempts and fulfillments.
type Handlers struct {
	Attempts     *attempts.Attempts
	Saved        *savedpayments.SavedPayments
	Fulfillments *fulfillments.Fulfillments
	Sessions     *sessions.Sessions
}

// PaymentVerified merges what a provider said of an attempt. Attempts are never
// deleted, so one that doesn't exist never was.
func (h *Handlers) PaymentVerified(ctx context.Context, e event.Event) error {
	fact := &eventv1.PaymentVerified{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	doc, err := h.Attempts.Verify(ctx, fact)
	if errors.Is(err, docstore.ErrNotFound) {
		return bus.Permanent(fmt.Errorf("attempt %s: %w", fact.GetAttemptId(), err))
	}
	if err != nil {
		return err
	}
	return h.Saved.Learn(ctx, &doc.Body, fact)
}
