// Package queues keeps the queue documents: it opens the collection, adds
// events to the queues of a merchant's endpoints, and does the due work.
package queues

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/service"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/endpoints"
	"quittance/services/notification/internal/history"
	"quittance/services/notification/internal/queue"
	"quittance/services/notification/internal/sender"
)

const (
	// minLease is the shortest lease of a queue.
	minLease = 30 * time.Second
	// rarely is how often the store is asked whether another process enabled an
	// endpoint.
	rarely = 5 * time.Second
)

// Options of the due work; all are needed.
type Options struct {
	// Workers is how many queues are worked on at once.
	Workers int
	// Hold is how long a queue whose events are all sent is kept in hand for the
	// next one, so that both need one write for their results; 0 or less: not.
	Hold time.Duration
}

// Queues is the collection and what its work needs.
type Queues struct {
	*docstore.Collection[queue.Queue]
	base      *service.Base
	endpoints *endpoints.Endpoints
	sender    *sender.Sender
	history   *history.Client
	opt       Options

	// busy counts workers with a queue in hand.
	busy atomic.Int64
	// letGo is done when nothing may be held any longer.
	letGo context.Context

	mu    sync.Mutex
	hands map[string]*hand
}

// Open opens the collection and adds its due work, and that of the endpoints,
// to the service.
func Open(ctx context.Context, b *service.Base, es *endpoints.Endpoints, s *sender.Sender, h *history.Client, opt Options) (*Queues, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[queue.Queue]{
		Name: "queues",
		Indexes: map[string]func(*queue.Queue) string{
			"latest": func(q *queue.Queue) string { return TimeKey(q.Latest()) },
			"paused": func(q *queue.Queue) string {
				if since, waits := q.Waiting(); waits {
					return q.Endpoint + "/" + TimeKey(since)
				}
				return ""
			},
		},
		NextDue: queue.NextDue,
	})
	if err != nil {
		return nil, err
	}
	letGo, release := context.WithCancel(context.WithoutCancel(ctx))
	qs := &Queues{
		Collection: coll, base: b, endpoints: es, sender: s, history: h, opt: opt,
		letGo: letGo, hands: map[string]*hand{},
	}
	service.Loop(b, coll, qs.work, due.Options{Workers: opt.Workers, Lease: max(minLease, 3*s.Timeout())})
	service.Loop(b, es.Collection, qs.resume, due.Options{Workers: 4, Poll: rarely})
	b.Go("letting go", func(ctx context.Context) error {
		<-ctx.Done()
		release()
		return nil
	})
	return qs, nil
}

// TimeKey formats a time so that keys sort by time; zero: empty.
func TimeKey(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("20060102T150405.000000000")
}

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

// Missing reports whether a queue should have these events of an order and has
// not.
func (qs *Queues) Missing(ctx context.Context, ep *endpoint.Endpoint, order string, events []queue.Event) (bool, error) {
	if _, any := addressed(ep, events); !any {
		return false, nil
	}
	doc, err := qs.For(ep.Merchant).Get(ctx, queue.DocID(order, ep.ID))
	if errors.Is(err, docstore.ErrNotFound) {
		return true, nil
	}
	return err == nil && !doc.Body.Knows(events), err
}

// Give adds events of one order to the queue of one endpoint.
func (qs *Queues) Give(ctx context.Context, ep *endpoint.Endpoint, order string, events []queue.Event) error {
	mine, any := addressed(ep, events)
	if !any || qs.skip(queue.DocID(order, ep.ID), mine) {
		return nil
	}
	now := qs.Now()
	change := func(q *queue.Queue) error {
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

// Replay has the given events of one order sent again to one endpoint, whatever
// became of them, and returns how many the endpoint subscribes to.
func (qs *Queues) Replay(ctx context.Context, ep *endpoint.Endpoint, h history.Order) (int, error) {
	mine := make([]queue.Event, 0, len(h.Events))
	for _, e := range h.Events {
		if !ep.Wants(e.Type) {
			e.State, e.Data = queue.Skipped, nil
		}
		mine = append(mine, e)
	}
	now := qs.Now()
	n := 0
	err := qs.put(ctx, ep, h.ID, false, func(q *queue.Queue) error {
		if n = q.Replay(mine, now); n == 0 {
			return docstore.ErrUnchanged
		}
		return nil
	})
	return n, err
}

// addressed tells for each event whether it is for the endpoint. The second
// result is false if all are older than it.
func addressed(ep *endpoint.Endpoint, events []queue.Event) ([]queue.Event, bool) {
	mine, young := make([]queue.Event, 0, len(events)), false
	for _, e := range events {
		old := ep.Precedes(e.Time)
		if old || !ep.Wants(e.Type) {
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
			q := &queue.Queue{Merchant: ep.Merchant, Endpoint: ep.ID, Order: order}
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
