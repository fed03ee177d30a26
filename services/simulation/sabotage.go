package simulation

import (
	"context"
	"net/http"
	"slices"
	"time"

	"quittance/pkg/docstore"
)

// Sabotage is a broken promise, built in from outside the services, to see that
// the checker notices.
type Sabotage string

// Sabotages.
const (
	// Honest is none.
	Honest Sabotage = ""
	// AckBeforeRecord: a postback is answered OK before callback-ingest has
	// recorded it, and so even if it never does.
	AckBeforeRecord Sabotage = "acknowledge before recording"
	// SkipAmount: whatever the customer paid, the services see the amount that
	// was ordered, as if they didn't look.
	SkipAmount Sabotage = "skip the amount check"
	// ClaimBlindly: licences are written without a comparison with what was read.
	ClaimBlindly Sabotage = "claim without compare-and-set"
	// PublishOutside: events are not in the write that they announce, but
	// published and noted after it.
	PublishOutside Sabotage = "publish outside the outbox"
	// ForgetResend: nothing is ever sent a second time.
	ForgetResend Sabotage = "forget to re-send"
)

// Sabotages lists them.
var Sabotages = []Sabotage{AckBeforeRecord, SkipAmount, ClaimBlindly, PublishOutside, ForgetResend}

// serve handles a request; a postback is answered before it is handled.
func (s Sabotage) serve(l *life, req *http.Request, handle func() page) page {
	if s != AckBeforeRecord || l.node.name != callbackName {
		return handle()
	}
	got := handle()
	if got.status == 0 || got.status == http.StatusServiceUnavailable {
		return page{status: http.StatusOK, body: "OK"} // it was said already
	}
	return got
}

// store returns the store as the sabotaged service has it.
func (s Sabotage) store(l *life, collection string, inner docstore.Store) docstore.Store {
	switch {
	case s == ClaimBlindly && collection == "licenses":
		return blind{inner}
	case s == PublishOutside && collection == "orders":
		return outside{inner, l}
	}
	return inner
}

// blind is a store whose updates write what they made of what they once read.
type blind struct{ docstore.Store }

// Update implements docstore.Store.
func (b blind) Update(ctx context.Context, id string, change func(*docstore.Record) error) (*docstore.Record, error) {
	read, err := b.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := change(read); err != nil {
		return nil, err
	}
	pause(300 * time.Millisecond)
	return b.Store.Update(ctx, id, func(rec *docstore.Record) error {
		*rec = *read
		return nil
	})
}

// outside is a store that keeps events out of the write that they belong to.
// They are noted some time after it, if the process lives that long.
type outside struct {
	docstore.Store
	life *life
}

// Insert implements docstore.Store.
func (o outside) Insert(ctx context.Context, rec *docstore.Record) error {
	stored := *rec
	stored.Outbox, stored.RelayAt = nil, time.Time{}
	stored.Published = stored.Emitted
	if err := o.Store.Insert(ctx, &stored); err != nil {
		return err
	}
	o.later(ctx, rec.ID, rec.Outbox)
	return nil
}

// Update implements docstore.Store.
func (o outside) Update(ctx context.Context, id string, change func(*docstore.Record) error) (*docstore.Record, error) {
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
	o.later(ctx, id, fresh)
	out := *rec
	out.Outbox, out.Published, out.RelayAt = seen.Outbox, seen.Published, seen.RelayAt
	return &out, nil
}

// later notes events, and that they are published.
func (o outside) later(ctx context.Context, id string, events []docstore.Entry) {
	if len(events) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	o.life.node.w.spawn(func() {
		pause(30 * time.Millisecond)
		if o.life.dead.Load() {
			return
		}
		_, err := o.Store.Update(ctx, id, func(rec *docstore.Record) error {
			rec.Outbox = append(rec.Outbox, events...)
			slices.SortFunc(rec.Outbox, func(a, b docstore.Entry) int { return int(a.Seq - b.Seq) })
			return nil
		})
		if err != nil {
			o.life.node.w.detail("events not noted: %v", err)
		}
	})
}
