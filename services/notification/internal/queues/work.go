package queues

import (
	"context"
	"errors"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/history"
	"quittance/services/notification/internal/queue"
	"quittance/services/notification/internal/sender"
)

const (
	// margin is what a worker keeps of its time for the last write.
	margin = 3 * time.Second
	// askTime is what a question to the order service takes at most.
	askTime = 6 * time.Second
	// look is how often a queue in hand is looked at for other processes' writes.
	look = 500 * time.Millisecond
	// finishPause is the first pause before a failed last write is tried again.
	finishPause = 100 * time.Millisecond
)

// hand is a queue that a worker has in hand: what has happened to it and is not
// written yet. What happens to be lost with the process happens again: the
// webhook is sent a second time, with the same id.
type hand struct {
	// queue is as it will be once everything is written; version is that of the
	// document it is based on.
	queue   queue.Queue
	version int64
	// filled is what the order service told at filledAt.
	filled   []queue.Event
	filledAt time.Time
	// results and skipped, events that are not for the endpoint, are guarded by
	// Queues.mu: other writes of this process take them along (recall). Once
	// closed, no more events are skipped in hand.
	results []queue.Result
	skipped []queue.Event
	closed  bool
	// timeout is how long the latest try could have taken.
	timeout time.Duration
	// last is what ended the work: a pause of the queue, if anything.
	last func(*queue.Queue)
}

// work sends what is due, event by event, until the queue rests or waits; then
// one write notes all that has happened. A queue that rests is kept in hand for
// a while (see Options.Hold): the next event of an order is seldom far.
func (qs *Queues) work(ctx context.Context, doc *due.Leased[queue.Queue]) error {
	qs.busy.Add(1)
	defer qs.busy.Add(-1)
	h := &hand{queue: doc.Body, version: doc.Version}
	qs.mu.Lock()
	qs.hands[doc.ID] = h
	qs.mu.Unlock()
	defer func() {
		qs.mu.Lock()
		defer qs.mu.Unlock()
		if qs.hands[doc.ID] == h {
			delete(qs.hands, doc.ID)
		}
	}()
	for qs.step(ctx, doc.ID, h) {
	}
	qs.mu.Lock()
	h.closed = true
	qs.mu.Unlock()
	return qs.finish(ctx, doc, h)
}

// step does the next thing and reports whether there may be another.
func (qs *Queues) step(ctx context.Context, id string, h *hand) bool {
	step := h.queue.Step()
	if step.Action == queue.Rest {
		return qs.hold(ctx, id, h)
	}
	if step.At.After(qs.Now()) {
		return false
	}
	switch step.Action {
	case queue.Ask:
		return left(ctx) > askTime && qs.ask(ctx, h)
	case queue.Send:
		return qs.send(ctx, h, step.Event)
	case queue.Rest:
	}
	return false
}

// left is how much time the worker has before its last write.
func left(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	return time.Until(deadline) - margin
}

// ask reads the order's history to fill a gap.
func (qs *Queues) ask(ctx context.Context, h *hand) bool {
	ep, err := qs.endpoint(ctx, h)
	if errors.Is(err, docstore.ErrNotFound) {
		h.last = (*queue.Queue).Abandon
		return false
	}
	if err == nil {
		var told history.Order
		if told, err = qs.history.Order(ctx, h.queue.Order); err == nil {
			h.filled, _ = qs.addressed(&ep.Body, told.Events, h.queue.Created)
			h.filledAt = qs.Now()
			h.queue.Fill(h.filled, h.filledAt)
			return true
		}
	}
	qs.base.Log.WarnContext(ctx, "gap in an order's events stays open",
		"order", h.queue.Order, "endpoint", h.queue.Endpoint, "error", err)
	now := qs.Now()
	h.last = func(q *queue.Queue) { q.Unanswered(now) }
	return false
}

