package bustest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"quittance/pkg/bus"
	"quittance/pkg/event"
)

func testArrives(t *testing.T, open Open) {
	b := open(t, Options())()
	e := Event(Two, "e1", "a")
	e.TraceParent, e.TraceState = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b"
	Publish(t, b, e)
	s := Start(t, b, Alpha, nil)
	s.Await("e1")
	if diff := cmp.Diff(e, s.handled[0]); diff != "" {
		t.Error(diff)
	}
	if err := b.Ready(); err != nil {
		t.Errorf("not ready while events flow: %v", err)
	}
}

func testRepeat(t *testing.T, open Open) {
	b := open(t, Options())()
	s := Start(t, b, Beta, nil)
	e := Event(One, "e1", "a")
	Publish(t, b, e, e)
	Publish(t, b, e, Event(One, "e2", "a"))
	s.Await("e1", "e2") // e2 has the same key, so nothing of e1 comes after it
}

func testResend(t *testing.T, open Open) {
	b := open(t, Options())()
	s := Start(t, b, Beta, nil)
	e := Event(One, "e1", "a")
	Publish(t, b, e)
	e.Resend = 1
	Publish(t, b, e)
	s.Await("e1", "e1")
	if s.handled[0].Resend != 0 || s.handled[1].Resend != 1 {
		t.Errorf("re-sends %d and %d, want 0 and 1", s.handled[0].Resend, s.handled[1].Resend)
	}
}

func testInvalid(t *testing.T, open Open) {
	b := open(t, Options())()
	s := Start(t, b, Beta, nil)
	n, err := b.Publish(t.Context(), []event.Event{Event(One, "e1", "a"), Event(One, "e2", "a.*"), Event(One, "e3", "a")})
	if n != 1 {
		t.Errorf("published %d, want 1", n)
	}
	wantError(t, "wildcard in the subject", err, "a.*")
	s.Await("e1")
}

func testInfrastructure(t *testing.T, open Open) {
	b := open(t, Options())()
	var mu sync.Mutex
	var at []time.Time
	s := Start(t, b, Beta, func(context.Context, event.Event) error {
		mu.Lock()
		defer mu.Unlock()
		at = append(at, time.Now())
		switch len(at) {
		case 1:
			return errors.New("no store")
		case 2:
			panic("a mistake in the handler")
		default:
			return nil
		}
	})
	Publish(t, b, Event(One, "e1", "a"))
	s.Await("e1")
	mu.Lock()
	defer mu.Unlock()
	for i, least := range []time.Duration{200 * time.Millisecond, 400 * time.Millisecond} {
		if pause := at[i+1].Sub(at[i]); pause < least {
			t.Errorf("delivery %d came %s after the one before, want %s at least", i+2, pause, least)
		}
	}
	if parked, _ := s.Parked(); len(parked) > 0 {
		t.Errorf("parked %q", ids(parked))
	}
}

func testPermanent(t *testing.T, open Open) {
	b := open(t, Options())()
	cause := errors.New("the amount is a word")
	var mu sync.Mutex
	tries := 0
	s := Start(t, b, Beta, func(_ context.Context, e event.Event) error {
		if e.ID != "e1" {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		tries++
		return bus.Permanent(cause)
	})
	e := Event(One, "e1", "a")
	Publish(t, b, e)
	s.AwaitParked(1)
	parked, causes := s.Parked()
	if diff := cmp.Diff(e, parked[0]); diff != "" || !errors.Is(causes[0], cause) {
		t.Errorf("parked because of %v:\n%s", causes[0], diff)
	}
	e.Resend = 1 // another message: a person or a producer tries once more
	Publish(t, b, e, Event(One, "e2", "a"))
	s.Await("e2")
	mu.Lock()
	defer mu.Unlock()
	if tries != 2 {
		t.Errorf("handled %d times, want once per sending", tries)
	}
}

func testParkingFails(t *testing.T, open Open) {
	b := open(t, Options())()
	s := Start(t, b, Beta, func(context.Context, event.Event) error { return bus.Permanent(errors.New("no")) })
	s.mu.Lock()
	s.parking = errors.New("no store")
	s.mu.Unlock()
	Publish(t, b, Event(One, "e1", "a"))
	s.AwaitParked(1)
	s.mu.Lock()
	s.parking = nil
	s.mu.Unlock()
	s.AwaitParked(2)
}

func testTrace(t *testing.T, open Open) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	o := Options()
	o.Tracer = provider
	b := open(t, o)()
	var mu sync.Mutex
	var inside trace.SpanContext
	s := Start(t, b, Beta, func(ctx context.Context, _ event.Event) error {
		mu.Lock()
		defer mu.Unlock()
		inside = trace.SpanContextFromContext(ctx)
		return nil
	})
	ctx, producer := provider.Tracer("suite").Start(t.Context(), "cause")
	Publish(t, b, Event(One, "e1", "a").WithTrace(ctx))
	producer.End()
	s.Await("e1")
	s.Stop()
	for _, span := range spans.Ended() {
		if span.Name() != "process "+One {
			continue
		}
		if span.Parent().SpanID() != producer.SpanContext().SpanID() || span.SpanContext().TraceID() != producer.SpanContext().TraceID() {
			t.Errorf("consumer span has parent %v, want %v", span.Parent(), producer.SpanContext())
		}
		if span.SpanKind() != trace.SpanKindConsumer || span.SpanContext().SpanID() != inside.SpanID() {
			t.Errorf("span of kind %s; the handler ran in %v, not in %v", span.SpanKind(), inside, span.SpanContext())
		}
		return
	}
	t.Errorf("no span of the handling among %v", spans.Ended())
}

func wantError(t *testing.T, what string, err error, word string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), word) {
		t.Errorf("%s: error %v, want one that names %q", what, err, word)
	}
}
