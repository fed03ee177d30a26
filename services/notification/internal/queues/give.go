package queues

import (
	"context"
	"errors"
	"time"

	"quittance/pkg/docstore"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/history"
	"quittance/services/notification/internal/queue"
)

// Take adds events of one order, all pending, to the queue of each of the
// merchant's endpoints. Events that a queue has change nothing.
func (qs *Queues) Take(ctx context.Context, merchant, order string, events []queue.Event) error {
	eps, err := qs.endpoints.Of(ctx, merchant)
	if err != nil {
		return err
	}
	var errs []error
	for _, ep := range eps {
		errs = append(errs, qs.Give(ctx, ep, order, events))
	}
	return errors.Join(errs...)
}

// TakeSingle adds an event that is about no order to a queue of its own for each
// of the merchant's endpoints but one, which the event is about.
func (qs *Queues) TakeSingle(ctx context.Context, merchant string, e queue.Event, except string) error {
	eps, err := qs.endpoints.Of(ctx, merchant)
	if err != nil {
		return err
	}
	var errs []error
	for _, ep := range eps {
		if ep.ID != except {
			errs = append(errs, qs.single(ctx, ep, "", e))
		}
	}
	return errors.Join(errs...)
}

// Test adds an example to a queue of its own.
func (qs *Queues) Test(ctx context.Context, ep *endpoint.Endpoint, e queue.Event) error {
	return qs.insert(ctx, ep, "", e)
}

// Missing reports whether a queue should have these events of an order and has
// not.
func (qs *Queues) Missing(ctx context.Context, ep *endpoint.Endpoint, order string, events []queue.Event) (bool, error) {
	mine, any := qs.addressed(ep, events, qs.Now())
	if !any {
		return false, nil
	}
	if ep.Unordered {
		return qs.missingSingle(ctx, ep, mine)
	}
	doc, err := qs.For(ep.Merchant).Get(ctx, queue.DocID(order, ep.ID))
	if errors.Is(err, docstore.ErrNotFound) {
		return true, nil
	}
	return err == nil && !doc.Body.Knows(mine), err
}

