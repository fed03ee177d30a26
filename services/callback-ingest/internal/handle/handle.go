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
}

// answered notes the answer to callbacks. Their ids are this service's own, so
// one that does not exist names a callback that never was: the others are
// noted first.
func (h *Handlers) answered(ctx context.Context, callbackIDs []string) error {
	var lost []error
	for _, callbackID := range callbackIDs {
		err := h.Callbacks.Answered(ctx, callbackID)
		switch {
		case errors.Is(err, docstore.ErrNotFound):
			lost = append(lost, fmt.Errorf("callback %s: %w", callbackID, err))
		case err != nil:
			return err
		}
	}
	return bus.Permanent(errors.Join(lost...))
}
