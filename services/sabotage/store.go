package sabotage

import (
	"context"
	"slices"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
)

// Store is a collection as a service with this sabotage has it. pause takes the
// time between reading and writing blindly; later calls what happens after a
// write, if the process lives that long.
func (k Kind) Store(collection string, inner docstore.Store, pause func(), later func(note func() error)) docstore.Store {
	switch {
	case k == ClaimBlindly && collection == "licenses":
		return &blind{inner, pause}
	case k == PublishOutside && collection == "orders":
		return &outside{inner, later}
	}
	return inner
}

// blind is a store whose updates write what they made of what they once read.
type blind struct {
	docstore.Store
	pause func()
}

// Update implements docstore.Store.
func (b *blind) Update(ctx context.Context, id string, change func(*docstore.Record) error) (*docstore.Record, error) {
	read, err := b.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := change(read); err != nil {
		return nil, err
	}
	b.pause()
	return b.Store.Update(ctx, id, func(rec *docstore.Record) error {
		*rec = *read
		return nil
	})
}

// outside is a store that keeps events out of the write that they belong to.
// They are noted some time after it.
type outside struct {
	docstore.Store
	later func(note func() error)
}

// Insert implements docstore.Store.
func (o *outside) Insert(ctx context.Context, rec *docstore.Record) error {
	stored := *rec
	stored.Outbox, stored.RelayAt = nil, time.Time{}
	stored.Published = stored.Emitted
	if err := o.Store.Insert(ctx, &stored); err != nil {
		return err
	}
	o.after(ctx, rec.ID, rec.Outbox)
	return nil
}

// Update implements docstore.Store.
func (o *outside) Update(ctx context.Context, id string, change func(*docstore.Record) error) (*docstore.Record, error) {
	var fresh []docstore.Entry
	var seen docstore.Record
	rec, err := o.Store.Update(ctx, id, func(rec *docstore.Record) error {
		had := rec.Emitted
		if err := change(rec); err != nil {
			return err
		}
		fresh, seen = nil, *rec
		rec.Outbox = slices.Clone(rec.Outbox)
		rec.Outbox = slices.DeleteFunc(rec.Outbox, func(e docstore.Entry) bool {
			isNew := e.Seq > had && e.Event.Resend == 0
			if isNew {
				fresh = append(fresh, e)
			}
			return isNew
		})
		rec.Published, rec.RelayAt = rec.Emitted, time.Time{}
		return nil
	})
	if err != nil {
		return nil, err
	}
	o.after(ctx, id, fresh)
	out := *rec
	out.Outbox, out.Published, out.RelayAt = seen.Outbox, seen.Published, seen.RelayAt
	return &out, nil
}

// after notes events, and that they are to be published, after the write.
func (o *outside) after(ctx context.Context, id string, events []docstore.Entry) {
	if len(events) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	o.later(func() error {
		_, err := o.Store.Update(ctx, id, func(rec *docstore.Record) error {
			rec.Outbox = append(rec.Outbox, events...)
			slices.SortFunc(rec.Outbox, func(a, b docstore.Entry) int { return int(a.Seq - b.Seq) })
			return nil
		})
		return err
	})
}

// Sent are the events that a service with this sabotage sends of those that it
// should.
func (k Kind) Sent(events []event.Event) []event.Event {
	if k != ForgetResend {
		return events
	}
	return slices.DeleteFunc(slices.Clone(events), func(e event.Event) bool { return e.Resend > 0 })
}
