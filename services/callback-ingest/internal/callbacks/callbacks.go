// Package callbacks keeps the callback documents: it opens the collection,
// records callbacks together with the event that announces them, sends that
// event again until it is answered, and carries callbacks past a store that is
// down.
package callbacks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/pkg/service"
	"quittance/services/callback-ingest/internal/callback"
)

// Callbacks is the collection of callback documents.
type Callbacks struct {
	*docstore.Collection[callback.Callback]
	base *service.Base
}

// ByReceived is the index of the time at which a callback came.
const ByReceived = "received"

func timeKey(t time.Time) string { return t.UTC().Format("20060102T150405.000000000") }

// Open opens the collection and adds its due work to the service.
func Open(ctx context.Context, b *service.Base) (*Callbacks, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[callback.Callback]{
		Name: "callbacks",
		Indexes: map[string]func(*callback.Callback) string{
			ByReceived: func(c *callback.Callback) string { return timeKey(c.Received) },
		},
		NextDue: callback.NextDue,
	})
	if err != nil {
		return nil, err
	}
	cs := &Callbacks{Collection: coll, base: b}
	service.Loop(b, coll, cs.work, due.Options{})
	return cs, nil
}

// Record stores a callback, and announces it unless it was refused. It reports
// whether the callback is on record already; then nothing is written.
func (cs *Callbacks) Record(ctx context.Context, c *callback.Callback) (repeated bool, err error) {
	var events []event.Event
	switch c.State() {
	case callback.Waiting:
		c.Send(cs.Now())
		e, err := cs.base.Event(event.CallbackReceived, c.ID, c.Key(), c.Merchant, c.Payload())
		if err != nil {
			return false, fmt.Errorf("announce callback %s: %w", c.ID, err)
		}
		events = append(events, e)
	case callback.Refused, callback.Answered:
	}
	_, err = cs.For(c.Merchant).Insert(ctx, c.ID, c, events...)
	if errors.Is(err, docstore.ErrExists) {
		return true, nil
	}
	return false, err
}

// Answered notes that verification has dealt with a callback.
func (cs *Callbacks) Answered(ctx context.Context, callbackID string) error {
	_, err := cs.Update(ctx, callbackID, func(c *callback.Callback, _ *docstore.Change) error {
		if !c.Answer(cs.Now()) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	return err
}

// work sends callback.received again. A callback that was answered meanwhile
// only gives its lease back.
func (cs *Callbacks) work(ctx context.Context, doc *due.Leased[callback.Callback]) error {
	return doc.Finish(ctx, func(c *callback.Callback, ch *docstore.Change) error {
		if c.Resend(cs.Now()) {
			ch.Resend(ch.Latest(event.CallbackReceived))
		}
		return nil
	})
}
