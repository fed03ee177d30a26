// Package deliveries keeps the delivery documents: it opens the collection,
// finds licences for their units, sends their mails, and turns the aggregate's
// announcements into events of the same write.
//
// A licence is held for a unit first (a compare-and-set on the licence), then
// the unit's delivery shows it (an insert, or a compare-and-set on the
// delivery). Only the second decides. What a crash in between leaves is held
// for a unit that shows nothing yet, and is adopted when the unit is looked at
// again; what the stored delivery refutes is released. Nothing else releases a
// licence, so one that is shown stays held.
package deliveries

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/pkg/mail"
	"quittance/pkg/service"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/delivery/internal/delivery"
	"quittance/services/delivery/internal/licenses"
)

// lease is how long a document is kept from others while its mails are sent. It
// leaves a slow relay time for one mail.
const lease = time.Minute

// Merchants knows who sends the mails.
type Merchants interface {
	// Merchant reads a merchant; fault.KindNotFound if there is none.
	Merchant(ctx context.Context, merchant string) (*orderv1.Merchant, error)
}

// Deliveries is the collection of delivery documents.
type Deliveries struct {
	*docstore.Collection[delivery.Delivery]
	Licenses  *licenses.Licenses
	base      *service.Base
	merchants Merchants
	mailer    mail.Sender
}

// Open opens the collection and adds its due work, in the given number of
// workers, to the service.
func Open(ctx context.Context, b *service.Base, ls *licenses.Licenses, merchants Merchants, mailer mail.Sender, workers int) (*Deliveries, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[delivery.Delivery]{
		Name:    "deliveries",
		Indexes: map[string]func(*delivery.Delivery) string{"waiting": delivery.Waiting},
		NextDue: delivery.NextDue,
	})
	if err != nil {
		return nil, err
	}
	ds := &Deliveries{Collection: coll, Licenses: ls, base: b, merchants: merchants, mailer: mailer}
	service.Loop(b, coll, ds.work, due.Options{Workers: workers, Lease: lease})
	return ds, nil
}

// events turns announcements into events.
func (ds *Deliveries) events(d *delivery.Delivery, list []delivery.Announcement) ([]event.Event, error) {
	events := make([]event.Event, 0, len(list))
	for _, a := range list {
		e, err := ds.base.Event(a.Type, d.ID, d.Order, d.Merchant, d.Payload(a))
		if err != nil {
			return nil, fmt.Errorf("announce %s: %w", a.Type, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// Begin starts the delivery of a paid order, given as nothing of it is
// delivered. The order may have asked before; then the stored document counts.
func (ds *Deliveries) Begin(ctx context.Context, d *delivery.Delivery) error {
	doc, err := ds.For(d.Merchant).Get(ctx, d.ID)
	if err == nil {
		return ds.repeat(ctx, &doc.Body)
	}
	if !errors.Is(err, docstore.ErrNotFound) {
		return err
	}
	now := ds.Now()
	f, err := ds.find(ctx, d, now)
	if err != nil {
		return err
	}
	f.apply(d, now)
	events, err := ds.events(d, d.Announce(now))
	if err != nil {
		return err
	}
	doc, err = ds.For(d.Merchant).Insert(ctx, d.ID, d, events...)
	if errors.Is(err, docstore.ErrExists) {
		if doc, err = ds.For(d.Merchant).Get(ctx, d.ID); err == nil {
			return ds.repeat(ctx, &doc.Body)
		}
	}
	if err != nil {
		return err
	}
	return ds.release(ctx, &doc.Body, f.held)
}

// repeat answers an order that asks again, and releases what an earlier attempt
// left held.
func (ds *Deliveries) repeat(ctx context.Context, d *delivery.Delivery) error {
	if err := ds.sweep(ctx, d); err != nil {
		return err
	}
	_, err := ds.For(d.Merchant).Update(ctx, d.ID, func(d *delivery.Delivery, ch *docstore.Change) error {
		typ := d.Repeat()
		if typ == "" {
			return docstore.ErrUnchanged
		}
		ch.Resend(ch.Latest(typ))
		return nil
	})
	return err
}

// Acknowledge notes that the order knows lines to be delivered.
// docstore.ErrNotFound if there is no such delivery.
func (ds *Deliveries) Acknowledge(ctx context.Context, merchant, order string, lines []int32) error {
	_, err := ds.For(merchant).Update(ctx, delivery.ID(order), func(d *delivery.Delivery, _ *docstore.Change) error {
		if !d.Acknowledge(lines) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	return err
}

// Close notes that an order, given as nothing of it is delivered, is no longer
// paid. If its delivery has not begun it never will: the closed document
// remembers that.
func (ds *Deliveries) Close(ctx context.Context, d *delivery.Delivery) error {
	now := ds.Now()
	d.Close(now)
	if _, err := ds.For(d.Merchant).Insert(ctx, d.ID, d); !errors.Is(err, docstore.ErrExists) {
		return err
	}
	doc, err := ds.For(d.Merchant).Update(ctx, d.ID, func(d *delivery.Delivery, _ *docstore.Change) error {
		if !d.Close(now) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	if err != nil {
		return err
	}
	return ds.sweep(ctx, &doc.Body)
}

// Resend queues the mails of an order's delivery again; delivery.ErrState if it
// has none to send, docstore.ErrNotFound if there is no such delivery.
func (ds *Deliveries) Resend(ctx context.Context, merchant, order string) (*docstore.Doc[delivery.Delivery], error) {
	return ds.For(merchant).Update(ctx, delivery.ID(order), func(d *delivery.Delivery, _ *docstore.Change) error {
		changed, err := d.Resend(ds.Now())
		if err == nil && !changed {
			return docstore.ErrUnchanged
		}
		return err
	})
}
