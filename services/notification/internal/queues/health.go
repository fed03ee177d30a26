package queues

import (
	"context"
	"sync"
	"time"

	"quittance/pkg/docstore"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/queue"
)

// failures is how many in a row make an endpoint failing.
const failures = 3

// runs are the failures in a row at each endpoint, as far as this process knows:
// that an endpoint does well costs no write.
type runs struct {
	mu   sync.Mutex
	byID map[string]run
}

type run struct {
	count int
	since time.Time
}

func newRuns() runs { return runs{byID: map[string]run{}} }

func (r *runs) note(id string, ok bool, at time.Time) run {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok {
		delete(r.byID, id)
		return run{}
	}
	now := r.byID[id]
	if now.count == 0 {
		now.since = at
	}
	now.count++
	r.byID[id] = now
	return now
}

// examine notes on the endpoint what a result says about its health, if that is
// news.
func (qs *Queues) examine(ctx context.Context, ep *docstore.Doc[endpoint.Endpoint], r queue.Result) {
	row := qs.runs.note(ep.ID, r.OK, r.At)
	failing := !ep.Body.Failing.IsZero()
	switch {
	case r.OK && !failing, !r.OK && !failing && row.count < failures:
		return
	case !r.OK && failing && r.At.Sub(ep.Body.Failing) < qs.opt.GiveUp:
		return
	}
	_, err := qs.endpoints.Update(ctx, ep.ID, func(e *endpoint.Endpoint, _ *docstore.Change) error {
		if r.OK && e.Succeed(r.At) || !r.OK && e.Fail(ep.Body.URL, row.since, r.Text, qs.opt.GiveUp, r.At) {
			return nil
		}
		return docstore.ErrUnchanged
	})
	if err != nil {
		qs.base.Log.WarnContext(ctx, "an endpoint's health is not noted yet", "merchant", ep.Tenant, "endpoint", ep.Body.ID, "error", err)
	}
}

// quit disables an endpoint that wants no more. It reports whether the endpoint
// is disabled now.
func (qs *Queues) quit(ctx context.Context, ep *docstore.Doc[endpoint.Endpoint]) bool {
	now := qs.Now()
	doc, err := qs.endpoints.Update(ctx, ep.ID, func(e *endpoint.Endpoint, _ *docstore.Change) error {
		if !e.Quit(ep.Body.URL, now) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	if err != nil {
		qs.base.Log.WarnContext(ctx, "endpoint answered 410 and is not disabled yet", "endpoint", ep.Body.ID, "error", err)
		return false
	}
	if doc.Body.DisabledBy == endpoint.ByGone {
		qs.base.Log.InfoContext(ctx, "endpoint answered 410 and is disabled", "merchant", ep.Tenant, "endpoint", ep.Body.ID)
	}
	return doc.Body.Disabled
}

// exhausted tells the merchant of an event that has just failed for good. A
// failure to do so is tried again with the queue's next turn: the result is not
// written then.
func (qs *Queues) exhausted(ctx context.Context, ep *docstore.Doc[endpoint.Endpoint], q *queue.Queue, e queue.Event, at time.Time) error {
	if e.Test || isNotice(e.Type) {
		return nil // nobody waits for those
	}
	return qs.notices.Exhausted(ctx, &ep.Body, q.Order, e, at)
}
