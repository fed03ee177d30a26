// Package discounts keeps the discount documents and counts their uses without
// a document that all orders would write: each use is a document of its own,
// whose id says which of the allowed uses it is.
package discounts

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	"quittance/pkg/docstore"
	"quittance/pkg/id"
	"quittance/pkg/service"
	"quittance/services/order/internal/discount"
)

// Use is the stored document of one use: whoever inserts it has it.
type Use struct {
	Order string `json:"order"`
}

// Discounts is the collections of discounts and their uses.
type Discounts struct {
	coll *docstore.Collection[discount.Discount]
	uses *docstore.Collection[Use]

	mu     sync.Mutex
	usedUp map[string]int64 // the limit at which no use was free, by discount
}

// Open opens the collections.
func Open(ctx context.Context, b *service.Base) (*Discounts, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[discount.Discount]{Name: "discounts"})
	if err != nil {
		return nil, err
	}
	uses, err := service.Open(ctx, b, docstore.Spec[Use]{Name: "discount_uses"})
	return &Discounts{coll: coll, uses: uses, usedUp: map[string]int64{}}, err
}

func docID(merchant, code string) string { return id.Derived("dsc", merchant, code) }

// Put creates or replaces a merchant's discount.
func (ds *Discounts) Put(ctx context.Context, merchant string, d *discount.Discount) error {
	_, err := ds.coll.For(merchant).Insert(ctx, docID(merchant, d.Code), d)
	if !errors.Is(err, docstore.ErrExists) {
		return err
	}
	_, err = ds.coll.For(merchant).Update(ctx, docID(merchant, d.Code), func(old *discount.Discount, _ *docstore.Change) error {
		*old = *d
		return nil
	})
	return err
}

// Get reads a merchant's discount, docstore.ErrNotFound if there is none.
func (ds *Discounts) Get(ctx context.Context, merchant, code string) (*discount.Discount, error) {
	doc, err := ds.coll.For(merchant).Get(ctx, docID(merchant, code))
	if err != nil {
		return nil, err
	}
	return &doc.Body, nil
}

// Use takes one of the uses of a discount for an order. A repeat for the same
// order takes no second one. It errs with discount.ErrUsedUp or
// discount.ErrUsedByMe if there is none to take.
func (ds *Discounts) Use(ctx context.Context, merchant string, d *discount.Discount, order, email string) error {
	if d.OncePerCustomer {
		mine, err := ds.take(ctx, merchant, id.Derived("use", merchant, d.Code, "customer", strings.ToLower(email)), order)
		if err != nil {
			return err
		}
		if !mine {
			return discount.ErrUsedByMe
		}
	}
	if d.MaxUses == 0 {
		return nil
	}
	if ds.full(docID(merchant, d.Code), d.MaxUses, 0) {
		return discount.ErrUsedUp
	}
	for slot := range d.Slots(order) {
		mine, err := ds.take(ctx, merchant, id.Derived("use", merchant, d.Code, strconv.FormatInt(slot, 10)), order)
		if mine || err != nil {
			return err
		}
	}
	ds.full(docID(merchant, d.Code), d.MaxUses, d.MaxUses)
	return discount.ErrUsedUp
}

// full says whether a discount is known to have no use left; used up at a limit
// tells it.
func (ds *Discounts) full(docID string, limit, usedUp int64) bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if usedUp > 0 {
		ds.usedUp[docID] = usedUp
	}
	return ds.usedUp[docID] >= limit
}

// take inserts a use, and says whether it is the order's.
func (ds *Discounts) take(ctx context.Context, merchant, useID, order string) (bool, error) {
	_, err := ds.uses.For(merchant).Insert(ctx, useID, &Use{Order: order})
	if !errors.Is(err, docstore.ErrExists) {
		return err == nil, err
	}
	doc, err := ds.uses.For(merchant).Get(ctx, useID)
	return err == nil && doc.Body.Order == order, err
}
