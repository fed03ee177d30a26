package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Ensure creates the streams and the consumers of all services, or changes
// those that differ. Any number of processes may do so at once. It waits for a
// server that can't answer yet until ctx ends; what the server refuses is an
// error at once.
func (b *Bus) Ensure(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := b.ensure(ctx)
		if err == nil {
			b.mu.Lock()
			b.ensured = true
			b.mu.Unlock()
			return nil
		}
		if !transient(err) {
			return err
		}
		pause := reaching.After(attempt)
		b.cfg.Log.WarnContext(ctx, "waiting for JetStream", "error", err, "pause", pause)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-b.closed:
			return errClosed
		case <-time.After(pause):
		}
	}
}

// transient reports whether the server could not answer, as opposed to did not
// want to.
func transient(err error) bool {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return true // deleted between two requests
	}
	if api := (*jetstream.APIError)(nil); errors.As(err, &api) {
		return api.Code == http.StatusServiceUnavailable
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrDisconnected) ||
		errors.Is(err, nats.ErrReconnectBufExceeded)
}

func (b *Bus) ensure(ctx context.Context) error {
	if err := b.ensureStreams(ctx, true); err != nil {
		return err
	}
	for _, service := range slices.Sorted(maps.Keys(b.cfg.Table)) {
		configs, err := b.cfg.Table.consumerConfigs(service, b.cfg.AckWait)
		if err != nil {
			return err
		}
		for stream, config := range configs {
			if _, err := b.js.CreateOrUpdateConsumer(ctx, stream, config); err != nil {
				return fmt.Errorf("ensure consumer %s of stream %s: %w", service, stream, err)
			}
		}
	}
	return nil
}

// ensureStreams creates the streams that are missing and, on request, changes
// those that differ.
func (b *Bus) ensureStreams(ctx context.Context, change bool) error {
	for _, config := range streamConfigs(b.cfg.Replicas) {
		_, err := b.js.CreateStream(ctx, config)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			if !change {
				continue
			}
			_, err = b.js.UpdateStream(ctx, config)
		}
		if err != nil {
			return fmt.Errorf("ensure stream %s: %w", config.Name, err)
		}
	}
	return nil
}

// consumer returns the consumer of a service, made anew if it is missing. One
// that exists is left as it is: a process of an older release that outlives an
// upgrade must not turn it back.
func (b *Bus) consumer(ctx context.Context, stream string, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	c, err := b.js.Consumer(ctx, stream, config.Durable)
	if !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return c, err
	}
	if err := b.ensureStreams(ctx, false); err != nil {
		return nil, err
	}
	c, err = b.js.CreateConsumer(ctx, stream, config)
	if errors.Is(err, jetstream.ErrConsumerExists) { // another process was faster, with another release
		c, err = b.js.Consumer(ctx, stream, config.Durable)
	}
	if err != nil {
		return nil, err
	}
	b.cfg.Log.WarnContext(ctx, "consumer was missing and was made anew", "stream", stream, "consumer", config.Durable)
	return c, nil
}
