package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"quittance/pkg/event"
	"quittance/pkg/id"
)

const (
	// pullExpiry is how long a request for events stays open at the server, and
	// pullHeartbeat how often the server says that it is. Two of these without
	// a word, and the consumer is looked for again.
	pullExpiry    = 20 * time.Second
	pullHeartbeat = 2 * time.Second
	// drainWait is how long events that the server has sent already are waited
	// for on the way out.
	drainWait = time.Second
	// gather is how long a puller waits for more free slots if few are free, to
	// ask for more events at once.
	gather = 5 * time.Millisecond
)

// puller brings the events of one stream to the crew.
type puller struct {
	bus    *Bus
	crew   *crew
	stream string
	config jetstream.ConsumerConfig
	slots  slots
}

// run pulls until ctx is done, over any number of connections and consumers.
func (p *puller) run(ctx context.Context) error {
	what := "consumer " + p.config.Durable + " of " + p.stream
	defer p.bus.trouble(what, nil)
	for failures := 0; ; {
		line, hangUp, err := p.bus.whileConnected(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		got, err := p.session(line, func() { p.bus.trouble(what, nil) })
		lost := line.Err() != nil
		hangUp()
		switch {
		case ctx.Err() != nil:
			return nil
		case lost: // and noted by the connection
			failures = 0
			continue
		case got > 0:
			failures = 0
		}
		failures++
		p.bus.trouble(what, err)
		pause := reaching.After(failures)
		p.bus.cfg.Log.WarnContext(ctx, "consumer starts again", "stream", p.stream, "consumer", p.config.Durable,
			"error", err, "pause", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// session pulls from one consumer until it is gone or ctx is done, and returns
// how many events came.
func (p *puller) session(ctx context.Context, working func()) (total int, err error) {
	consumer, err := p.bus.consumer(ctx, p.stream, p.config)
	if err != nil {
		return 0, err
	}
	working()
	born := consumer.CachedInfo().Created
	p.crew.present(p.stream, born)
	for ctx.Err() == nil {
		n := p.take(ctx)
		got, err := p.batch(ctx, consumer, born, n)
		p.slots.give(n - got)
		total += got
		if err != nil {
			return total, err
		}
	}
	return total, ctx.Err()
}

// take takes one slot, and as many more as are free or soon will be.
func (p *puller) take(ctx context.Context) int {
	select {
	case <-p.slots:
	case <-ctx.Done():
		return 0
	}
	n := 1 + p.slots.takeFree(cap(p.slots)-1)
	if n >= cap(p.slots)/4 {
		return n
	}
	select {
	case <-time.After(gather):
	case <-ctx.Done():
	}
	return n + p.slots.takeFree(cap(p.slots)-n)
}

// batch pulls up to n events. When ctx ends it takes what the server has sent
// by then, lest those events wait for the server to miss them.
func (p *puller) batch(ctx context.Context, consumer jetstream.Consumer, born time.Time, n int) (got int, err error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	messages, err := consumer.Messages(
		jetstream.PullMaxMessages(cap(p.slots)), jetstream.StopAfter(n),
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return 0, err
	}
	defer messages.Stop()
	for ; got < n; got++ {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return got + p.drain(messages, born, n-got), err
		}
		p.hand(msg, born)
	}
	return got, nil
}

func (p *puller) drain(messages jetstream.MessagesContext, born time.Time, most int) (got int) {
	messages.Drain()
	for ; got < most; got++ {
		msg, err := messages.Next(jetstream.NextMaxWait(drainWait))
		if err != nil {
			return got
		}
		p.hand(msg, born)
	}
	return got
}

// hand gives a message to the crew, which never blocks: it has a place for each
// slot.
func (p *puller) hand(msg jetstream.Msg, born time.Time) {
	e, err := event.FromMessage(msg.Headers(), msg.Data())
	if err == nil {
		// What a service may publish is limited by subject, so the headers must
		// not say anything else.
		if subject, bad := event.Subject(e); bad != nil || subject != msg.Subject() {
			err = fmt.Errorf("its headers say %q", subject)
		}
	}
	h := &held{msg: msg, event: e, invalid: err, deliveries: 1, stream: p.stream, born: born, slots: p.slots}
	meta, metaErr := msg.Metadata()
	if metaErr == nil {
		h.deliveries = int(min(meta.NumDelivered, maxCounted))
	} else {
		h.invalid = errors.Join(err, metaErr)
	}
	if h.invalid != nil {
		h.invalid = fmt.Errorf("on %s: %w", msg.Subject(), h.invalid)
		if h.event.ID == "" && metaErr == nil { // something to park it by, the same each time
			h.event.ID = id.Derived("raw", p.stream, strconv.FormatUint(meta.Sequence.Stream, 10), meta.Timestamp.UTC().String())
		}
	}
	p.crew.take(h)
}

// maxCounted keeps the count of deliveries within an int anywhere.
const maxCounted = 1 << 30
