// Package catchup finds the events that the bus lost: it reads the public
// history of all orders from the order service, from where it last stopped, and
// gives the queues and the letters to customers what they lack (P5, P7). Where it stopped is a document, and
// reading on is due work on it, so one replica does it at a time.
package catchup

import (
	"context"
	"errors"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/service"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/endpoints"
	"quittance/services/notification/internal/history"
	"quittance/services/notification/internal/letters"
	"quittance/services/notification/internal/queues"
)

const (
	// docID is the id of the one document: the history of orders.
	docID = "cur_orders"
	// margin is what a turn leaves of its time for its last page and write.
	margin = 12 * time.Second
	// poll is how often the store is asked whether it is time.
	poll = 5 * time.Second
	// retry is the pause after a turn that could not get on.
	retry = 10 * time.Second
)

// Cursor is the stored document.
type Cursor struct {
	// At is the order service's; empty: the beginning.
	At string `json:"at"`
	// Next is when to read on.
	Next time.Time `json:"next"`
}

// CatchUp reads the history.
type CatchUp struct {
	coll      *docstore.Collection[Cursor]
	base      *service.Base
	history   *history.Client
	endpoints *endpoints.Endpoints
	queues    *queues.Queues
	letters   *letters.Letters
	every     time.Duration
}

// Open adds the catching up to the service: at its start, and as often as said.
func Open(ctx context.Context, b *service.Base, h *history.Client, es *endpoints.Endpoints, qs *queues.Queues, ls *letters.Letters, every time.Duration) error {
	coll, err := service.Open(ctx, b, docstore.Spec[Cursor]{
		Name:    "cursors",
		NextDue: func(c *Cursor) time.Time { return c.Next },
	})
	if err != nil {
		return err
	}
	c := &CatchUp{coll: coll, base: b, history: h, endpoints: es, queues: qs, letters: ls, every: every}
	service.Loop(b, coll, c.work, due.Options{Workers: 1, Poll: poll})
	now := b.Now()
	_, err = coll.Insert(ctx, docID, "", &Cursor{Next: now})
	if errors.Is(err, docstore.ErrExists) {
		_, err = coll.Update(ctx, docID, func(c *Cursor, _ *docstore.Change) error {
			c.Next = now
			return nil
		})
	}
	return err
}

// work reads page after page as long as there are more and its time lasts.
func (c *CatchUp) work(ctx context.Context, doc *due.Leased[Cursor]) error {
	at, more := doc.Body.At, true
	var failed error
	for more && failed == nil && left(ctx) > 0 {
		page, err := c.history.Page(ctx, at)
		if err == nil {
			err = c.give(ctx, page)
		}
		if failed = err; err == nil {
			at, more = page.Cursor, page.More
		}
	}
	pause := c.every
	switch {
	case failed != nil:
		c.base.Log.WarnContext(ctx, "catching up waits", "error", failed)
		pause = min(retry, c.every)
	case more:
		pause = 0
	}
	now := c.coll.Now()
	return doc.Finish(ctx, func(cur *Cursor, _ *docstore.Change) error {
		cur.At, cur.Next = at, now.Add(pause)
		return nil
	})
}

func left(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	return time.Until(deadline) - margin
}

// give gives queues and letters what they lack of a page. The endpoints are read after
// the page, so that none can be younger than an event it should hear of and be
// overlooked.
func (c *CatchUp) give(ctx context.Context, page history.Page) error {
	byMerchant := map[string][]*endpoint.Endpoint{}
	found := 0
	for _, o := range page.Orders {
		if err := c.letters.CatchUp(ctx, o.Merchant, o.ID, o.Events); err != nil {
			return err
		}
		eps, read := byMerchant[o.Merchant]
		if !read {
			var err error
			if eps, err = c.endpoints.Of(ctx, o.Merchant); err != nil {
				return err
			}
			byMerchant[o.Merchant] = eps
		}
		for _, ep := range eps {
			missing, err := c.queues.Missing(ctx, ep, o.ID, o.Events)
			if err != nil {
				return err
			}
			if !missing {
				continue
			}
			found++
			if err := c.queues.Give(ctx, ep, o.ID, o.Events); err != nil {
				return err
			}
		}
	}
	if found > 0 {
		c.base.Log.InfoContext(ctx, "found events that the bus had not brought", "queues", found)
	}
	return nil
}
