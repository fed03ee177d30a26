// Package replays sends again what happened in a time: it keeps a document per
// replay, with how far it came, and works through the endpoint's queues page by
// page as due work, so that a crash costs nothing and no replay floods an
// endpoint.
package replays

import (
	"context"
	"errors"
	"slices"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/service"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/endpoints"
	"quittance/services/notification/internal/history"
	"quittance/services/notification/internal/queue"
	"quittance/services/notification/internal/queues"
)

const (
	// page is how many queues are looked at at once, pause the time between.
	page  = 50
	pause = time.Second
	// retry is the pause after a page that could not be worked on, and between
	// looks at what another process left.
	retry = 10 * time.Second
)

// Request says what is sent again.
type Request struct {
	Merchant string `json:"merchant"`
	Endpoint string `json:"endpoint"`
	// Events from From on and before To.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Types; empty: all.
	Types []string `json:"types,omitempty"`
	// FailedOnly: only what is exhausted, or failed and waits for its next try.
	FailedOnly bool `json:"failed_only,omitempty"`
}

// same reports whether two requests want the same.
func (r Request) same(other Request) bool {
	return r.Merchant == other.Merchant && r.Endpoint == other.Endpoint && r.From.Equal(other.From) && r.To.Equal(other.To) &&
		slices.Equal(r.Types, other.Types) && r.FailedOnly == other.FailedOnly
}

// Run is the stored document.
type Run struct {
	Request
	At    time.Time `json:"at"`
	After string    `json:"after,omitempty"`
	Sent  int64     `json:"sent,omitempty"`
	Done  bool      `json:"done,omitempty"`
	// Next is when to go on.
	Next time.Time `json:"next,omitzero"`
}

// docID is the id of a replay's document.
func docID(merchant, key string) string { return id.Derived("rpl", merchant, key) }

// Replays is the collection and what its work needs.
type Replays struct {
	*docstore.Collection[Run]
	base      *service.Base
	endpoints *endpoints.Endpoints
	queues    *queues.Queues
	history   *history.Client
}

// Open opens the collection and adds its due work to the service.
func Open(ctx context.Context, b *service.Base, es *endpoints.Endpoints, qs *queues.Queues, h *history.Client) (*Replays, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[Run]{
		Name:    "replays",
		Indexes: map[string]func(*Run) string{"at": func(r *Run) string { return r.At.UTC().Format("20060102T150405.000") }},
		NextDue: func(r *Run) time.Time { return r.Next },
	})
	if err != nil {
		return nil, err
	}
	rs := &Replays{Collection: coll, base: b, endpoints: es, queues: qs, history: h}
	service.Loop(b, coll, rs.work, due.Options{Workers: 2, Poll: retry})
	return rs, nil
}

// Start begins a replay, or finds the one that was begun with this key. A Request
// without To is until now. fault.KindConflict: the key was used for another request.
func (rs *Replays) Start(ctx context.Context, key string, r Request) (*docstore.Doc[Run], error) {
	run := Run{Request: r, At: rs.Now(), Next: rs.Now()}
	if r.To.IsZero() {
		run.To = run.At
	}
	replay, runs := docID(r.Merchant, key), rs.For(r.Merchant)
	doc, err := runs.Insert(ctx, replay, &run)
	if !errors.Is(err, docstore.ErrExists) {
		return doc, err
	}
	if doc, err = runs.Get(ctx, replay); err != nil {
		return nil, err
	}
	if r.To.IsZero() {
		r.To = doc.Body.At
	}
	if !doc.Body.same(r) {
		return nil, fault.Conflict("idempotency_key was used for a different request")
	}
	return doc, nil
}

// work sends a page again.
func (rs *Replays) work(ctx context.Context, doc *due.Leased[Run]) error {
	sent, next, err := rs.page(ctx, &doc.Body)
	if err != nil && fault.KindOf(err) != fault.KindNotFound {
		rs.base.Log.WarnContext(ctx, "replay waits", "replay", doc.ID, "error", err)
	}
	now := rs.Now()
	return doc.Finish(ctx, func(r *Run, _ *docstore.Change) error {
		switch {
		case err != nil && fault.KindOf(err) != fault.KindNotFound:
			r.Next = now.Add(retry)
		case err != nil || next == "":
			r.Sent, r.Done, r.Next = r.Sent+sent, true, time.Time{}
		default:
			r.Sent, r.After, r.Next = r.Sent+sent, next, now.Add(pause)
		}
		return nil
	})
}

// page returns where the next page begins. fault.KindNotFound: the endpoint is
// no more.
func (rs *Replays) page(ctx context.Context, r *Run) (sent int64, next string, err error) {
	ep, err := rs.endpoints.Get(ctx, endpoint.DocID(r.Merchant, r.Endpoint))
	if err != nil {
		return 0, "", endpoints.Missing(err, r.Endpoint)
	}
	docs, next, err := rs.queues.For(r.Merchant).Find(ctx, docstore.Query{
		Index: "latest", From: queues.TimeKey(r.From), After: r.After, Limit: page,
	})
	if err != nil {
		return 0, "", err
	}
	for _, d := range docs {
		if d.Body.Endpoint != r.Endpoint || !slices.ContainsFunc(d.Body.Events, r.takes) {
			continue
		}
		n, err := rs.again(ctx, &ep.Body, d, r.takes)
		if err != nil {
			return 0, "", err
		}
		sent += int64(n)
	}
	return sent, next, nil
}

// takes reports whether an event is to be sent again. One that was sent again
// since the replay began is not: the page is worked on a second time.
func (r *Run) takes(e queue.Event) bool {
	switch {
	case e.Test || e.Time.Before(r.From) || !e.Time.Before(r.To):
		return false
	case len(r.Types) > 0 && !slices.Contains(r.Types, e.Type):
		return false
	case !e.Tried.Before(r.At):
		return false
	}
	failed := e.State == queue.Exhausted || e.State == queue.Pending && e.Tries > 0
	return failed || e.State == queue.Delivered && !r.FailedOnly
}

func (rs *Replays) again(ctx context.Context, ep *endpoint.Endpoint, d *docstore.Doc[queue.Queue], which func(queue.Event) bool) (int, error) {
	if d.Body.Order == "" {
		return 1, rs.queues.Again(ctx, d)
	}
	told, err := rs.history.Order(ctx, d.Body.Order)
	if err != nil {
		return 0, err
	}
	return rs.queues.Replay(ctx, ep, told, false, which)
}
