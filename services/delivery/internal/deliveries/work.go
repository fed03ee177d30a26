package deliveries

import (
	"context"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/services/delivery/internal/delivery"
)

// leased is a delivery in the hands of this process.
type leased = due.Leased[delivery.Delivery]

// work does what a delivery is due for: mails first, they finish lines.
func (ds *Deliveries) work(ctx context.Context, doc *leased) error {
	now := ds.Now()
	if letters := doc.Body.Letters(now); len(letters) > 0 {
		outcomes := ds.sendAll(ctx, &doc.Body, letters)
		_, err := ds.finish(ctx, doc, func(d *delivery.Delivery, now time.Time) {
			for _, o := range outcomes {
				o.apply(d, now)
			}
		})
		return err
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
		if d.AskAgain(now) {
			ch.Resend(ch.Latest(event.DeliveryCompleted))
		}
		stored = d
		return nil
	})
	return stored, err
}
