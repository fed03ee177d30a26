package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"
	"go.opentelemetry.io/otel/trace"

	"quittance/pkg/event"
)

const (
	scope       = "quittance/pkg/bus"
	system      = "nats"
	opProcess   = "process"
	opSend      = "send"
	keyType     = attribute.Key("quittance.event.type")
	keyKey      = attribute.Key("quittance.event.key")
	keyMerchant = attribute.Key("quittance.merchant")
	keyDelivery = attribute.Key("quittance.event.deliveries")
	keyOutcome  = attribute.Key("quittance.outcome")
)

// recorder observes the handling of a service's events: one span, one log
// line and two metrics each.
type recorder struct {
	service  string
	known    map[string]Handler
	log      *slog.Logger
	tracer   trace.Tracer
	handled  messagingconv.ClientConsumedMessages
	duration messagingconv.ProcessDuration
}

func newRecorder(service string, known map[string]Handler, o Options) (*recorder, error) {
	meter := o.Meter.Meter(scope)
	handled, err := messagingconv.NewClientConsumedMessages(meter)
	if err != nil {
		return nil, fmt.Errorf("metric of handled events: %w", err)
	}
	duration, err := messagingconv.NewProcessDuration(meter)
	if err != nil {
		return nil, fmt.Errorf("metric of handler durations: %w", err)
	}
	return &recorder{
		service: service, known: known, log: o.Log, tracer: o.Tracer.Tracer(scope), handled: handled, duration: duration,
	}, nil
}

// start begins the span of one handling. done ends it and tells log and
// metrics.
func (r *recorder) start(ctx context.Context, e event.Event, deliveries int) (_ context.Context, done func(Outcome)) {
	began := time.Now()
	// Names of spans and metrics must not come from who knows where.
	typ, destination := e.Type, ""
	if r.known[typ] == nil {
		typ = "unknown"
	} else if subject, err := event.Subject(e); err == nil {
		destination = subject
	}
	ctx, span := r.tracer.Start(ctx, opProcess+" "+typ, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		semconv.MessagingSystemKey.String(system),
		semconv.MessagingOperationTypeProcess,
		semconv.MessagingOperationName(opProcess),
		semconv.MessagingDestinationName(destination),
		semconv.MessagingConsumerGroupName(r.service),
		semconv.MessagingMessageID(e.ID),
		semconv.MessagingMessageBodySize(len(e.Data)),
		keyType.String(e.Type),
		keyKey.String(e.Key),
		keyMerchant.String(e.Merchant),
		keyDelivery.Int(deliveries),
	))
	return ctx, func(out Outcome) {
		took := time.Since(began)
		span.SetAttributes(keyOutcome.String(string(out.Verdict)))
		attributes := []attribute.KeyValue{
			semconv.MessagingConsumerGroupName(r.service), keyType.String(typ), keyOutcome.String(string(out.Verdict)),
		}
		if out.Err != nil {
			span.RecordError(out.Err)
			span.SetStatus(codes.Error, out.Err.Error())
			attributes = append(attributes, semconv.ErrorType(out.Err))
		}
		r.handled.Add(ctx, 1, opProcess, system, attributes...)
		r.duration.Record(ctx, took.Seconds(), opProcess, system, attributes...)
		r.line(ctx, e, deliveries, took, out)
		span.End()
	}
}

func (r *recorder) line(ctx context.Context, e event.Event, deliveries int, took time.Duration, out Outcome) {
	level := slog.LevelDebug
	attrs := []slog.Attr{
		slog.String("consumer", r.service), slog.String("outcome", string(out.Verdict)),
		slog.String("type", e.Type), slog.String("id", e.ID), slog.String("source", e.Source),
		slog.String("subject", e.Subject), slog.String("key", e.Key), slog.String("merchant", e.Merchant),
		slog.Int("resend", e.Resend), slog.Int("deliveries", deliveries), slog.Int("bytes", len(e.Data)),
		slog.Time("time", e.Time), slog.Duration("took", took),
	}
	if out.Err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.Any("error", out.Err))
	}
	if out.Verdict == Retry {
		attrs = append(attrs, slog.Duration("pause", out.Pause))
	}
	if p := (*panicError)(nil); errors.As(out.Err, &p) {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	r.log.LogAttrs(ctx, level, "event handled", attrs...)
}

// sent counts published events by type and failure.
type sent struct {
	counter messagingconv.ClientSentMessages
}

func newSent(provider metric.MeterProvider) (sent, error) {
	counter, err := messagingconv.NewClientSentMessages(provider.Meter(scope))
	if err != nil {
		return sent{}, fmt.Errorf("metric of published events: %w", err)
	}
	return sent{counter}, nil
}

// count adds up the published events and the one that failed with err.
func (s sent) count(ctx context.Context, events []event.Event, published int, err error) {
	types := map[string]int64{}
	for _, e := range events[:published] {
		types[e.Type]++
	}
	for typ, n := range types {
		s.counter.Add(ctx, n, opSend, system, keyType.String(typ))
	}
	if err != nil && published < len(events) {
		s.counter.Add(ctx, 1, opSend, system, keyType.String(events[published].Type), semconv.ErrorType(err))
	}
}
