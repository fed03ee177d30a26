package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quittance/pkg/event"
)

const (
	// ackTimeout is how long the server may take to acknowledge an event.
	ackTimeout = 10 * time.Second
	// batchSize is how many events one Publish has on the way at once;
	// maxPending how many all together may have.
	batchSize  = 256
	maxPending = 16 * batchSize
	// stallWait is how long an event waits for others to be acknowledged.
	stallWait = ackTimeout
)

// Publish implements [Publisher]. If the stream has disappeared, because the
// server's directory was deleted or another server answers now, it is made
// anew.
func (b *Bus) Publish(ctx context.Context, events []event.Event) (int, error) {
	n, err := b.publish(ctx, events)
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, jetstream.ErrStreamNotFound) {
		b.cfg.Log.WarnContext(ctx, "streams are missing and will be made anew", "error", err)
		if err = b.ensureStreams(ctx, false); err == nil {
			var more int
			more, err = b.publish(ctx, events[n:])
			n += more
		}
	}
	b.sent.count(ctx, events, n, err)
	if err != nil {
		return n, fmt.Errorf("publish event %d of %d: %w", n+1, len(events), err)
	}
	return n, nil
}

func (b *Bus) publish(ctx context.Context, events []event.Event) (int, error) {
	published := 0
	for len(events) > 0 {
		batch := events[:min(len(events), batchSize)]
		events = events[len(batch):]
		n, err := b.publishBatch(ctx, batch)
		published += n
		if err != nil {
			return published, err
		}
	}
	return published, nil
}

// publishBatch sends all events, then waits for all acknowledgements, so that
// nothing is on the way any more when it returns, unless ctx ends.
func (b *Bus) publishBatch(ctx context.Context, events []event.Event) (published int, err error) {
	futures := make([]jetstream.PubAckFuture, 0, len(events))
	for _, e := range events {
		var future jetstream.PubAckFuture
		if future, err = b.send(e); err != nil {
			err = fmt.Errorf("%s %s: %w", e.Type, e.ID, err)
			break
		}
		futures = append(futures, future)
	}
	var unanswered error
	for i, future := range futures {
		if ackErr := wait(ctx, future); ackErr != nil && unanswered == nil {
			unanswered = fmt.Errorf("%s %s: %w", events[i].Type, events[i].ID, ackErr)
		}
		if unanswered == nil {
			published++
		}
	}
	if unanswered != nil {
		return published, unanswered
	}
	return published, err
}

func (b *Bus) send(e event.Event) (jetstream.PubAckFuture, error) {
	subject, err := event.Subject(e)
	if err != nil {
		return nil, err
	}
	future, err := b.js.PublishMsgAsync(&nats.Msg{Subject: subject, Header: e.Header(), Data: e.Data}, jetstream.WithStallWait(stallWait))
	if errors.Is(err, nats.ErrReconnectBufExceeded) { // as nothing is kept for the next connection
		err = nats.ErrDisconnected
	}
	return future, err
}

func wait(ctx context.Context, future jetstream.PubAckFuture) error {
	select {
	case <-future.Ok():
		return nil
	case err := <-future.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
