// Package bus owns the way of events between services: NATS JetStream, and
// nothing else knows that.
//
// It takes events from an outbox and handlers from the services, and gives the
// events of a [Table] to each service at least once, those of one key one after
// the other. It loses nothing on purpose, but may be lost itself: whatever was
// on it can be sent again ([event.Event.Resend]), and the streams and consumers
// it needs come into being again wherever they are missing.
//
// Package memory is the same without a server; package bustest says what both
// must do.
package bus

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"quittance/pkg/event"
)

// Publisher puts events on the bus.
type Publisher interface {
	// Publish sends the events in order and returns how many of them, counted
	// from the first, are certainly on the bus. A repeat of what is there counts
	// as published. Events after the first failed one may be there as well.
	Publish(ctx context.Context, events []event.Event) (published int, err error)
}

// Consumer hands events to a service.
type Consumer interface {
	// Consume gives the events that the table assigns to the service to its
	// handlers, until ctx is done and the handlers under way have ended. The
	// handlers must be those of the table, no more and no less. Consume may run
	// many times for one service, in one process or in many: they share the work.
	//
	// An event can come again at any time and in any order. Those of one key are
	// handled one after the other within one Consume.
	Consume(ctx context.Context, service string, handlers map[string]Handler, parker Parker) error
}

// PublishConsumer is both ends of a bus.
type PublishConsumer interface {
	Publisher
	Consumer
	// Ready returns nil, or what the bus waits for.
	Ready() error
}

// Handler brings about what an event means for a service. nil: it is done, or
// had been before. An error is taken for one of the infrastructure, and the
// event comes again later, for ever; if no repetition can help, say so with
// [Permanent].
//
// ctx carries the event's trace context and a deadline; it outlives the
// context given to Consume.
type Handler func(ctx context.Context, e event.Event) error

// Parker keeps the events that handlers refused for good, where people find
// them.
type Parker interface {
	// Park must store the event durably before it returns nil. It must accept
	// the same event again.
	Park(ctx context.Context, e event.Event, cause error) error
}

// Options are those of every bus. Zero values are replaced by the defaults
// named.
type Options struct {
	// Table says which service gets which events: [Topology].
	Table Table
	// Workers is how many events one Consume handles at once: 32.
	Workers int
	// HandleTimeout is how long a handler may take: 1 min. More is an error of
	// the infrastructure.
	HandleTimeout time.Duration
	// Log receives one line per event, at level debug if it is done: [slog.Default].
	Log *slog.Logger
	// Tracer and Meter: none.
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
}

// WithDefaults returns the options with the defaults filled in.
func (o Options) WithDefaults() Options {
	if o.Table == nil {
		o.Table = Topology()
	}
	if o.Workers <= 0 {
		o.Workers = 32
	}
	if o.HandleTimeout <= 0 {
		o.HandleTimeout = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Tracer == nil {
		o.Tracer = nooptrace.NewTracerProvider()
	}
	if o.Meter == nil {
		o.Meter = noopmetric.NewMeterProvider()
	}
	return o
}

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks an error that no repetition of the event can heal: the event
// is parked. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// IsPermanent reports whether err, or an error it wraps, was marked by
// [Permanent].
func IsPermanent(err error) bool {
	var p permanentError
	return errors.As(err, &p)
}
