package queues

import (
	"context"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/queue"
)

// resumePage is how many queues of an endpoint are resumed at once, those that
// hold back the oldest events first.
const resumePage = 100

// resume lets the queues go on that were paused while the endpoint was
// disabled, page by page. A second look some time later finds those that
// somebody paused who had not seen the endpoint enabled yet.
func (qs *Queues) resume(ctx context.Context, doc *due.Leased[endpoint.Endpoint]) error {
	ep := doc.Body
	more := false
	if !ep.Disabled {
		var err error
		if more, err = qs.resumePage(ctx, &ep); err != nil {
			return err
		}
	}
	return doc.Finish(ctx, func(e *endpoint.Endpoint, _ *docstore.Change) error {
		if e.Resume.Equal(ep.Resume) {
			e.Resumed(more, qs.Now())
		}
		return nil
	})
}

func (qs *Queues) resumePage(ctx context.Context, ep *endpoint.Endpoint) (more bool, err error) {
	mine := qs.For(ep.Merchant)
	docs, next, err := mine.Find(ctx, docstore.Query{
		Index: "paused", From: ep.ID + "/", To: ep.ID + "0", Limit: resumePage, // "0" follows "/"
	})
	if err != nil {
		return false, err
	}
	now := qs.Now()
	for _, d := range docs {
		_, err := mine.Update(ctx, d.ID, func(q *queue.Queue, _ *docstore.Change) error {
			if !q.Resume(now) {
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
