// Package handle takes the events from which verification learns of attempts,
// of hints to ask about them, and of what the order has understood; one file
// per subject. A handler only writes.
package handle

import (
	"errors"

	"quittance/pkg/docstore"
	"quittance/services/verification/internal/verifications"
)

// Handlers applies events to verifications.
type Handlers struct {
	Verifications *verifications.Verifications
}

// unknown swallows "no such document": the attempt will be announced again
// until it is known, and the hint with it.
func unknown(err error) error {
	if errors.Is(err, docstore.ErrNotFound) {
		return nil
	}
	return err
}
