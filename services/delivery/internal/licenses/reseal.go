package licenses

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"quittance/pkg/docstore"
	"quittance/services/delivery/internal/delivery"
)

// ResealPage seals the keys of a page of licences of all merchants anew that
// another than the primary key sealed. It returns where the next page begins,
// empty after the last one.
func (ls *Licenses) ResealPage(ctx context.Context, after string, limit int) (string, error) {
	docs, next, err := ls.Find(ctx, docstore.Query{AllTenants: true, After: after, Limit: limit})
	if err != nil {
		return "", err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, doc := range docs {
		if ls.keys.NeedsReseal(doc.Body.Sealed) {
			g.Go(func() error { return ls.reseal(gctx, doc.Tenant, doc.ID) })
		}
	}
	return next, g.Wait()
}

func (ls *Licenses) reseal(ctx context.Context, merchant, license string) error {
	_, err := ls.For(merchant).Update(ctx, license, func(l *delivery.License, _ *docstore.Change) error {
		if !ls.keys.NeedsReseal(l.Sealed) {
			return docstore.ErrUnchanged
		}
		key, err := ls.keys.Open(l.Sealed, license)
		if err != nil {
			return fmt.Errorf("unseal licence %s: %w", license, err)
		}
		l.Sealed, err = ls.keys.Seal(key, license)
		return err
	})
	if errors.Is(err, docstore.ErrNotFound) {
		return nil
	}
	return err
}
