package bus

import (
	"context"
	"fmt"
	"sync"
)

// Consume implements [Consumer]. It survives the server's restart, its
// replacement by an empty one, the deletion of stream or consumer, and the loss
// of the connection. It ends early only if the bus is closed.
func (b *Bus) Consume(ctx context.Context, service string, handlers map[string]Handler, parker Parker) error {
	dispatcher, err := NewDispatcher(service, handlers, parker, b.cfg.Options)
	if err != nil {
		return err
	}
	configs, err := b.cfg.Table.consumerConfigs(service, b.cfg.AckWait)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	crew := newCrew(ctx, b.cfg.Options, dispatcher, len(configs)*heldPerStream, b.cfg.AckWait/beatsPerWait)
	var pulling sync.WaitGroup
	failed := make(chan error, len(configs))
	for stream, config := range configs {
		pulling.Go(func() {
			p := &puller{bus: b, crew: crew, stream: stream, config: config, slots: newSlots(heldPerStream)}
			if err := p.run(ctx); err != nil {
				failed <- fmt.Errorf("consume %s from %s: %w", service, stream, err)
				cancel()
			}
		})
	}
	pulling.Wait()
	crew.finish()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// heldPerStream bounds how many events of a stream one Consume holds, waiting
// or being handled.
const heldPerStream = 256

// slots are the places for held events.
type slots chan struct{}

func newSlots(n int) slots {
	s := make(slots, n)
	s.give(n)
	return s
}

func (s slots) give(n int) {
	for range n {
		s <- struct{}{}
	}
}

func (s slots) takeFree(most int) int {
	for n := range most {
		select {
		case <-s:
		default:
			return n
		}
	}
	return most
}
