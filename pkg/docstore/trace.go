package docstore

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"quittance/pkg/event"
)

// traceOf is the W3C traceparent of ctx, empty if it has none.
func traceOf(ctx context.Context) string {
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	return c.Get("traceparent")
}

// linkTrace links the current span to the trace in which the document began,
// so that a document's whole story can be followed from any part of it.
func linkTrace(ctx context.Context, traceparent string) {
	began := trace.SpanContextFromContext(WithTrace(context.WithoutCancel(ctx), traceparent))
	span := trace.SpanFromContext(ctx)
	if began.IsValid() && span.SpanContext().TraceID() != began.TraceID() {
		span.AddLink(trace.Link{SpanContext: began})
	}
}

// WithTrace returns ctx with a stored traceparent as its remote parent.
func WithTrace(ctx context.Context, traceparent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

func traced(ctx context.Context, events []event.Event) []event.Event {
	out := make([]event.Event, len(events))
	for i, e := range events {
		out[i] = e.WithTrace(ctx)
	}
	return out
}
