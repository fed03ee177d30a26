// Package licenses keeps the licence documents: it imports keys into the pools
// of products, claims them for units, releases and unseals them.
//
// A pool is nothing but the licences of a product that are free. There is no
// document of a pool, so nothing on the order's path is written by every order.
package licenses

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	"quittance/services/delivery/internal/delivery"
)

const (
	// atOnce is how many licences are written at once: enough for an engine
	// that commits in groups.
	atOnce = 16
	// maxPage is the largest page of a query.
	maxPage = 1000
	// purpose of the fingerprints of keys.
	purpose = "license"
)

// Licenses is the collection of licence documents.
type Licenses struct {
	*docstore.Collection[delivery.License]
	keys  *seal.Keyring
	ahead ahead
}

// Open opens the collection.
func Open(ctx context.Context, b *service.Base) (*Licenses, error) {
	coll, err := docstore.Open(ctx, b.Engine, docstore.Spec[delivery.License]{
		Name: "licenses",
		Indexes: map[string]func(*delivery.License) string{
			"pool": (*delivery.License).Place,
			"unit": func(l *delivery.License) string { return l.Unit },
			"held": (*delivery.License).HeldSince,
		},
		NextDue: delivery.LicenseDue,
		Now:     b.Now,
	})
	if err != nil {
		return nil, err
	}
	ls := &Licenses{Collection: coll, keys: b.Keyring}
	service.Loop(b, coll, ls.expire, due.Options{Workers: 4, Poll: 5 * time.Second})
	return ls, nil
}

// expire takes a free licence out of its pool whose time is over.
func (ls *Licenses) expire(ctx context.Context, doc *due.Leased[delivery.License]) error {
	return doc.Finish(ctx, func(l *delivery.License, _ *docstore.Change) error {
		l.Expire(ls.Now())
		return nil
	})
}

// salt is a random place among the free licences of a product. It is drawn like
// ids, so that a seed determines it in the simulation.
func salt() string {
	var place [8]byte
	rand.Read(place[:])
	return hex.EncodeToString(place[:])
}

// Claim holds a free licence of the product for each unit, until there is none
// left. It returns the licences by unit; after an error some units may hold one
// that is not among them. It tries what a look a moment ago has left; then it
// looks itself, from a random place of the pool on, so that claimers rarely meet,
// and goes once around; what others here have just tried comes last.
func (ls *Licenses) Claim(ctx context.Context, merchant, product string, units []delivery.Unit) (map[delivery.Unit]string, error) {
	c := claim{ls: ls, merchant: merchant, pool: merchant + "/" + product, units: units, got: make(map[delivery.Unit]string, len(units))}
	if err := c.hold(ctx, ls.ahead.take(c.pool, len(units), ls.Now())); err != nil {
		return c.got, err
	}
	first, end := delivery.Places(product, delivery.LicenseFree)
	start, _ := delivery.PlacesFrom(product, delivery.LicenseFree, salt())
	for _, arc := range [][2]string{{start, end}, {first, start}} {
		if err := c.along(ctx, arc); err != nil {
			return c.got, err
		}
	}
	for len(c.skipped) > 0 && len(c.units) > 0 {
		n := min(len(c.units), len(c.skipped))
		try := c.skipped[:n]
		c.skipped = c.skipped[n:]
		if err := c.hold(ctx, try); err != nil {
			return c.got, err
		}
	}
	return c.got, nil
}

// claim is a claim under way.
type claim struct {
	ls             *Licenses
	merchant, pool string
	// units that have none yet, and those that have.
	units []delivery.Unit
	got   map[delivery.Unit]string
	// skipped are free licences that others here have just tried.
	skipped []string
}

// along claims the free licences of an arc of the pool.
func (c *claim) along(ctx context.Context, arc [2]string) error {
	for after := ""; len(c.units) > 0; {
		docs, next, err := c.ls.For(c.merchant).Find(ctx, docstore.Query{
			Index: "pool", From: arc[0], To: arc[1], After: after, Limit: min(len(c.units)+lookAhead, maxPage),
		})
		if err != nil {
			return err
		}
		ids := make([]string, len(docs))
		for i, doc := range docs {
			ids[i] = doc.ID
		}
		for len(ids) > 0 && len(c.units) > 0 { // again for those that were lost to others
			var try, skipped []string
			try, skipped, ids = c.ls.ahead.next(ids, len(c.units), c.ls.Now())
			c.skipped = append(c.skipped, skipped...)
			if err := c.hold(ctx, try); err != nil {
				return err
			}
		}
		c.ls.ahead.keep(c.pool, ids, c.ls.Now())
		if next == "" {
			return nil
		}
		after = next
	}
	return nil
}

// hold tries to hold one of the licences for each unit.
func (c *claim) hold(ctx context.Context, licenses []string) (err error) {
	c.units, err = c.ls.holdAny(ctx, c.merchant, licenses, c.units, c.got)
	return err
}

// holdAny tries to hold one of the licences for each unit and returns the units
// for which it found none.
func (ls *Licenses) holdAny(ctx context.Context, merchant string, ids []string, units []delivery.Unit, got map[delivery.Unit]string) ([]delivery.Unit, error) {
	n := min(len(ids), len(units))
	if n == 0 {
		return units, nil
	}
	holds := make([]bool, n)
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i := range n {
		g.Go(func() (err error) {
			holds[i], err = ls.hold(ctx, merchant, ids[i], units[i].String())
			return err
		})
	}
	err := g.Wait()
	var left []delivery.Unit
	for i, unit := range units {
		if i < n && holds[i] {
			got[unit] = ids[i]
		} else {
			left = append(left, unit)
		}
	}
	return left, err
}

