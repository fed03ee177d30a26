// Package queues keeps the queue documents: it opens the collection, adds
// events to the queues of a merchant's endpoints, and does the due work.
package queues

import (
	"context"
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
	// safety is by how much an event is taken for older than what is kept before
	// its queue may be removed.
	safety = 24 * time.Hour
)

// Options of the due work; all are needed.
type Options struct {
	// Workers is how many queues are worked on at once.
	Workers int
	// Hold is how long a queue whose events are all sent is kept in hand for the
	// next one, so that both need one write for their results; 0 or less: not.
	Hold time.Duration
	// GiveUp is after how long of nothing but failures an endpoint is disabled.
	GiveUp time.Duration
	// Keep is how long queues are kept after their last event.
	Keep time.Duration
}

// Noticer takes notices for merchants. Giving one again changes nothing.
type Noticer interface {
	// Exhausted tells of an event that failed for good.
	Exhausted(ctx context.Context, ep *endpoint.Endpoint, order string, e queue.Event, at time.Time) error
	// Give tells what an endpoint has noted about itself.
	Give(ctx context.Context, ep *endpoint.Endpoint, n endpoint.Notice) error
}

// Queues is the collection and what its work needs.
type Queues struct {
	*docstore.Collection[queue.Queue]
	base      *service.Base
	endpoints *endpoints.Endpoints
	sender    *sender.Sender
	history   *history.Client
	notices   Noticer
	opt       Options
	runs      runs

	// busy counts workers with a queue in hand.
	busy atomic.Int64
	// letGo is done when nothing may be held any longer.
	letGo context.Context

	mu    sync.Mutex
	hands map[string]*hand
}

// Open opens the collection and adds its due work, and that of the endpoints,
// to the service.
func Open(ctx context.Context, b *service.Base, es *endpoints.Endpoints, s *sender.Sender, h *history.Client, n Noticer, opt Options) (*Queues, error) {
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
			byOrder: func(q *queue.Queue) string { return q.Order },
			// Where a queue's id doesn't say the order.
			"single": func(q *queue.Queue) string {
				if q.Single {
					return q.Order
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
		Collection: coll, base: b, endpoints: es, sender: s, history: h, notices: n, opt: opt,
		runs: newRuns(), letGo: letGo, hands: map[string]*hand{},
	}
	service.Loop(b, coll, qs.work, due.Options{Workers: opt.Workers, Lease: max(minLease, s.Longest()*3/2)})
	service.Loop(b, es.Collection, qs.mind, due.Options{Workers: 4, Poll: rarely})
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
