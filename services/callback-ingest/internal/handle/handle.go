// Package handle takes verification's answers to callbacks, and callbacks that
// came while the store was down; one file per event. A handler only writes.
package handle

import (
	"context"
	"errors"
	"fmt"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/services/callback-ingest/internal/callbacks"
)

// Handlers applies events to callbacks.
type Handlers struct {
	Callbacks *callbacks.Callbacks
	Erasures  Erasures
}

// Erasures knows whose customers are erased.
type Erasures interface {
	// Erased reports whether the customer of an order is.
	Erased(ctx context.Context, order string) (bool, error)
}

// answered notes the answer to callbacks of an order. Their ids are this service's own, so
// one that does not exist names a callback that never was: the others are
// noted first.
func (h *Handlers) answered(ctx context.Context, callbackIDs []string, order string) error {
	if len(callbackIDs) == 0 {
		return nil
	}
	erased, err := h.Erasures.Erased(ctx, order)
	if err != nil {
		return err
	}
	var lost []error
	for _, callbackID := range callbackIDs {
		err := h.Callbacks.Answered(ctx, callbackID, order, erased)
		switch {
		case errors.Is(err, docstore.ErrNotFound):
			lost = append(lost, fmt.Errorf("callback %s: %w", callbackID, err))
		case err != nil:
			return err
		}
	}
	return bus.Permanent(errors.Join(lost...))
}