// missingSingle reports whether an event that has a queue of its own has none.
func (qs *Queues) missingSingle(ctx context.Context, ep *endpoint.Endpoint, events []queue.Event) (bool, error) {
	for _, e := range events {
		if e.State != queue.Pending {
			continue
		}
		_, err := qs.For(ep.Merchant).Get(ctx, queue.DocID(e.ID, ep.ID))
		if errors.Is(err, docstore.ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// Give adds events of one order to the queue of one endpoint.
func (qs *Queues) Give(ctx context.Context, ep *endpoint.Endpoint, order string, events []queue.Event) error {
	if ep.Unordered {
		var errs []error
		for _, e := range events {
			errs = append(errs, qs.single(ctx, ep, order, e))
		}
		return errors.Join(errs...)
	}
	now := qs.Now()
	mine, any := qs.addressed(ep, events, now)
	if !any || qs.skip(queue.DocID(order, ep.ID), mine) {
		return nil
	}
	change := func(q *queue.Queue) error {
		mine, _ := qs.addressed(ep, events, q.Created)
		if !q.Take(mine, now) {
			return docstore.ErrUnchanged
		}
		if ep.Disabled {
			q.Pause()
		} else {
			q.Resume(now)
		}
		return nil
	}
	return qs.put(ctx, ep, order, mine[0].Sequence == 1, change)
}

// single gives an event a queue of its own, if it is for the endpoint and has
// none.
func (qs *Queues) single(ctx context.Context, ep *endpoint.Endpoint, order string, e queue.Event) error {
	if mine, any := qs.addressed(ep, []queue.Event{e}, qs.Now()); !any || mine[0].State != queue.Pending {
		return nil
	}
	if _, err := qs.For(ep.Merchant).Get(ctx, queue.DocID(e.ID, ep.ID)); !errors.Is(err, docstore.ErrNotFound) {
		return err
	}
	return qs.insert(ctx, ep, order, e)
}

func (qs *Queues) insert(ctx context.Context, ep *endpoint.Endpoint, order string, e queue.Event) error {
	now := qs.Now()
	q := &queue.Queue{Merchant: ep.Merchant, Endpoint: ep.ID, Order: order, Created: now, Single: true}
	q.Take([]queue.Event{e}, now)
	if ep.Disabled && !e.Test {
		q.Pause()
	}
	_, err := qs.For(ep.Merchant).Insert(ctx, queue.DocID(e.ID, ep.ID), q)
	if errors.Is(err, docstore.ErrExists) {
		return nil
	}
	return err
}

// Replay has those of the given events of one order sent again to one endpoint
// that again says so of (see queue.Replay), and returns how many. all: also
// those that the endpoint would not get otherwise because they are older than it.
func (qs *Queues) Replay(ctx context.Context, ep *endpoint.Endpoint, h history.Order, all bool, again func(queue.Event) bool) (int, error) {
	now := qs.Now()
	mine, _ := qs.addressed(ep, h.Events, time.Time{})
	for i, e := range h.Events {
		if all && again(e) && ep.Wants(e.Type, (*endpoint.Order)(e.About)) {
			mine[i] = e
		}
	}
	if !ep.Unordered {
		n := 0
		err := qs.put(ctx, ep, h.ID, false, func(q *queue.Queue) error {
			if n = q.Replay(mine, wanted(mine, again), now); n == 0 {
				return docstore.ErrUnchanged
			}
			return nil
		})
		return n, err
	}
	sum := 0
	for _, e := range mine {
		if e.State != queue.Pending {
			continue
		}
		n := 0
		_, err := qs.For(ep.Merchant).Update(ctx, queue.DocID(e.ID, ep.ID), func(q *queue.Queue, _ *docstore.Change) error {
			if n = q.Replay([]queue.Event{e}, again, now); n == 0 {
				return docstore.ErrUnchanged
			}
			return nil
		})
		if errors.Is(err, docstore.ErrNotFound) && again(e) {
			n, err = 1, qs.insert(ctx, ep, h.ID, e)
		}
		if err != nil && !errors.Is(err, docstore.ErrNotFound) {
			return sum, err
		}
		sum += n
	}
	return sum, nil
}

// wanted is again for those that are pending in a list.
func wanted(list []queue.Event, again func(queue.Event) bool) func(queue.Event) bool {
	pending := map[int64]bool{}
	for _, e := range list {
		pending[e.Sequence] = e.State == queue.Pending
	}
	return func(e queue.Event) bool { return pending[e.Sequence] && again(e) }
}

// addressed tells for each event whether it is for the endpoint. The second
// result is false if all are older than it, or than what a queue made at that
// time can have missed: those were sent before the queue was removed.
func (qs *Queues) addressed(ep *endpoint.Endpoint, events []queue.Event, made time.Time) ([]queue.Event, bool) {
	horizon := made.Add(safety - qs.opt.Keep)
	mine, young := make([]queue.Event, 0, len(events)), false
	for _, e := range events {
		old := ep.Precedes(e.Time) || !made.IsZero() && e.Time.Before(horizon)
		if old || !ep.Wants(e.Type, (*endpoint.Order)(e.About)) {
			e.State, e.Data = queue.Skipped, nil
		}
		mine, young = append(mine, e), young || !old
	}
	return mine, young
}

// put changes a queue, or a new one if there is none; fresh says which is more
// likely. change may run several times.
func (qs *Queues) put(ctx context.Context, ep *endpoint.Endpoint, order string, fresh bool, change func(*queue.Queue) error) error {
	id := queue.DocID(order, ep.ID)
	mine := qs.For(ep.Merchant)
	for {
		var err error
		if fresh {
			q := &queue.Queue{Merchant: ep.Merchant, Endpoint: ep.ID, Order: order, Created: qs.Now()}
			if err = change(q); errors.Is(err, docstore.ErrUnchanged) {
				return nil
			}
			if err == nil {
				_, err = mine.Insert(ctx, id, q)
			}
		} else {
			_, err = mine.Update(ctx, id, func(q *queue.Queue, _ *docstore.Change) error {
				qs.recall(id, q)
				return change(q)
			})
		}
		switch {
		case fresh && errors.Is(err, docstore.ErrExists), !fresh && errors.Is(err, docstore.ErrNotFound):
			fresh = !fresh
		default:
			return err
		}
	}
}

// Again sends the one event of a queue again that is about no order.
func (qs *Queues) Again(ctx context.Context, d *docstore.Doc[queue.Queue]) error {
	now := qs.Now()
	_, err := qs.For(d.Body.Merchant).Update(ctx, d.ID, func(q *queue.Queue, _ *docstore.Change) error {
		q.Again(now)
		return nil
	})
	return err
}
