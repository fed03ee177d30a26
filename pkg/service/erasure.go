package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/personal"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

// Erasure is the note that a service has been told to erase the personal data of
// an order's customer. It is kept for good: what comes again of the order, from
// the bus or from anywhere else, must not bring the data back.
type Erasure struct {
	Order    string    `json:"order"`
	Merchant string    `json:"merchant"`
	At       time.Time `json:"at"`
}

// byKey is the index of parked events by their key.
const byKey = "key"

// pageOfParked is how many parked events are erased together.
const pageOfParked = 100

// erase erases what a service holds of an order's customer, and names the keys,
// beside the order, of events that are about it. It runs again whenever the order
// asks again: what is erased already must stay as it is.
type erase func(ctx context.Context, merchant, order string) (keys []string, err error)

// Erases makes the service erase personal data when an order's customer was
// erased, and answer the order for it. A handler that the service has for that
// event already runs when all is erased, before the answer.
func Erases(ctx context.Context, b *Base, do erase) error {
	coll, err := Open(ctx, b, docstore.Spec[Erasure]{Name: "erasures"})
	if err != nil {
		return err
	}
	b.erasures = coll
	then := b.handlers[event.CustomerErased]
	b.On(event.CustomerErased, func(ctx context.Context, e event.Event) error { return b.erase(ctx, e, do, then) })
	return nil
}

func erasureID(order string) string { return id.Derived("ers", order) }

// erase notes the erasure first, so that what comes meanwhile brings nothing back.
func (b *Base) erase(ctx context.Context, e event.Event, do erase, then bus.Handler) error {
	fact := &eventv1.OrderEvent{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	order, merchant := fact.GetOrder().GetId(), fact.GetOrder().GetMerchantId()
	if order == "" || merchant == "" {
		return bus.Permanent(fmt.Errorf("%s %s names no order", e.Type, e.ID))
	}
	note := &Erasure{Order: order, Merchant: merchant, At: b.Now()}
	if _, err := b.erasures.For(merchant).Insert(ctx, erasureID(order), note); err != nil && !errors.Is(err, docstore.ErrExists) {
		return err
	}
	keys, err := do(ctx, merchant, order)
	if err != nil {
		return fmt.Errorf("erase the customer of order %s: %w", order, err)
	}
	if err := b.EraseParked(ctx, append(keys, order)...); err != nil {
		return err
	}
	if then != nil {
		if err := then(ctx, e); err != nil {
			return err
		}
	}
	answer, err := b.Event(event.ErasureAcknowledged, order, order, merchant, &eventv1.ErasureAcknowledged{OrderId: order, Service: b.Name})
	if err != nil {
		return err
	}
	_, err = b.erasures.For(merchant).Update(ctx, erasureID(order), func(_ *Erasure, ch *docstore.Change) error {
		if said := ch.Latest(event.ErasureAcknowledged); said != "" {
			ch.Resend(said)
			return nil
		}
		ch.Emit(answer)
		return nil
	})
	return err
}

// Erased reports whether the customer of an order is erased, as far as this
// service knows.
func (b *Base) Erased(ctx context.Context, order string) (bool, error) {
	if b.erasures == nil {
		return false, nil
	}
	switch _, err := b.erasures.Get(ctx, erasureID(order)); {
	case errors.Is(err, docstore.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

// Forgetful is a handler that gets events about an erased order, which is their
// key, without personal data: however late they come, it can't keep any.
func (b *Base) Forgetful(h bus.Handler) bus.Handler {
	return func(ctx context.Context, e event.Event) error {
		e, err := b.forget(ctx, e)
		if err != nil {
			return err
		}
		return h(ctx, e)
	}
}

func (b *Base) forget(ctx context.Context, e event.Event) (event.Event, error) {
	erased, err := b.Erased(ctx, e.Key)
	if err != nil || !erased {
		return e, err
	}
	data, err := personal.Erased(e)
	if err != nil {
		return e, bus.Permanent(err)
	}
	e.Data = data
	return e, nil
}

// EraseParked takes the personal data out of the parked events with these keys.
func (b *Base) EraseParked(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		for d, err := range b.parked.All(ctx, docstore.Query{AllTenants: true, Index: byKey, Equal: key, Limit: pageOfParked}) {
			if err != nil {
				return err
			}
			_, err := b.parked.Update(ctx, d.ID, func(p *Parked, _ *docstore.Change) error {
				data, err := personal.Erased(p.Event)
				if err != nil { // nobody can read it, so nobody can say what is in it
					data = nil
				}
				if string(data) == string(p.Event.Data) {
					return docstore.ErrUnchanged
				}
				p.Event.Data = data
				return nil
			})
			if err != nil && !errors.Is(err, docstore.ErrNotFound) {
				return err
			}
		}
	}
	return nil
}

// Erase erases a document of a merchant: its body as forget does, which reports
// whether it changed anything, and in the same write the personal data in the
// events that it has announced.
func Erase[T any](ctx context.Context, docs docstore.Tenant[T], id string, forget func(*T) bool) error {
	_, err := docs.Update(ctx, id, func(body *T, ch *docstore.Change) error { return Forget(body, ch, forget) })
	return err
}

// Forget is Erase within an update; docstore.ErrUnchanged if there was nothing to
// erase.
func Forget[T any](body *T, ch *docstore.Change, forget func(*T) bool) error {
	changed := forget(body)
	rewritten, err := ch.Rewrite(personal.Erased)
	if err != nil {
		return err
	}
	if !changed && !rewritten {
		return docstore.ErrUnchanged
	}
	return nil
}
