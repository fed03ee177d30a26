package bus

import (
	"cmp"
	"context"
	"hash/fnv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"quittance/pkg/event"
)

const (
	// beatsPerWait is how often the server hears, within its AckWait, that an
	// event is still held.
	beatsPerWait = 3
	// handBack is the pause before an event that was not begun with goes to
	// another process, or to the next one.
	handBack = 100 * time.Millisecond
)

// held is a message between its arrival and its acknowledgement.
type held struct {
	msg        jetstream.Msg
	event      event.Event
	invalid    error
	deliveries int
	stream     string
	// born is when the consumer was created that the message came from.
	born  time.Time
	slots slots
}

// crew handles held events with a fixed number of workers, those of one key
// always with the same.
type crew struct {
	dispatcher *Dispatcher
	lanes      []chan *held
	calm       calm
	workers    sync.WaitGroup
	beating    sync.WaitGroup
	stopBeat   context.CancelFunc

	mu   sync.Mutex
	held map[*held]struct{}
	born map[string]time.Time // of the present consumer, by stream
}

// newCrew starts a crew with places for so many held events. With the end of
// ctx it hands back those it has not begun with.
func newCrew(ctx context.Context, o Options, d *Dispatcher, places int, beat time.Duration) *crew {
	c := &crew{
		dispatcher: d, lanes: make([]chan *held, o.Workers), calm: calm{workers: o.Workers},
		held: map[*held]struct{}{}, born: map[string]time.Time{},
	}
	for i := range c.lanes {
		lane := make(chan *held, places)
		c.lanes[i] = lane
		c.workers.Go(func() {
			for h := range lane {
				c.work(ctx, h)
			}
		})
	}
	beatCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stopBeat = stop
	c.beating.Go(func() { c.beat(beatCtx, beat) })
	return c
}

// finish returns when everything held has been dealt with. Nothing may be taken
// any more.
func (c *crew) finish() {
	for _, lane := range c.lanes {
		close(lane)
	}
	c.workers.Wait()
	c.stopBeat()
	c.beating.Wait()
}

// present says which life of a stream's consumer is the present one.
func (c *crew) present(stream string, born time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.born[stream] = born
}

func (c *crew) take(h *held) {
	c.mu.Lock()
	c.held[h] = struct{}{}
	c.mu.Unlock()
	c.lanes[c.lane(h)] <- h
}

func (c *crew) lane(h *held) int {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(cmp.Or(h.event.Key, h.event.Subject)))
	return int(sum.Sum32() % uint32(len(c.lanes)))
}

func (c *crew) work(ctx context.Context, h *held) {
	defer h.slots.give(1)
	c.calm.wait(ctx)
	if ctx.Err() != nil {
		c.settle(ctx, h, Outcome{Verdict: Retry, Pause: handBack})
		return
	}
	var out Outcome
	if h.invalid != nil {
		out = c.dispatcher.Refuse(ctx, h.event, h.deliveries, h.invalid)
	} else {
		out = c.dispatcher.Handle(ctx, h.event, h.deliveries)
	}
	c.calm.note(out.Verdict == Retry)
	c.settle(ctx, h, out)
}

// settle tells the server what became of an event. If that fails the event
// comes again, which is allowed.
func (c *crew) settle(ctx context.Context, h *held, out Outcome) {
	c.mu.Lock()
	delete(c.held, h)
	born := c.born[h.stream]
	c.mu.Unlock()
	if !born.Equal(h.born) {
		// The consumer was made anew and counts from 1 again: the acknowledgement
		// would hit another event.
		return
	}
	var err error
	switch out.Verdict {
	case Done:
		err = h.msg.Ack()
	case Parked:
		err = h.msg.TermWithReason("parked")
	case Retry:
		err = h.msg.NakWithDelay(out.Pause)
	}
	if err != nil {
		c.dispatcher.record.log.WarnContext(ctx, "event will come again", "type", h.event.Type, "id", h.event.ID,
			"outcome", out.Verdict, "error", err)
	}
}

// beat tells the server again and again that the events held are in good hands,
// however long they wait or are worked on.
func (c *crew) beat(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// Under the lock, because a sign of life after a delayed "not yet" would
		// delay it further.
		c.mu.Lock()
		for h := range c.held {
			_ = h.msg.InProgress() // a lost one only makes the event come again
		}
		c.mu.Unlock()
	}
}
