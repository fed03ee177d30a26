// Package upkeep keeps the licences right behind the back of the orders' path:
// the audit finds what a crash left held, and resealing follows the rotation of
// the key-encryption key. Each chore is a document that is due again and again,
// so one replica does it at a time and another goes on where it stopped.
package upkeep

import (
	"context"
	"errors"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/service"
	"quittance/services/delivery/internal/deliveries"
	"quittance/services/delivery/internal/licenses"
)

const (
	auditID  = "chr_audit"
	resealID = "chr_reseal"

	// margin is what a turn leaves of its time for its last page and write.
	margin = 12 * time.Second
	// poll is how often the store is asked whether it is time.
	poll = 5 * time.Second
	// page is how many licences are looked at together.
	page = 500
)

// Chore is the stored document.
type Chore struct {
	// Next is when to do it.
	Next time.Time `json:"next"`
	// At is how far the chore has come.
	At string `json:"at,omitempty"`
	// Waiting are licences on which the audit found nothing to say yet.
	Waiting []string `json:"waiting,omitempty"`
	// Key is the primary key with which everything is sealed.
	Key string `json:"key,omitempty"`
	// Begun is the primary key with which At counts.
	Begun string `json:"begun,omitempty"`
}

// Upkeep does the chores.
type Upkeep struct {
	coll       *docstore.Collection[Chore]
	base       *service.Base
	licenses   *licenses.Licenses
	deliveries *deliveries.Deliveries
	// Others are what else is sealed.
	others []Resealer
}

// Resealer seals anew what is sealed with another than the primary key, in one
// go.
type Resealer interface {
	Reseal(ctx context.Context) error
}

// Open adds the upkeep to the service. The first audit comes soon after the
// start, because a start may follow a crash.
func Open(ctx context.Context, b *service.Base, ls *licenses.Licenses, ds *deliveries.Deliveries, others ...Resealer) error {
	coll, err := service.Open(ctx, b, docstore.Spec[Chore]{
		Name:    "upkeep",
		NextDue: func(c *Chore) time.Time { return c.Next },
	})
	if err != nil {
		return err
	}
	u := &Upkeep{coll: coll, base: b, licenses: ls, deliveries: ds, others: others}
	service.Loop(b, coll, u.work, due.Options{Workers: 2, Poll: poll})
	b.Go("upkeep", u.start)
	return nil
}

// start plans the chores, as soon as the store can be written to.
func (u *Upkeep) start(ctx context.Context) error {
	for {
		err := errors.Join(u.plan(ctx, auditID, u.base.Now().Add(grace)), u.plan(ctx, resealID, u.base.Now()))
		if err == nil {
			break
		}
		u.base.Log.WarnContext(ctx, "upkeep waits for its store", "error", err)
		timer := time.NewTimer(retry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// plan makes a chore due at a time, or earlier if it is so already.
func (u *Upkeep) plan(ctx context.Context, id string, at time.Time) error {
	_, err := u.coll.Insert(ctx, id, "", &Chore{Next: at})
	if errors.Is(err, docstore.ErrExists) {
		_, err = u.coll.Update(ctx, id, func(c *Chore, _ *docstore.Change) error {
			if !c.Next.IsZero() && !c.Next.After(at) {
				return docstore.ErrUnchanged
			}
			c.Next = at
			return nil
		})
	}
	return err
}

func (u *Upkeep) work(ctx context.Context, doc *due.Leased[Chore]) error {
	do := u.audit
	if doc.ID == resealID {
		do = u.reseal
	}
	next := doc.Body
	err := do(ctx, &next)
	if err != nil {
		u.base.Log.WarnContext(ctx, "upkeep waits", "chore", doc.ID, "error", err)
		next.Next = u.base.Now().Add(retry)
	}
	return doc.Finish(ctx, func(c *Chore, _ *docstore.Change) error {
		*c = next
		return nil
	})
}

// retry is the pause after a turn that could not get on.
const retry = 10 * time.Second

// left reports whether a turn has time for another page.
func left(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > margin
}
