package licenses

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"quittance/pkg/docstore"
	"quittance/services/delivery/internal/delivery"
)

// Import adds keys to the pool of a product and returns the indices of those
// that were there already, in the pool or earlier among the keys, whatever
// became of them since. After an error some of the keys may have been added;
// importing all of them again is harmless. The new ones are handed out until they
// expire, for ever if that is zero.
func (ls *Licenses) Import(ctx context.Context, merchant, product string, keys []string, expires time.Time) (duplicates []int, err error) {
	seen := make(map[string]bool, len(keys))
	known := make([]bool, len(keys))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, key := range keys {
		licenseID := delivery.LicenseID(merchant, product, ls.keys.Fingerprint([]byte(key), purpose))
		if known[i] = seen[licenseID]; known[i] {
			continue
		}
		seen[licenseID] = true
		g.Go(func() error {
			sealed, err := ls.keys.Seal([]byte(key), licenseID)
			if err != nil {
				return fmt.Errorf("seal licence %s: %w", licenseID, err)
			}
			now := ls.Now()
			_, err = ls.For(merchant).Insert(gctx, licenseID, &delivery.License{
				Product: product, Sealed: sealed, State: delivery.LicenseFree, Since: now, Imported: now, Salt: salt(), Expires: expires,
			})
			if known[i] = errors.Is(err, docstore.ErrExists); known[i] {
				return ls.refill(gctx, merchant, licenseID, sealed)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, duplicate := range known {
		if duplicate {
			duplicates = append(duplicates, i)
		}
	}
	return duplicates, nil
}

// refill gives a licence its key that was lost with the store; see Take.
func (ls *Licenses) refill(ctx context.Context, merchant, license, sealed string) error {
	_, err := ls.For(merchant).Update(ctx, license, func(l *delivery.License, _ *docstore.Change) error {
		if l.Sealed != "" {
			return docstore.ErrUnchanged
		}
		l.Sealed = sealed
		return nil
	})
	return err
}
