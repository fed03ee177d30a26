// Package handle takes the facts that the order reports and applies them to
// deliveries, one file per event. A handler only writes; a repeated fact
// changes nothing.
package handle

import (
	"errors"
	"fmt"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/delivery/internal/deliveries"
	"quittance/services/delivery/internal/delivery"
)

// Handlers applies events to deliveries.
type Handlers struct {
	Deliveries *deliveries.Deliveries
}

// delivery reads a public order event as the delivery of its order, of which
// nothing is delivered.
func (h *Handlers) delivery(e event.Event) (*eventv1.OrderEvent, *delivery.Delivery, error) {
	fact := &eventv1.OrderEvent{}
	if err := e.Decode(fact); err != nil {
		return nil, nil, bus.Permanent(err)
	}
	d, err := delivery.New(fact, h.Deliveries.Now())
	return fact, d, bus.Permanent(err)
}

// lost turns "no such delivery" into a permanent error: deliveries are never
// deleted, so the event answers something that never was.
func lost(err error, orderID string) error {
	if errors.Is(err, docstore.ErrNotFound) {
		return bus.Permanent(fmt.Errorf("delivery of order %s: %w", orderID, err))
	}
	return err
}
