package simulation

import (
	"context"
	"errors"
	"time"

	"quittance/pkg/bus"
	busmemory "quittance/pkg/bus/memory"
	"quittance/pkg/event"
	"quittance/pkg/service"
)

// line is a process's connection to the bus.
type line struct{ life *life }

var _ service.Bus = (*line)(nil)

// Publish implements service.Bus.
func (b *line) Publish(ctx context.Context, events []event.Event) (n int, err error) {
	if len(events) == 0 {
		return 0, nil
	}
	w, name := b.life.node.w, b.life.place.name
	r := w.ask("publish " + name)
	err = b.life.deed("publish", func() error {
		if chance(r, w.storm(WindPublish, b.life.node.name)) {
			w.count("bus: publishing fails, with some of the events or all there")
			n, err = w.send(ctx, events[:r.IntN(len(events)+1)])
			return errors.Join(errFault, err)
		}
		n, err = w.send(ctx, events)
		return err
	})
	if err != nil && errors.Is(err, errDied) {
		n = 0
	}
	return n, err
}

// send puts events on the bus; a sabotaged system forgets to send again.
func (w *world) send(ctx context.Context, events []event.Event) (int, error) {
	n, err := w.bus.Publish(ctx, w.sabotage.Sent(events))
	if err == nil {
		n = len(events)
	}
	return min(n, len(events)), err
}

// Consume implements service.Bus.
func (b *line) Consume(ctx context.Context, service string, handlers map[string]bus.Handler, parker bus.Parker) error {
	return b.life.node.w.bus.Consume(ctx, service, handlers, parker)
}

// openBus makes the bus; storms decide what becomes of its events.
func (w *world) openBus() {
	w.bus = busmemory.New(busmemory.Config{Options: bus.Options{Log: w.log}, Fate: w.fate})
}

func (w *world) fate(service string, e event.Event) []time.Duration {
	r := w.ask("fate " + service + e.Type)
	on := between(r, 0, 3*time.Millisecond)
	if !chance(r, w.storm(WindBus, service)) {
		return []time.Duration{on}
	}
	var delays []time.Duration
	switch fate := r.IntN(6); {
	case e.Type == event.CallbackRescued && fate < 3:
		// The bus is all that has it (P2): late, but not lost.
		delays = []time.Duration{between(r, 0, time.Minute)}
		w.count("bus: an event is late, and overtaken")
	case fate < 3:
		w.count("bus: an event is lost")
	case fate == 3:
		delays = []time.Duration{on, on + between(r, 0, 10*time.Second)}
		w.count("bus: an event is doubled")
	case fate == 4:
		delays = []time.Duration{between(r, 0, 2*time.Minute)}
		w.count("bus: an event is late, and overtaken")
	default:
		delays = []time.Duration{on, between(r, time.Minute, 6*time.Hour)}
		w.count("bus: an event comes again hours later, as from a bus that was set back")
	}
	w.detail("bus: %s to %s after %v", e.Type, service, delays)
	return delays
}
