package deliveries

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/services/delivery/internal/delivery"
)

// leased is a delivery in the hands of this process.
type leased = due.Leased[delivery.Delivery]

// work does what a delivery is due for: licences that it has given up first, so
// that none of them is taken for a new one; then mails, they finish lines; then
// web services; then pools.
func (ds *Deliveries) work(ctx context.Context, doc *leased) error {
	now := ds.Now()
	if exits := doc.Body.Exits(now, chunk); len(exits) > 0 {
		return ds.exit(ctx, doc, exits)
	}
	if letters := doc.Body.Letters(now); len(letters) > 0 {
		outcomes := ds.sendAll(ctx, &doc.Body, letters)
		_, err := ds.finish(ctx, doc, func(d *delivery.Delivery, now time.Time) {
			for _, o := range outcomes {
				o.apply(d, now)
			}
		})
		return err
	}
	if c := doc.Body.Call(now); c != nil {
		return ds.call(ctx, doc, c)
	}
	f, err := ds.find(ctx, &doc.Body, now)
	if err != nil {
		return err
	}
	stored, err := ds.finish(ctx, doc, f.apply)
	if err != nil {
		return err
	}
	return ds.release(ctx, stored, f.held)
}

// finish stores the outcome of the work with the events that follow, asks the
// order again if it owes an answer, and returns the delivery as stored.
func (ds *Deliveries) finish(ctx context.Context, doc *leased, change func(*delivery.Delivery, time.Time)) (*delivery.Delivery, error) {
	var stored *delivery.Delivery
	err := doc.Finish(ctx, func(d *delivery.Delivery, ch *docstore.Change) error {
		now := ds.Now()
		change(d, now)
		events, err := ds.events(d, d.Announce(now))
		if err != nil {
			return err
		}
		ch.Emit(events...)
		for _, typ := range d.AskAgain(now) {
			ch.Resend(ch.Latest(typ))
		}
		stored = d
		return nil
	})
	return stored, err
}

// exit brings licences to their end that the stored delivery has given up.
func (ds *Deliveries) exit(ctx context.Context, doc *leased, exits []delivery.Exit) error {
	var g errgroup.Group
	g.SetLimit(exitsAtOnce)
	for _, e := range exits {
		g.Go(func() error {
			end := ds.Licenses.Revoke
			if e.Return {
				end = ds.Licenses.Release
			}
			return end(ctx, doc.Body.Merchant, e.License, e.Unit, e.Why)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	_, err := ds.finish(ctx, doc, func(d *delivery.Delivery, _ time.Time) { d.Exited(exits) })
	return err
}

// exitsAtOnce is how many licences are brought to their end at once.
const exitsAtOnce = 16
