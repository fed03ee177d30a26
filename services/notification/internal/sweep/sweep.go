// Package sweep removes what has been kept long enough: queues whose events are
// all settled, notices, letters and replays, some time after the last that happened to
// them. It is due work on one document, so one replica does it at a time.
package sweep

import (
	"context"
	"errors"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/service"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/endpoints"
	"quittance/services/notification/internal/letter"
	"quittance/services/notification/internal/notice"
	"quittance/services/notification/internal/queue"
	"quittance/services/notification/internal/queues"
	"quittance/services/notification/internal/replays"
)

const (
	docID = "swp_all"
	// every is the pause between sweeps, page how many documents are looked at
	// at once, pause how long others have the store to themselves in between.
	every = 6 * time.Hour
	page  = 200
	pause = time.Second
)

// State is the stored document.
type State struct {
	Next time.Time `json:"next"`
	// After is where the sweep of the queues goes on.
	After string `json:"after,omitempty"`
}

// Sweep removes documents.
type Sweep struct {
	coll      *docstore.Collection[State]
	base      *service.Base
	endpoints *endpoints.Endpoints
	queues    *queues.Queues
	notices   *docstore.Collection[notice.Notice]
	letters   *docstore.Collection[letter.Letter]
	replays   *docstore.Collection[replays.Run]
	keep      time.Duration
}

// Open adds the sweep to the service.
func Open(ctx context.Context, b *service.Base, es *endpoints.Endpoints, qs *queues.Queues, ns *docstore.Collection[notice.Notice], ls *docstore.Collection[letter.Letter], rs *docstore.Collection[replays.Run], keep time.Duration) error {
	coll, err := service.Open(ctx, b, docstore.Spec[State]{
		Name: "sweeps", NextDue: func(s *State) time.Time { return s.Next },
	})
	if err != nil {
		return err
	}
	s := &Sweep{coll: coll, base: b, endpoints: es, queues: qs, notices: ns, letters: ls, replays: rs, keep: keep}
	service.Loop(b, coll, s.work, due.Options{Workers: 1, Poll: time.Minute})
	_, err = coll.Insert(ctx, docID, "", &State{Next: b.Now().Add(every)})
	if errors.Is(err, docstore.ErrExists) {
		return nil
	}
	return err
}

func (s *Sweep) work(ctx context.Context, doc *due.Leased[State]) error {
	before := s.coll.Now().Add(-s.keep)
	next, removed, err := s.sweepQueues(ctx, doc.Body.After, before)
	if err == nil && doc.Body.After == "" {
		err = errors.Join(old(ctx, s.notices, before), old(ctx, s.letters, before), old(ctx, s.replays, before))
	}
	if err != nil {
		return err
	}
	if removed > 0 {
		s.base.Log.InfoContext(ctx, "old webhooks are removed", "queues", removed)
	}
	now := s.coll.Now()
	return doc.Finish(ctx, func(st *State, _ *docstore.Change) error {
		st.After, st.Next = next, now.Add(every)
		if next != "" {
			st.Next = now.Add(pause)
		}
		return nil
	})
}

// sweepQueues looks at a page of queues, oldest first, and returns where the
// next begins. A queue that waits stays, unless its endpoint is no more.
func (s *Sweep) sweepQueues(ctx context.Context, after string, before time.Time) (next string, removed int, err error) {
	docs, next, err := s.queues.Find(ctx, docstore.Query{
		AllTenants: true, Index: "latest", To: queues.TimeKey(before), After: after, Limit: page,
	})
	if err != nil {
		return "", 0, err
	}
	for _, d := range docs {
		ok, err := s.removable(ctx, d, before)
		if err != nil {
			return "", removed, err
		}
		if !ok {
			continue
		}
		gone, err := s.queues.Delete(ctx, d.ID, d.Version)
		if err != nil {
			return "", removed, err
		}
		if gone {
			removed++
		}
	}
	return next, removed, nil
}

func (s *Sweep) removable(ctx context.Context, d *docstore.Doc[queue.Queue], before time.Time) (bool, error) {
	if d.Body.Settled(before) {
		return true, nil
	}
	_, err := s.endpoints.Get(ctx, endpoint.DocID(d.Body.Merchant, d.Body.Endpoint))
	if errors.Is(err, docstore.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// old removes the documents of a collection that has an index "at" and no more
// work to do, a page at each sweep.
func old[T any](ctx context.Context, coll *docstore.Collection[T], before time.Time) error {
	docs, _, err := coll.Find(ctx, docstore.Query{AllTenants: true, Index: "at", To: before.UTC().Format("20060102T150405.000"), Limit: 1000})
	if err != nil {
		return err
	}
	for _, d := range docs {
		if _, err := coll.Delete(ctx, d.ID, d.Version); err != nil {
			return err
		}
	}
	return nil
}