// send makes one try.
func (qs *Queues) send(ctx context.Context, h *hand, e queue.Event) bool {
	ep, err := qs.endpoint(ctx, h)
	switch {
	case errors.Is(err, docstore.ErrNotFound):
		h.last = (*queue.Queue).Abandon
		return false
	case err != nil:
		qs.base.Log.WarnContext(ctx, "webhook waits for the store", "endpoint", h.queue.Endpoint, "error", err)
		h.last = qs.putOff()
		return false
	case ep.Body.Disabled && !e.Test:
		h.last = (*queue.Queue).Pause
		return false
	case left(ctx) < qs.sender.Timeout(&ep.Body):
		return false
	}
	h.timeout = qs.sender.Timeout(&ep.Body)
	o := qs.sender.Try(ctx, &ep.Body, h.queue.Order, e, h.queue.Slot)
	if o.Busy {
		h.last = qs.wait(&ep.Body, o)
		return false
	}
	h.queue.Record(o.Result)
	if h.queue.IsExhausted(e.Sequence) {
		if err := qs.exhausted(ctx, ep, &h.queue, e, o.At); err != nil {
			qs.base.Log.WarnContext(ctx, "a webhook's last try waits for the store", "endpoint", h.queue.Endpoint, "error", err)
			h.last = qs.putOff()
			return false
		}
	}
	qs.mu.Lock()
	h.results = append(h.results, o.Result)
	qs.mu.Unlock()
	if e.Test {
		return true
	}
	qs.examine(ctx, ep, o.Result)
	if o.Gone && qs.quit(ctx, ep) {
		h.last = (*queue.Queue).Pause
		return false
	}
	return true
}

// wait is what becomes of a queue that finds no place at its endpoint. Where
// the endpoint is failing too, it stands aside until the endpoint has recovered,
// or calls for it to try: thousands that ask again and again would cost more
// than they are worth.
func (qs *Queues) wait(ep *endpoint.Endpoint, o sender.Outcome) func(*queue.Queue) {
	switch {
	case !o.Turn.IsZero():
		return func(q *queue.Queue) { q.Turn(o.Turn, o.Slot) }
	case !ep.Failing.IsZero():
		return (*queue.Queue).Pause
	}
	return qs.putOff()
}

func (qs *Queues) putOff() func(*queue.Queue) {
	now := qs.Now()
	return func(q *queue.Queue) { q.Busy(now) }
}

func (qs *Queues) endpoint(ctx context.Context, h *hand) (*docstore.Doc[endpoint.Endpoint], error) {
	return qs.endpoints.For(h.queue.Merchant).Get(ctx, endpoint.DocID(h.queue.Merchant, h.queue.Endpoint))
}

// hold keeps the queue in hand until another event comes, and reports whether
// one did.
func (qs *Queues) hold(ctx context.Context, id string, h *hand) bool {
	wait := min(qs.opt.Hold, left(ctx)-h.timeout)
	if wait <= 0 || len(h.results) == 0 || h.queue.Closed() || qs.busy.Load() > int64(qs.opt.Workers/2) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(qs.letGo, cancel)()
	doc, err := qs.Await(ctx, id, look, func(d *docstore.Doc[queue.Queue]) bool { return d.Version > h.version })
	if err != nil {
		return false
	}
	h.queue, h.version = doc.Body, doc.Version
	qs.apply(h, &h.queue)
	return true
}

// apply brings a queue as it is stored to where it is in hand.
func (qs *Queues) apply(h *hand, q *queue.Queue) {
	if h.filled != nil {
		q.Fill(h.filled, h.filledAt)
	}
	qs.mu.Lock()
	h.tell(q, qs.Now())
	qs.mu.Unlock()
	if h.last != nil {
		h.last(q)
	}
}

// tell notes on a queue what is in hand. Queues.mu is held.
func (h *hand) tell(q *queue.Queue, now time.Time) {
	for _, r := range h.results {
		q.Record(r)
	}
	q.Take(h.skipped, now)
}

// recall notes, on a queue that is about to be written, what a worker of this
// process has in hand.
func (qs *Queues) recall(id string, q *queue.Queue) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if h := qs.hands[id]; h != nil {
		h.tell(q, qs.Now())
	}
}

// skip leaves events that are not for the endpoint to the worker that has the
// queue in hand, and reports whether there is one: they cost no write of their
// own. If they are lost with the process, the next event meets a gap.
func (qs *Queues) skip(id string, events []queue.Event) bool {
	for _, e := range events {
		if e.State != queue.Skipped {
			return false
		}
	}
	qs.mu.Lock()
	defer qs.mu.Unlock()
	h := qs.hands[id]
	if h == nil || h.closed {
		return false
	}
	h.skipped = append(h.skipped, events...)
	return true
}

// finish writes what has happened and gives the queue back. It tries as long as
// the lease lasts: what can't be written is sent again.
func (qs *Queues) finish(ctx context.Context, doc *due.Leased[queue.Queue], h *hand) error {
	for pause := finishPause; ; pause *= 2 {
		err := doc.Finish(ctx, func(q *queue.Queue, _ *docstore.Change) error {
			qs.apply(h, q)
			return nil
		})
		if err == nil || errors.Is(err, docstore.ErrLeaseLost) || errors.Is(err, docstore.ErrNotFound) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