// hold makes the licence the unit's by compare-and-set; false if it is
// another's.
func (ls *Licenses) hold(ctx context.Context, merchant, license, unit string) (bool, error) {
	var holds bool
	_, err := ls.For(merchant).Update(ctx, license, func(l *delivery.License, _ *docstore.Change) error {
		var changed bool
		if holds, changed = l.Hold(unit, ls.Now()); !changed {
			return docstore.ErrUnchanged
		}
		return nil
	})
	if errors.Is(err, docstore.ErrNotFound) {
		return false, nil
	}
	return holds && err == nil, err
}

// Release takes a licence from the unit if that still holds it. Only a licence
// that the stored delivery of the unit refutes may be released.
func (ls *Licenses) Release(ctx context.Context, merchant, license string, unit delivery.Unit, why string) error {
	return ls.end(ctx, merchant, license, func(l *delivery.License, now time.Time) bool {
		return l.Release(unit.String(), why, now)
	})
}

// Revoke makes a licence invalid that the unit holds. Only a licence that the
// stored delivery has given up may be revoked.
func (ls *Licenses) Revoke(ctx context.Context, merchant, license string, unit delivery.Unit, why string) error {
	return ls.end(ctx, merchant, license, func(l *delivery.License, now time.Time) bool {
		return l.Revoke(unit.String(), why, now)
	})
}

func (ls *Licenses) end(ctx context.Context, merchant, license string, change func(*delivery.License, time.Time) bool) error {
	_, err := ls.For(merchant).Update(ctx, license, func(l *delivery.License, _ *docstore.Change) error {
		if !change(l, ls.Now()) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	if errors.Is(err, docstore.ErrNotFound) {
		return nil
	}
	return err
}

// Take gives a licence to the unit that an order's record says has it, if it is
// free or held by the unit from (empty: none). It reports whether that changed
// anything, and who else holds it. One that is not there (imported after the copy
// that the store was restored from) is put there without its key, so that an
// import can't bring it into the pool once more.
func (ls *Licenses) Take(ctx context.Context, merchant, product, license string, unit delivery.Unit, from string) (other string, changed bool, err error) {
	take := func(l *delivery.License, _ *docstore.Change) error {
		if other, changed = l.Take(unit.String(), from, ls.Now()); !changed {
			return docstore.ErrUnchanged
		}
		return nil
	}
	_, err = ls.For(merchant).Update(ctx, license, take)
	if !errors.Is(err, docstore.ErrNotFound) {
		return other, changed, err
	}
	now := ls.Now()
	_, err = ls.For(merchant).Insert(ctx, license, &delivery.License{
		Product: product, State: delivery.LicenseHeld, Since: now, Unit: unit.String(), Imported: now, Salt: salt(),
	})
	if errors.Is(err, docstore.ErrExists) { // imported meanwhile
		_, err = ls.For(merchant).Update(ctx, license, take)
		return other, changed, err
	}
	return "", err == nil, err
}

// Held is a licence that a unit holds, or held until it was revoked.
type Held struct {
	License string
	Unit    delivery.Unit
	Revoked bool
	sealed  string
}

// Held yields the licences that the units from the first to the last hold, by
// unit; several for one unit by their ids. Revoked ones are among them.
func (ls *Licenses) Held(ctx context.Context, merchant string, first, last delivery.Unit) iter.Seq2[Held, error] {
	last.Number++ // the end of a range is not in it
	return func(yield func(Held, error) bool) {
		for after := ""; ; {
			docs, next, err := ls.For(merchant).Find(ctx, docstore.Query{
				Index: "unit", From: first.String(), To: last.String(), After: after, Limit: maxPage,
			})
			if err != nil {
				yield(Held{}, err)
				return
			}
			for _, doc := range docs {
				unit, err := delivery.ParseUnit(doc.Body.Unit)
				if !yield(Held{
					License: doc.ID, Unit: unit, Revoked: doc.Body.State == delivery.LicenseRevoked, sealed: doc.Body.Sealed,
				}, err) || err != nil {
					return
				}
			}
			if next == "" {
				return
			}
			after = next
		}
	}
}

// Key unseals a licence key: for the customer's mail and the merchant's own
// answer, and nothing else.
func (ls *Licenses) Key(h Held) (string, error) {
	if h.sealed == "" {
		return "", fmt.Errorf("the key of licence %s was lost with the store: the merchant must import it again", h.License)
	}
	key, err := ls.keys.Open(h.sealed, h.License)
	if err != nil {
		return "", fmt.Errorf("unseal licence %s: %w", h.License, err)
	}
	return string(key), nil
}

// Reveal unseals the key of a licence document, for the merchant's own answer;
// empty if it was lost with the store.
func (ls *Licenses) Reveal(doc *docstore.Doc[delivery.License]) (string, error) {
	if doc.Body.Sealed == "" {
		return "", nil
	}
	return ls.Key(Held{License: doc.ID, sealed: doc.Body.Sealed})
}

// AtLeast says whether a product has so many free licences. It reads no more of
// them than that.
func (ls *Licenses) AtLeast(ctx context.Context, merchant, product string, wanted int64) (bool, error) {
	n, err := ls.Count(ctx, merchant, product, delivery.LicenseFree, "", wanted)
	return n >= wanted, err
}
