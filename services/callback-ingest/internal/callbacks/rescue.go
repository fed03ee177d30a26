package callbacks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/callback-ingest/internal/callback"
)

// Rescue puts a callback on the bus while the store is down; [Callbacks.Rescued]
// copies it into the store later. This is the one place that publishes outside
// an outbox (P2). With an error the callback is not known to be anywhere.
func (cs *Callbacks) Rescue(ctx context.Context, c *callback.Callback) error {
	if err := cs.seal(c); err != nil {
		return err
	}
	document, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode callback %s: %w", c.ID, err)
	}
	e, err := cs.base.Event(event.CallbackRescued, c.ID, c.Key(), c.Merchant,
		&eventv1.CallbackRescued{Document: document, CallbackId: c.ID, MerchantId: c.Merchant})
	if err != nil {
		return err
	}
	n, err := cs.base.Bus.Publish(ctx, []event.Event{e.WithTrace(ctx)})
	if err != nil {
		return fmt.Errorf("publish %s: %w", event.CallbackRescued, err)
	}
	if n != 1 {
		return fmt.Errorf("publish %s: the bus did not take it", event.CallbackRescued)
	}
	return nil
}

// Rescued copies a rescued callback into the store.
func (cs *Callbacks) Rescued(ctx context.Context, fact *eventv1.CallbackRescued) error {
	c := &callback.Callback{}
	if err := json.Unmarshal(fact.GetDocument(), c); err != nil {
		return bus.Permanent(fmt.Errorf("decode callback %s: %w", fact.GetCallbackId(), err))
	}
	if c.ID == "" || c.ID != fact.GetCallbackId() || c.Merchant != fact.GetMerchantId() {
		return bus.Permanent(errors.New("the rescued document is not the callback that the event names"))
	}
	_, err := cs.Record(ctx, c)
	return err
}
