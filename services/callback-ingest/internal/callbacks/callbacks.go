// Package callbacks keeps the callback documents: it opens the collection,
// records callbacks together with the event that announces them, sends that
// event again until it is answered, and carries callbacks past a store that is
// down.
package callbacks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/pkg/provider"
	"quittance/pkg/service"
	"quittance/services/callback-ingest/internal/callback"
)

// Callbacks is the collection of callback documents.
type Callbacks struct {
	*docstore.Collection[callback.Callback]
	base *service.Base
	keep time.Duration
}

// Indexes of callbacks: by the time at which they came, and by the order that
// verification said they are about.
const (
	ByReceived = "received"
	byOrder    = "order"
)

func timeKey(t time.Time) string { return t.UTC().Format("20060102T150405.000000000") }

// Open opens the collection and adds its due work to the service. Raw requests
// are kept for the given time.
func Open(ctx context.Context, b *service.Base, keep time.Duration) (*Callbacks, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[callback.Callback]{
		Name: "callbacks",
		Indexes: map[string]func(*callback.Callback) string{
			ByReceived: func(c *callback.Callback) string { return timeKey(c.Received) },
			byOrder:    func(c *callback.Callback) string { return c.Order },
		},
		NextDue: callback.Due(keep),
	})
	if err != nil {
		return nil, err
	}
	cs := &Callbacks{Collection: coll, base: b, keep: keep}
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
	if err := cs.seal(c); err != nil {
		return false, err
	}
	_, err = cs.For(c.Merchant).Insert(ctx, c.ID, c, events...)
	if errors.Is(err, docstore.ErrExists) {
		return true, nil
	}
	return false, err
}

// Answered notes that verification has dealt with a callback, which is about an
// order. If that order's customer is erased, so is what the callback said of them.
func (cs *Callbacks) Answered(ctx context.Context, callbackID, order string, erased bool) error {
	_, err := cs.Update(ctx, callbackID, func(c *callback.Callback, ch *docstore.Change) error {
		news := c.Answer(order, cs.Now())
		if erased {
			return service.Forget(c, ch, func(c *callback.Callback) bool { return c.Erase() || news })
		}
		if !news {
			return docstore.ErrUnchanged
		}
		return nil
	})
	return err
}

// pageOfCallbacks is how many callbacks are erased together.
const pageOfCallbacks = 100

// Erase erases what the callbacks about a merchant's order say of its customer, and
// names the keys of events about them.
func (cs *Callbacks) Erase(ctx context.Context, merchant, order string) ([]string, error) {
	var keys []string
	for d, err := range cs.For(merchant).All(ctx, docstore.Query{Index: byOrder, Equal: order, Limit: pageOfCallbacks}) {
		if err != nil {
			return nil, err
		}
		if err := service.Erase(ctx, cs.For(merchant), d.ID, (*callback.Callback).Erase); err != nil {
			return nil, err
		}
		keys = append(keys, d.Body.Key())
	}
	return keys, nil
}

// work sends callback.received again, and forgets requests that were kept for
// long enough: of refused callbacks all, of others the raw request. A callback
// that was answered meanwhile only gives its lease back.
func (cs *Callbacks) work(ctx context.Context, doc *due.Leased[callback.Callback]) error {
	if c := doc.Body; c.State() == callback.Refused && c.Forget(cs.Now(), cs.keep) {
		_, err := cs.Delete(ctx, doc.ID, doc.Version)
		return err
	}
	return doc.Finish(ctx, func(c *callback.Callback, ch *docstore.Change) error {
		c.Forget(cs.Now(), cs.keep)
		if c.Resend(cs.Now()) {
			ch.Resend(ch.Latest(event.CallbackReceived))
		}
		return nil
	})
}

// seal turns the raw request into what is stored of it.
func (cs *Callbacks) seal(c *callback.Callback) error {
	if c.Raw != "" || c.Request.Method == "" {
		return nil
	}
	raw, err := json.Marshal(c.Request)
	if err != nil {
		return fmt.Errorf("encode request of callback %s: %w", c.ID, err)
	}
	c.Raw, err = cs.base.Keyring.Seal(raw, sealContext(c.ID))
	return err
}

// SealToken seals a callback's one-click token for who keeps it; empty if there
// is none, or none can be sealed: a callback is not refused for that.
func (cs *Callbacks) SealToken(account string, cb provider.Callback) string {
	if cb.OneClickToken == "" || !cb.Signed || cb.Reference == "" {
		return ""
	}
	sealed, err := cs.base.Keyring.Seal([]byte(cb.OneClickToken.Reveal()), provider.OneClickContext(account, cb.Reference))
	if err != nil {
		return ""
	}
	return sealed
}

func sealContext(callbackID string) string { return "callback/" + callbackID }

// Request is a callback's raw request, false if it was forgotten.
func (cs *Callbacks) Request(c *callback.Callback) (r callback.Request, ok bool, err error) {
	if c.Raw == "" {
		return r, false, nil
	}
	raw, err := cs.base.Keyring.Open(c.Raw, sealContext(c.ID))
	if err != nil {
		return r, false, fmt.Errorf("open request of callback %s: %w", c.ID, err)
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, false, fmt.Errorf("decode request of callback %s: %w", c.ID, err)
	}
	return r, true, nil
}

// Replay has a merchant's accepted callback sent again.
func (cs *Callbacks) Replay(ctx context.Context, merchant, callbackID string) (*callback.Callback, error) {
	doc, err := cs.For(merchant).Update(ctx, callbackID, func(c *callback.Callback, ch *docstore.Change) error {
		if !c.Replay(cs.Now()) {
			return docstore.ErrUnchanged
		}
		ch.Resend(ch.Latest(event.CallbackReceived))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &doc.Body, nil
}
