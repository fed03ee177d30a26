// Package service owns what every service of the system is made of: a store
// with an outbox relay, handlers of events with a place to park what they
// refuse, loops of due work, started and stopped in the right order, and the one
// way to erase a customer (see [Erases]).
//
// A service takes [Deps] and a name and gives a [Base] to build on; package
// services/order shows the canonical use.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/pkg/outbox"
	"quittance/pkg/seal"
)

// Bus is what services need of the bus.
type Bus interface {
	outbox.Publisher
	// Consume hands the events of a service to its handlers until ctx is done
	// and the handlers under way have ended.
	Consume(ctx context.Context, service string, handlers map[string]bus.Handler, parker bus.Parker) error
}

// Deps are the parts a service is built on.
type Deps struct {
	Engine  docstore.Engine
	Bus     Bus
	Log     *slog.Logger
	Tracer  trace.TracerProvider
	Meter   metric.MeterProvider
	Keyring *seal.Keyring
	// Now is the clock of all logic.
	Now func() time.Time
}

// Base is the common part of a service.
type Base struct {
	Deps
	Name   string
	Relay  *outbox.Relay
	parked *docstore.Collection[Parked]
	// erasures is nil in services that hold nobody's personal data.
	erasures *docstore.Collection[Erasure]
	handlers map[string]bus.Handler
	parts    []part
}

type part struct {
	name string
	run  func(context.Context) error
}

// New builds the base of the named service.
func New(ctx context.Context, name string, d Deps) (*Base, error) {
	d.Log = d.Log.With("component", name)
	b := &Base{Deps: d, Name: name, handlers: map[string]bus.Handler{}}
	b.Relay = outbox.New(d.Bus, d.Log, d.Now)
	parked, err := docstore.Open(ctx, d.Engine, docstore.Spec[Parked]{
		Name: "parked", Now: d.Now,
		Indexes: map[string]func(*Parked) string{byKey: func(p *Parked) string { return p.Event.Key }},
	})
	if err != nil {
		return nil, err
	}
	b.parked = parked
	return b, nil
}

// On sets the handler of an event type.
func (b *Base) On(typ string, h bus.Handler) { b.handlers[typ] = h }

// Go adds something that runs as long as the service does.
func (b *Base) Go(name string, run func(context.Context) error) {
	b.parts = append(b.parts, part{name, run})
}

// TracerNamed gives the service's tracer.
func (b *Base) TracerNamed() trace.Tracer { return b.Tracer.Tracer("quittance/" + b.Name) }

// Event builds an event of this service.
func (b *Base) Event(typ, subject, key, merchant string, payload proto.Message) (event.Event, error) {
	return event.New(typ, b.Name, subject, key, merchant, b.Now(), payload)
}

// Run runs handlers, loops and relay until ctx is done or one of them fails,
// which it names. Handlers and loops end first, then the relay brings out what
// they left.
func (b *Base) Run(ctx context.Context) error {
	relayCtx, stopRelay := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRelay()
	relayDone := make(chan error, 1)
	go func() { relayDone <- b.Relay.Run(relayCtx) }()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts := b.parts
	if len(b.handlers) > 0 {
		parts = append(parts[:len(parts):len(parts)], part{"consumer", func(ctx context.Context) error {
			return b.Bus.Consume(ctx, b.Name, b.handlers, b)
		}})
	}
	var wg sync.WaitGroup
	errs := make([]error, len(parts))
	for i, p := range parts {
		wg.Go(func() {
			defer cancel()
			if err := p.run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				errs[i] = fmt.Errorf("%s: %s: %w", b.Name, p.name, err)
			} else if ctx.Err() == nil {
				errs[i] = fmt.Errorf("%s: %s ended by itself", b.Name, p.name)
			}
		})
	}
	wg.Wait()
	stopRelay()
	return errors.Join(append(errs, <-relayDone)...)
}

// Loop adds a loop of due work over a collection of the service.
func Loop[T any](b *Base, coll *docstore.Collection[T], work func(context.Context, *due.Leased[T]) error, opt due.Options) *due.Loop[T] {
	opt.Log, opt.Tracer = b.Log, b.TracerNamed()
	loop := due.New(coll, work, opt)
	b.Go("due "+coll.Name(), loop.Run)
	return loop
}

// Open declares a collection of the service whose events the service's relay
// publishes.
func Open[T any](ctx context.Context, b *Base, spec docstore.Spec[T]) (*docstore.Collection[T], error) {
	spec.Relay, spec.Now = b.Relay, b.Now
	return docstore.Open(ctx, b.Engine, spec)
}
