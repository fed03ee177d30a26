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
	"quittance/services/delivery/internal/pools"
	"quittance/services/delivery/internal/webservices"
)

const (
	// lease is how long a delivery is kept from others, and so how long the mail of
	// a process that died waits.
	lease = 20 * time.Second
	// longest is how long work on one may take: it leaves a slow relay time for a mail.
	longest = 54 * time.Second
)

// lane is how many calls of one product's web service are under way at once, so
// that one that hangs holds up only itself.
const lane = 4

// Reference knows who sends the mails, and how they look.
type Reference interface {
	// Merchant reads a merchant; fault.KindNotFound if there is none.
	Merchant(ctx context.Context, merchant string) (*orderv1.Merchant, error)
	// Product reads a merchant's product; fault.KindNotFound if there is none.
	Product(ctx context.Context, merchant, product string) (*orderv1.Product, error)
}

// Parts are what deliveries are made with.
type Parts struct {
	Licenses  *licenses.Licenses
	Pools     *pools.Pools
	Services  *webservices.WebServices
	Reference Reference
	Mailer    mail.Sender
}

// Deliveries is the collection of delivery documents.
type Deliveries struct {
	*docstore.Collection[delivery.Delivery]
	Parts
	base *service.Base
}

// Open opens the collection and adds its due work, in the given number of
// workers, to the service.
func Open(ctx context.Context, b *service.Base, parts Parts, workers int) (*Deliveries, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[delivery.Delivery]{
		Name: "deliveries",
		Indexes: map[string]func(*delivery.Delivery) string{
			"waiting": delivery.Waiting,
			"created": func(d *delivery.Delivery) string { return delivery.TimeKey(d.Created) },
		},
		NextDue: delivery.NextDue,
	})
	if err != nil {
		return nil, err
	}
	ds := &Deliveries{Collection: coll, Parts: parts, base: b}
	service.Loop(b, coll, ds.work, due.Options{Workers: workers, Lease: lease, Longest: longest}).Lanes(lane, delivery.Lane)
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
	if err := ds.settle(ctx, d); err != nil {
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

// settle applies what holds for the licences of the products to a delivery of
// which nothing is stored yet.
func (ds *Deliveries) settle(ctx context.Context, d *delivery.Delivery) error {
	perLine := map[string]bool{}
	for i := range d.Lines {
		if l := &d.Lines[i]; l.Open > 1 {
			p, err := ds.Pools.Of(ctx, d.Merchant, l.Product)
			if err != nil {
				return err
			}
			perLine[l.Product] = p.PerLine
		}
	}
	d.PerLine(func(product string) bool { return perLine[product] })
	return nil
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

// Close notes that an order, given as nothing of it is delivered, is no longer
// paid, and what becomes of its licences. If its delivery has not begun it never
// will: the closed document remembers that.
//
// The order sends order.refunded and order.canceled again until it is answered,
// so a repeated one is answered again.
func (ds *Deliveries) Close(ctx context.Context, d *delivery.Delivery, state orderv1.PaymentState) error {
	now := ds.Now()
	d.CloseFor(state, now)
	events, err := ds.events(d, d.Announce(now))
	if err != nil {
		return err
	}
	doc, err := ds.For(d.Merchant).Insert(ctx, d.ID, d, events...)
	if errors.Is(err, docstore.ErrExists) {
		doc, err = ds.close(ctx, d, state, now)
	}
	if err != nil {
		return err
	}
	return ds.sweep(ctx, &doc.Body)
}

func (ds *Deliveries) close(ctx context.Context, d *delivery.Delivery, state orderv1.PaymentState, now time.Time) (*docstore.Doc[delivery.Delivery], error) {
	chargedBack := state == orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK
	becomes := map[string]delivery.Disposition{}
	for i := range d.Lines {
		p, err := ds.Pools.Of(ctx, d.Merchant, d.Lines[i].Product)
		if err != nil {
			return nil, err
		}
		becomes[p.Product] = p.After(chargedBack)
	}
	why := "the order was refunded"
	if chargedBack {
		why = "the payment was charged back"
	}
	return ds.For(d.Merchant).Update(ctx, d.ID, func(d *delivery.Delivery, ch *docstore.Change) error {
		if closed := d.CloseFor(state, now); closed || chargedBack {
			d.End(func(product string) delivery.Disposition { return becomes[product] }, why, now)
		}
		list := d.Announce(now)
		if len(list) == 0 {
			ch.Resend(ch.Latest(event.DeliveryCompleted))
		}
		events, err := ds.events(d, list)
		ch.Emit(events...)
		return err
	})
}

// Change changes a stored delivery on somebody's behalf, with the events that
// follow. docstore.ErrNotFound if there is no such delivery.
func (ds *Deliveries) Change(ctx context.Context, merchant, order string, change func(*delivery.Delivery, time.Time) error) (*docstore.Doc[delivery.Delivery], error) {
	return ds.For(merchant).Update(ctx, delivery.ID(order), func(d *delivery.Delivery, ch *docstore.Change) error {
		now := ds.Now()
		if err := change(d, now); err != nil {
			return err
		}
		events, err := ds.events(d, d.Announce(now))
		if err != nil {
			return err
		}
		ch.Emit(events...)
		return nil
	})
}

// Resend queues the mails of an order's delivery again; delivery.ErrState if it
// has none to send, docstore.ErrNotFound if there is no such delivery.
func (ds *Deliveries) Resend(ctx context.Context, merchant, order string) (*docstore.Doc[delivery.Delivery], error) {
	return ds.Change(ctx, merchant, order, func(d *delivery.Delivery, now time.Time) error {
		changed, err := d.Resend(now)
		if err == nil && !changed {
			return docstore.ErrUnchanged
		}
		return err
	})
}

// Acknowledged is what the order knows.
type Acknowledged struct {
	// Lines are delivered.
	Lines []int32
	// Revoked counts the units of lines that may use their licence no more.
	Revoked map[int32]int64
}

// Acknowledge notes what the order knows. docstore.ErrNotFound if there is no
// such delivery.
func (ds *Deliveries) Acknowledge(ctx context.Context, merchant, order string, a Acknowledged) error {
	_, err := ds.For(merchant).Update(ctx, delivery.ID(order), func(d *delivery.Delivery, _ *docstore.Change) error {
		news := d.Acknowledge(a.Lines)
		for line, units := range a.Revoked {
			news = d.AcknowledgeRevoked(line, units) || news
		}
		if !news {
			return docstore.ErrUnchanged
		}
		return nil
	})
	return err
}
