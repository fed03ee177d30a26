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
	for after, more := "", true; more; more = after != "" {
		docs, next, err := vs.For(merchant).Find(ctx, docstore.Query{Index: byOrder, Equal: order, After: after, Limit: pageOfAttempts})
		if err != nil {
			return nil, err
		}
		for _, d := range docs {
			if err := service.Erase(ctx, vs.For(merchant), d.ID, (*verification.Verification).Erase); err != nil {
				return nil, err
			}
			keys = append(keys, d.ID, d.Body.Reference)
		}
		after = next
	}
	return keys, nil
}

// Erased reports whether the customer of an order is erased.
func (vs *Verifications) Erased(ctx context.Context, order string) (bool, error) {
	return vs.base.Erased(ctx, order)
}
