package verifications

import (
	"context"

	"quittance/pkg/docstore"
	"quittance/pkg/service"
	"quittance/services/verification/internal/verification"
)

// pageOfAttempts is how many attempts are erased together.
const pageOfAttempts = 100

// Erase erases who paid a merchant's order, and names the keys of events about
// its attempts.
func (vs *Verifications) Erase(ctx context.Context, merchant, order string) ([]string, error) {
	var keys []string
	for d, err := range vs.For(merchant).All(ctx, docstore.Query{Index: byOrder, Equal: order, Limit: pageOfAttempts}) {
		if err != nil {
			return nil, err
		}
		if err := service.Erase(ctx, vs.For(merchant), d.ID, (*verification.Verification).Erase); err != nil {
			return nil, err
		}
		keys = append(keys, d.ID, d.Body.Reference)
	}
	return keys, nil
}

// Erased reports whether the customer of an order is erased.
func (vs *Verifications) Erased(ctx context.Context, order string) (bool, error) {
	return vs.base.Erased(ctx, order)
}
