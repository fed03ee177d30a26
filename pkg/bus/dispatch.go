package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"quittance/pkg/backoff"
	"quittance/pkg/event"
)

// Pauses before an event comes again, by how often it has been delivered. The
// last one bounds how long events still wait when an outage is over.
//
//	delivery  1       2       3    4    5    6     7 …
//	pause     250 ms  500 ms  1 s  2 s  5 s  10 s  15 s   (each ±20 %)
var redelivery = backoff.Schedule{
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second,
	5 * time.Second, 10 * time.Second, 15 * time.Second,
}

// parkTimeout bounds one try to park an event.
const parkTimeout = 10 * time.Second

// Verdict is what becomes of a delivered event.
type Verdict string

// Verdicts.
const (
	// Done: it is never delivered to the service again.
	Done Verdict = "done"
	// Retry: it comes again after a pause.
	Retry Verdict = "retry"
	// Parked: it is kept by the [Parker] and never delivered again.
	Parked Verdict = "parked"
)

// Outcome of one delivery.
type Outcome struct {
	Verdict Verdict
	// Pause before the event comes again, if it does.
	Pause time.Duration
	// Err is why it was not done.
	Err error
}

// Dispatcher handles the events of one service, whatever brings them. A bus
// only has to carry out its outcomes.
type Dispatcher struct {
	service  string
	handlers map[string]Handler
	parker   Parker
	timeout  time.Duration
	record   *recorder
}

// NewDispatcher returns an error that names what is missing or too much if the
// handlers are not those that the table assigns to the service.
func NewDispatcher(service string, handlers map[string]Handler, parker Parker, o Options) (*Dispatcher, error) {
	o = o.WithDefaults()
	if err := o.Table.check(service, handlers); err != nil {
		return nil, fmt.Errorf("consume: %w", err)
	}
	if parker == nil {
		return nil, fmt.Errorf("consume: service %s has nothing to park events with", service)
	}
	record, err := newRecorder(service, handlers, o)
	if err != nil {
		return nil, err
	}
	return &Dispatcher{service: service, handlers: handlers, parker: parker, timeout: o.HandleTimeout, record: record}, nil
}

// Handle hands the event to its handler. deliveries counts how often it has
// been delivered, 1 at first. The end of ctx does not stop a handler.
func (d *Dispatcher) Handle(ctx context.Context, e event.Event, deliveries int) Outcome {
	return d.dispatch(ctx, e, deliveries, func(ctx context.Context) error {
		h, ok := d.handlers[e.Type]
		if !ok {
			return Permanent(fmt.Errorf("%s does not know events of type %q", d.service, e.Type))
		}
		return h(ctx, e)
	})
}

// Refuse parks what was delivered but is no event; cause says why.
func (d *Dispatcher) Refuse(ctx context.Context, e event.Event, deliveries int, cause error) Outcome {
	return d.dispatch(ctx, e, deliveries, func(context.Context) error { return Permanent(cause) })
}

func (d *Dispatcher) dispatch(ctx context.Context, e event.Event, deliveries int, handle func(context.Context) error) Outcome {
	ctx, done := d.record.start(e.Context(context.WithoutCancel(ctx)), e, deliveries)
	out := d.judge(ctx, e, deliveries, guarded(ctx, d.timeout, handle))
	done(out)
	return out
}

// judge turns the class of an error into what becomes of the event.
func (d *Dispatcher) judge(ctx context.Context, e event.Event, deliveries int, err error) Outcome {
	again := Outcome{Verdict: Retry, Pause: redelivery.Jittered(deliveries, e.ID), Err: err}
	switch {
	case err == nil:
		return Outcome{Verdict: Done}
	case !IsPermanent(err):
		return again
	}
	park := func(ctx context.Context) error { return d.parker.Park(ctx, e, err) }
	if parkErr := guarded(ctx, parkTimeout, park); parkErr != nil {
		again.Err = errors.Join(err, fmt.Errorf("park: %w", parkErr))
		return again
	}
	return Outcome{Verdict: Parked, Err: err}
}

// panicError is a panic as an error; it is not permanent, because the next
// release may have it repaired.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

func guarded(ctx context.Context, timeout time.Duration, work func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
	}()
	return work(ctx)
}
