// Package attempts keeps the attempt documents: it opens the collection, turns
// what happens to an attempt into events of the same write, and sends them
// again until verification has answered.
package attempts

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/service"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/payment-redirect/internal/attempt"
)

// MaxPerOrder is how many attempts an order can have: far more than any
// customer makes, few enough for what each costs us in questions to providers.
const MaxPerOrder = 30

// A provider that takes long to create payments holds up its own account only.
const (
	longest    = 2 * time.Minute
	perAccount = 8
)

// byOrder is the index of attempts by their order.
const byOrder = "order"

// Attempts is the collection of attempt documents.
type Attempts struct {
	*docstore.Collection[attempt.Attempt]
	base   *service.Base
	create Create
	// turns lets the attempts of one order start one after the other.
	turns [64]chan struct{}
}

// Open opens the collection and adds its due work to the service.
func Open(ctx context.Context, b *service.Base) (*Attempts, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[attempt.Attempt]{
		Name: "attempts", NextDue: attempt.NextDue,
		Indexes: map[string]func(*attempt.Attempt) string{byOrder: func(a *attempt.Attempt) string { return a.Order }},
	})
	if err != nil {
		return nil, err
	}
	as := &Attempts{Collection: coll, base: b}
	for i := range as.turns {
		as.turns[i] = make(chan struct{}, 1)
	}
	service.Loop(b, coll, as.work, due.Options{Longest: longest}).
		Lanes(perAccount, func(a *attempt.Attempt) string { return a.Account })
	return as, nil
}

// ID returns the attempt id of a natural key. Whoever knows an attempt's id can
// play the browser that comes back from it, so it is derived with our keyring:
// from the key alone, which others may know or guess, nobody can tell it.
func (as *Attempts) ID(key ...string) string {
	return id.Derived("pay", as.base.Keyring.Fingerprint([]byte(id.Derived("key", key...)), "payment attempt"))
}

// Start stores a new attempt and announces it, unless its payment must be
// created first. docstore.ErrExists if its id is
// taken; a fault.KindExhausted if its order has MaxPerOrder attempts. Several
// processes at once can exceed that by one each.
func (as *Attempts) Start(ctx context.Context, a *attempt.Attempt, create bool) (*docstore.Doc[attempt.Attempt], error) {
	done, err := as.turn(ctx, a.Order)
	if err != nil {
		return nil, err
	}
	defer done()
	erased, err := as.base.Erased(ctx, a.Order)
	if err != nil {
		return nil, err
	}
	if erased { // the order was read before it was
		return nil, fault.Conflict("the customer of order %s was erased", a.Order)
	}
	mine := as.For(a.Merchant)
	others, _, err := mine.Find(ctx, docstore.Query{Index: byOrder, Equal: a.Order, Limit: MaxPerOrder})
	if err != nil {
		return nil, err
	}
	if len(others) >= MaxPerOrder {
		if _, err := mine.Get(ctx, a.ID); err == nil {
			return nil, docstore.ErrExists
		} else if !errors.Is(err, docstore.ErrNotFound) {
			return nil, err
		}
		return nil, fault.Exhausted("too many payment attempts for this order")
	}
	if create {
		a.StartCreating(as.Now())
		return mine.Insert(ctx, a.ID, a)
	}
	a.Start(as.Now())
	e, err := as.event(event.PaymentStarted, a, a.Started())
	if err != nil {
		return nil, err
	}
	return mine.Insert(ctx, a.ID, a, e)
}

// OfOrder lists the attempts of a merchant's order, at most MaxPerOrder.
func (as *Attempts) OfOrder(ctx context.Context, merchant, order string) ([]*attempt.Attempt, error) {
	docs, _, err := as.For(merchant).Find(ctx, docstore.Query{Index: byOrder, Equal: order, Limit: MaxPerOrder})
	if err != nil {
		return nil, err
	}
	out := make([]*attempt.Attempt, 0, len(docs))
	for _, d := range docs {
		out = append(out, &d.Body)
	}
	return out, nil
}

// Erase drops whom an attempt was about.
func (as *Attempts) Erase(ctx context.Context, a *attempt.Attempt) error {
	return service.Erase(ctx, as.For(a.Merchant), a.ID, (*attempt.Attempt).Erase)
}

// turn waits until no other attempt of the order is being started. Orders share
// turns, which costs a wait and changes nothing else.
func (as *Attempts) turn(ctx context.Context, order string) (done func(), err error) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(order)) // never errs
	turn := as.turns[hash.Sum32()%uint32(len(as.turns))]
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to start an attempt: %w", ctx.Err())
	}
}

// Return notes that the browser came back, and announces it if that is news.
func (as *Attempts) Return(ctx context.Context, id string, r attempt.Return) (*docstore.Doc[attempt.Attempt], error) {
	return as.Update(ctx, id, func(a *attempt.Attempt, ch *docstore.Change) error {
		e, err := as.event(event.PaymentReturned, a, a.Returned(r))
		if err != nil {
			return err
		}
		if !a.Return(r, e.ID, as.Now()) {
			return docstore.ErrUnchanged
		}
		ch.Emit(e)
		return nil
	})
}

// Confirm notes and announces the merchant's word on its own attempt.
func (as *Attempts) Confirm(ctx context.Context, merchant, id string, c attempt.Confirmation) (*docstore.Doc[attempt.Attempt], error) {
	return as.For(merchant).Update(ctx, id, func(a *attempt.Attempt, ch *docstore.Change) error {
		news, err := a.Confirm(c, as.Now())
		if err != nil {
			return err
		}
		if !news {
			return docstore.ErrUnchanged
		}
		e, err := as.event(event.PaymentConfirmed, a, a.ConfirmedBy(c))
		if err != nil {
			return err
		}
		ch.Emit(e)
		return nil
	})
}

// Verify merges what verification says, and gives the attempt as it is then.
func (as *Attempts) Verify(ctx context.Context, f *eventv1.PaymentVerified) (*docstore.Doc[attempt.Attempt], error) {
	return as.For(f.GetMerchantId()).Update(ctx, f.GetAttemptId(), func(a *attempt.Attempt, _ *docstore.Change) error {
		if !a.Verify(f) {
			return docstore.ErrUnchanged
		}
		return nil
	})
}

// event is about an attempt; events of one order are handled one after the
// other.
func (as *Attempts) event(typ string, a *attempt.Attempt, payload proto.Message) (event.Event, error) {
	e, err := as.base.Event(typ, a.ID, a.Order, a.Merchant, payload)
	if err != nil {
		return event.Event{}, fmt.Errorf("announce %s: %w", typ, err)
	}
	return e, nil
}

// work sends everything that is known of an attempt again: verification may
// have missed any of it. An attempt that was answered meanwhile only gives its
// lease back.
func (as *Attempts) work(ctx context.Context, doc *due.Leased[attempt.Attempt]) error {
	if doc.Body.CreateDue(as.Now()) {
		return as.creation(ctx, doc)
	}
	return doc.Finish(ctx, func(a *attempt.Attempt, ch *docstore.Change) error {
		if !a.Resend(as.Now()) {
			return nil
		}
		ch.Resend(ch.Latest(event.PaymentStarted))
		for _, r := range a.Returns {
			ch.Resend(r.Event)
		}
		if a.Confirmed != nil {
			ch.Resend(ch.Latest(event.PaymentConfirmed))
		}
		return nil
	})
}
