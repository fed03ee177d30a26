package memory

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"quittance/pkg/bus"
	"quittance/pkg/event"
)

// consumer is one of a service's processes.
type consumer struct {
	service    string
	dispatcher *bus.Dispatcher
	// keys are those it handles events of, one at a time; another process of the
	// service may handle one of the same key meanwhile.
	keys map[string]bool
}

// Consume implements bus.Consumer.
func (b *Bus) Consume(ctx context.Context, service string, handlers map[string]bus.Handler, parker bus.Parker) error {
	dispatcher, err := bus.NewDispatcher(service, handlers, parker, b.cfg.Options)
	if err != nil {
		return err
	}
	workers := make(chan struct{}, b.cfg.Workers)
	c := &consumer{service: service, dispatcher: dispatcher, keys: map[string]bool{}}
	var working sync.WaitGroup
	defer working.Wait()
	b.join(c)
	defer b.leave(c)
	for {
		select {
		case workers <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		d := b.next(ctx, c)
		if d == nil {
			return nil
		}
		working.Go(func() {
			b.handle(ctx, c, d)
			<-workers
		})
	}
}

func (b *Bus) join(c *consumer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[c.service]
	q.consumers = append(q.consumers, c)
	b.wake(c.service)
}

func (b *Bus) leave(c *consumer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[c.service]
	q.consumers = slices.DeleteFunc(q.consumers, func(other *consumer) bool { return other == c })
	b.wake(c.service)
}

// turn is whose turn it is to handle an event: the service's processes take
// turns, and each time it comes again it comes to another one.
func (q *queue) turn(d *delivery) *consumer {
	return q.consumers[(d.turn+uint64(d.count))%uint64(len(q.consumers))]
}

// handle sends the event through its encoding, as the way to another process
// would.
func (b *Bus) handle(ctx context.Context, c *consumer, d *delivery) {
	e, err := event.FromMessage(d.event.Header(), slices.Clone(d.event.Data))
	var out bus.Outcome
	if err != nil {
		out = c.dispatcher.Refuse(ctx, e, d.count, err)
	} else {
		out = c.dispatcher.Handle(ctx, e, d.count)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[c.service]
	if out.Verdict == bus.Retry {
		d.due, d.count = time.Now().Add(out.Pause), d.count+1
		q.add(d)
	}
	delete(c.keys, key(d.event))
	b.busy = false
	b.wake(c.service)
}

// next waits for an event of the consumer that may be handled now and takes it;
// nil when ctx is done.
func (b *Bus) next(ctx context.Context, c *consumer) *delivery {
	for {
		d, at, changed := b.choose(c)
		if d != nil {
			return d
		}
		var timer <-chan time.Time
		if !at.IsZero() {
			timer = time.After(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-timer:
		}
	}
}

// choose takes what may be handled now. If there is nothing, it says when to
// look again (zero: not before a change) and how to learn of a change.
func (b *Bus) choose(c *consumer) (*delivery, time.Time, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[c.service]
	changed := q.changed
	i, at := b.peek(c)
	if i >= 0 && b.cfg.Settle != nil {
		b.choosing = true
		b.mu.Unlock()
		b.cfg.Settle()
		b.mu.Lock()
		b.choosing = false
		if i, _ = b.peek(c); i < 0 { // something earlier has turned up
			b.wake(c.service)
		} else {
			b.busy = true
		}
	}
	if i < 0 {
		return nil, at, changed
	}
	d := q.pending[i]
	q.pending = slices.Delete(q.pending, i, i+1)
	c.keys[key(d.event)] = true
	return d, time.Time{}, nil
}

// peek finds the event that a consumer may handle now, as its place in the
// queue; if there is none it returns -1 and when there will be one, if known.
func (b *Bus) peek(c *consumer) (int, time.Time) {
	now := time.Now()
	q := b.queues[c.service]
	if b.cfg.Settle != nil && (b.choosing || b.busy || !b.first(c.service)) {
		return -1, time.Time{}
	}
	for i, d := range q.pending {
		if q.turn(d) != c {
			continue
		}
		if d.due.After(now) {
			return -1, d.due
		}
		if !c.keys[key(d.event)] {
			return i, time.Time{}
		}
	}
	return -1, time.Time{}
}

// first reports whether no other service that consumes has an earlier event.
func (b *Bus) first(service string) bool {
	mine := b.queues[service].pending
	if len(mine) == 0 {
		return false
	}
	for _, q := range b.queues {
		if len(q.consumers) > 0 && len(q.pending) > 0 && q.pending[0].compare(mine[0]) < 0 {
			return false
		}
	}
	return true
}

// key is what orders the handling of an event.
func key(e event.Event) string { return cmp.Or(e.Key, e.Subject) }
