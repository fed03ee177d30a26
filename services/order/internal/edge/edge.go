// Package edge is the order service's gRPC: it decodes and validates requests,
// reads and writes documents, and answers. It calls nobody.
package edge

import (
	"errors"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
)

// badToken turns a store's "no such cursor" into what the caller sees.
func badToken(err error, field string) error {
	if errors.Is(err, docstore.ErrCursor) {
		return fault.Invalid(field, "is not one of an earlier answer")
	}
	return err
}

// missing turns a store's "no such document" into what the caller sees.
func missing(err error, format string, args ...any) error {
	if errors.Is(err, docstore.ErrNotFound) {
		return fault.NotFound(format, args...)
	}
	return err
}
