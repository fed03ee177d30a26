// Package customers keeps the customer documents: it opens the collection, makes
// customers and says which are new.
package customers

import (
	"context"
	"errors"

	"quittance/pkg/docstore"
	"quittance/pkg/service"
	"quittance/services/order/internal/customer"
)

// Customers is the collection of customer documents.
type Customers struct {
	*docstore.Collection[customer.Customer]
}

// Open opens the collection.
func Open(ctx context.Context, b *service.Base) (*Customers, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[customer.Customer]{Name: "customers"})
	if err != nil {
		return nil, err
	}
	return &Customers{coll}, nil
}

// Ensure finds a merchant's customer, or makes one for the order.
func (cs *Customers) Ensure(ctx context.Context, merchant string, by customer.Credential, order string) (*customer.Customer, error) {
	mine := cs.For(merchant)
	doc, err := mine.Get(ctx, by.ID(merchant))
	if errors.Is(err, docstore.ErrNotFound) {
		doc, err = mine.Insert(ctx, by.ID(merchant), by.New(merchant, order, cs.Now()))
		if errors.Is(err, docstore.ErrExists) {
			doc, err = mine.Get(ctx, by.ID(merchant))
		}
	}
	if err != nil {
		return nil, err
	}
	return &doc.Body, nil
}
