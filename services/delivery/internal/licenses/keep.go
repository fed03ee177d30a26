package licenses

import (
	"context"
	"errors"
	"fmt"

	"quittance/pkg/docstore"
	"quittance/services/delivery/internal/delivery"
)

// Keep stores a key that came from elsewhere for a unit as a licence that the
// unit holds, and returns it. ok is false if the key is another unit's or no
// longer to be given; a free one of the pool is taken from there.
func (ls *Licenses) Keep(ctx context.Context, merchant, product, key string, unit delivery.Unit) (license string, ok bool, err error) {
	license = delivery.LicenseID(merchant, product, ls.keys.Fingerprint([]byte(key), purpose))
	sealed, err := ls.keys.Seal([]byte(key), license)
	if err != nil {
		return "", false, fmt.Errorf("seal licence %s: %w", license, err)
	}
	now := ls.Now()
	_, err = ls.For(merchant).Insert(ctx, license, &delivery.License{
		Product: product, Sealed: sealed, State: delivery.LicenseHeld, Since: now, Unit: unit.String(), Imported: now, Salt: salt(), Answered: true,
	})
	if errors.Is(err, docstore.ErrExists) {
		ok, err = ls.hold(ctx, merchant, license, unit.String())
		return license, ok, err
	}
	return license, err == nil, err
}

// Withdraw takes those of the keys out of the pool of a product that are free in
// it. It returns how many, and the indices of the others.
func (ls *Licenses) Withdraw(ctx context.Context, merchant, product string, keys []string, why string) (withdrawn int64, missing []int, err error) {
	for i, key := range keys {
		license := delivery.LicenseID(merchant, product, ls.keys.Fingerprint([]byte(key), purpose))
		done := false
		_, err := ls.For(merchant).Update(ctx, license, func(l *delivery.License, _ *docstore.Change) error {
			if done = l.Withdraw(why, ls.Now()); !done {
				return docstore.ErrUnchanged
			}
			return nil
		})
		switch {
		case err != nil && !errors.Is(err, docstore.ErrNotFound):
			return withdrawn, missing, err
		case !done || err != nil:
			missing = append(missing, i)
		default:
			withdrawn++
		}
	}
	return withdrawn, missing, nil
}
