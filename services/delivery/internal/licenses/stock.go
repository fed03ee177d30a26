package licenses

import (
	"context"

	"quittance/pkg/docstore"
	"quittance/services/delivery/internal/delivery"
)

// Count counts a product's licences in a state, from a place on (all if
// empty), up to a limit. It reads them page by page, which takes time in a
// large pool; nobody on the order's path waits for it.
func (ls *Licenses) Count(ctx context.Context, merchant, product string, s delivery.LicenseState, from string, limit int64) (int64, error) {
	low, high := delivery.Places(product, s)
	if from != "" {
		low, high = delivery.PlacesFrom(product, s, from)
	}
	var n int64
	for after := ""; n < limit; {
		docs, next, err := ls.For(merchant).Find(ctx, docstore.Query{Index: "pool", From: low, To: high, After: after, Limit: maxPage})
		if err != nil {
			return 0, err
		}
		n += int64(len(docs))
		if next == "" {
			break
		}
		after = next
	}
	return min(n, limit), nil
}

// List pages through a product's licences in a state.
func (ls *Licenses) List(ctx context.Context, merchant, product string, s delivery.LicenseState, after string, limit int) ([]*docstore.Doc[delivery.License], string, error) {
	low, high := delivery.Places(product, s)
	return ls.For(merchant).Find(ctx, docstore.Query{Index: "pool", From: low, To: high, After: after, Limit: limit})
}

// HeldBefore pages through the licences of all merchants that came into their
// units' hands from one time key on and before another, the longest first.
func (ls *Licenses) HeldBefore(ctx context.Context, from, to, after string, limit int) ([]*docstore.Doc[delivery.License], string, error) {
	return ls.Find(ctx, docstore.Query{AllTenants: true, Index: "held", From: from, To: to, After: after, Limit: limit})
}
