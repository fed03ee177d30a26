// Package attempts keeps the attempt documents: it opens the collection, turns
// what happens to an attempt into events of the same write, and sends them
// again until verification has answered.
package attempts

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/pkg/service"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/payment-redirect/internal/attempt"
)

// Attempts is the collection of attempt documents.
type Attempts struct {
	*docstore.Collection[attempt.Attempt]
	base *service.Base
}

// Open opens the collection and adds its due work to the service.
func Open(ctx context.Context, b *service.Base) (*Attempts, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[attempt.Attempt]{Name: "attempts", NextDue: attempt.NextDue})
	if err != nil {
		return nil, err
	}
	as := &Attempts{Collection: coll, base: b}
	service.Loop(b, coll, as.work, due.Options{})
	return as, nil
}

// Start stores a new attempt and announces it. docstore.ErrExists if its id is
// taken.
func (as *Attempts) Start(ctx context.Context, a *attempt.Attempt) (*docstore.Doc[attempt.Attempt], error) {
	a.Start(as.Now())
	e, err := as.event(event.PaymentStarted, a, a.Started())
	if err != nil {
		return nil, err
	}
	return as.For(a.Merchant).Insert(ctx, a.ID, a, e)
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

// Verify merges what verification says.
func (as *Attempts) Verify(ctx context.Context, f *eventv1.PaymentVerified) error {
	_, err := as.For(f.GetMerchantId()).Update(ctx, f.GetAttemptId(), func(a *attempt.Attempt, _ *docstore.Change) error {
		if !a.Verify(f) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	return err
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
