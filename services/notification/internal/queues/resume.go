package queues

import (
	"context"
	"slices"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/queue"
)

const (
	// resumePage is how many queues of an endpoint are resumed at once, those that
	// hold back the oldest events first.
	resumePage = 100
	// resumeApart is the time between two of them.
	resumeApart = 10 * time.Millisecond
	// probes is how many are while the endpoint is failing.
	probes = 4
)

// mind does an endpoint's own due work. It gives the merchant the notices that
// wait, and lets the queues go on that were paused while the endpoint was
// disabled, page by page. A second look some time later finds those that
// somebody paused who had not seen the endpoint enabled yet. While the endpoint
// is failing, a few that found no place there get one from time to time.
func (qs *Queues) mind(ctx context.Context, doc *due.Leased[endpoint.Endpoint]) error {
	ep := doc.Body
	for _, n := range ep.Notices {
		if err := qs.notices.Give(ctx, &ep, n); err != nil {
			return err
		}
	}
	now := qs.Now()
	more, probed := false, false
	var err error
	switch {
	case ep.Disabled:
	case !ep.Resume.IsZero() && !ep.Resume.After(now):
		more, err = qs.resume(ctx, &ep, resumePage)
	case !ep.Probe.IsZero() && !ep.Probe.After(now):
		probed = true
		_, err = qs.resume(ctx, &ep, probes)
	}
	if err != nil {
		return err
	}
	return doc.Finish(ctx, func(e *endpoint.Endpoint, _ *docstore.Change) error {
		e.Noticed(ep.Notices)
		now := qs.Now()
		if e.Resume.Equal(ep.Resume) && !e.Resume.After(now) {
			e.Resumed(more, now)
		}
		if probed {
			e.Probed(now)
		}
		return nil
	})
}

func (qs *Queues) resume(ctx context.Context, ep *endpoint.Endpoint, most int) (more bool, err error) {
	mine := qs.For(ep.Merchant)
	docs, next, err := mine.Find(ctx, docstore.Query{
		Index: "paused", From: ep.ID + "/", To: ep.ID + "0", Limit: most, // "0" follows "/"
	})
	if err != nil {
		return false, err
	}
	now := qs.Now()
	for i, d := range docs {
		// One after the other, so that the oldest come first and all at a bounded pace.
		at := now.Add(time.Duration(i) * resumeApart)
		_, err := mine.Update(ctx, d.ID, func(q *queue.Queue, _ *docstore.Change) error {
			if !q.Resume(at) {
				return docstore.ErrUnchanged
			}
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	return next != "", nil
}

// isNotice reports whether a type is about an endpoint.
func isNotice(typ string) bool {
	return slices.Contains([]string{event.EndpointFailing, event.EndpointRecovered, event.EndpointExhausted, event.EndpointDisabled}, typ)
}
