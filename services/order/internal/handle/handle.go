// Package handle takes the facts that other services report and applies them
// to orders, one file per event. A handler only writes; a repeated fact
// changes nothing but is acknowledged again.
package handle

import (
	"errors"
	"fmt"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/services/order/internal/orders"
)

// Handlers applies events to orders.
type Handlers struct {
	Orders *orders.Orders
	Source string
}

// lost turns "no such order" into a permanent error: orders are never deleted,
// so the event names something that never was.
func lost(err error, orderID string) error {
	if errors.Is(err, docstore.ErrNotFound) {
		return bus.Permanent(fmt.Errorf("order %s: %w", orderID, err))
	}
	return err
}
