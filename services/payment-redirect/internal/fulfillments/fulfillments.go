// Package fulfillments keeps the fulfillment documents: it opens the collection,
// tells the order what the fulfilment URL learned with the write that learns it,
// and tells it again until the order has answered.
package fulfillments

import (
	"context"
	"errors"
	"fmt"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/service"
	"quittance/services/payment-redirect/internal/fulfillment"
)

// Fulfillments is the collection of fulfillment documents.
type Fulfillments struct {
	*docstore.Collection[fulfillment.Fulfillment]
	base *service.Base
}

// Open opens the collection and adds its due work to the service.
func Open(ctx context.Context, b *service.Base) (*Fulfillments, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[fulfillment.Fulfillment]{Name: "fulfillments", NextDue: fulfillment.NextDue})
	if err != nil {
		return nil, err
	}
	fs := &Fulfillments{Collection: coll, base: b}
	service.Loop(b, coll, fs.work, due.Options{})
	return fs, nil
}

func docID(order string) string { return id.Derived("ful", order) }

// Learn notes who bought (empty: not told) and whether the customer was sent
// back with success, and tells the order if that is news. A repeat reads and
// writes nothing.
func (fs *Fulfillments) Learn(ctx context.Context, merchant, order, user string, fulfilled bool) error {
	if user == "" && !fulfilled {
		return nil
	}
	mine := fs.For(merchant)
	if _, err := mine.Get(ctx, docID(order)); errors.Is(err, docstore.ErrNotFound) {
		f := &fulfillment.Fulfillment{Order: order, Merchant: merchant}
		f.Learn(user, fulfilled, fs.Now())
		e, err := fs.event(f)
		if err != nil {
			return err
		}
		if _, err := mine.Insert(ctx, docID(order), f, e); !errors.Is(err, docstore.ErrExists) {
			return err
		}
	} else if err != nil {
		return err
	}
	_, err := mine.Update(ctx, docID(order), func(f *fulfillment.Fulfillment, ch *docstore.Change) error {
		if !f.Learn(user, fulfilled, fs.Now()) {
			return docstore.ErrUnchanged
		}
		e, err := fs.event(f)
		ch.Emit(e)
		return err
	})
	return err
}

// Answered notes that the order knows a revision.
func (fs *Fulfillments) Answered(ctx context.Context, order string, revision int64) error {
	_, err := fs.Update(ctx, docID(order), func(f *fulfillment.Fulfillment, _ *docstore.Change) error {
		if !f.Answer(revision) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	return err
}

// Erase drops who bought a merchant's order.
func (fs *Fulfillments) Erase(ctx context.Context, merchant, order string) error {
	err := service.Erase(ctx, fs.For(merchant), docID(order), (*fulfillment.Fulfillment).Erase)
	if errors.Is(err, docstore.ErrNotFound) {
		return nil
	}
	return err
}

func (fs *Fulfillments) event(f *fulfillment.Fulfillment) (event.Event, error) {
	e, err := fs.base.Event(event.FulfillmentChanged, f.Order, f.Order, f.Merchant, f.Payload())
	if err != nil {
		return event.Event{}, fmt.Errorf("announce %s: %w", event.FulfillmentChanged, err)
	}
	return e, nil
}

// work tells the order again. What was answered meanwhile only gives its lease
// back.
func (fs *Fulfillments) work(ctx context.Context, doc *due.Leased[fulfillment.Fulfillment]) error {
	return doc.Finish(ctx, func(f *fulfillment.Fulfillment, ch *docstore.Change) error {
		if f.Resend(fs.Now()) {
			ch.Resend(ch.Latest(event.FulfillmentChanged))
		}
		return nil
	})
}
