// Package event owns the envelope in which one service tells the others what
// happened: who it is about, who caused it, and a protobuf payload.
//
// It takes a generated message and gives an [Event] that a document store keeps
// in the same write as the state it announces, and that the bus carries in
// CloudEvents form (see [Event.Header]). It knows neither store nor bus.
package event

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"google.golang.org/protobuf/proto"

	"quittance/pkg/id"
)

// Event is one fact on its way. The producer assigns the id; sending an event
// twice is normal and changes nothing.
type Event struct {
	// ID is unique per event and stable over all re-sends.
	ID string `json:"id"`
	// Type is a dotted name such as "payment.succeeded".
	Type string `json:"type"`
	// Source is the service that decided the event.
	Source string `json:"source"`
	// Subject is the id of the document the event is about; the last token of
	// the bus subject, so it has no dot, space or wildcard.
	Subject string `json:"subject"`
	// Key orders handling: events of one key (an order) are handled one after
	// the other by each consumer.
	Key string `json:"key"`
	// Merchant is the tenant the event belongs to, empty for the system's own.
	Merchant string    `json:"merchant,omitempty"`
	Time     time.Time `json:"time"`
	// TraceParent and TraceState are the W3C trace context of the work that
	// caused the event, stored with it so that a trace survives a crash.
	TraceParent string `json:"traceparent,omitempty"`
	TraceState  string `json:"tracestate,omitempty"`
	// Data is the protobuf payload.
	Data []byte `json:"data"`
	// Resend counts deliberate re-sends of this event: it distinguishes them
	// inside the server's de-duplication window.
	Resend int `json:"resend,omitempty"`
}

// New builds an event with a fresh id. An error is a programming mistake: a
// payload that can't be marshalled, or a subject that no bus subject can hold.
func New(typ, source, subject, key, merchant string, now time.Time, payload proto.Message) (Event, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(payload)
	if err != nil {
		return Event{}, fmt.Errorf("marshal %s: %w", typ, err)
	}
	e := Event{
		ID: id.New("evt"), Type: typ, Source: source, Subject: subject, Key: key,
		Merchant: merchant, Time: now.UTC(), Data: data,
	}
	if _, err := Subject(e); err != nil {
		return Event{}, err // it would never leave its outbox
	}
	return e, nil
}

// Decode unmarshals the payload into m.
func (e Event) Decode(m proto.Message) error {
	if err := proto.Unmarshal(e.Data, m); err != nil {
		return fmt.Errorf("decode %s %s: %w", e.Type, e.ID, err)
	}
	return nil
}

// WithTrace gives the event the trace context of ctx, unless it has one.
func (e Event) WithTrace(ctx context.Context) Event {
	if e.TraceParent != "" {
		return e
	}
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	e.TraceParent, e.TraceState = c.Get("traceparent"), c.Get("tracestate")
	return e
}

// Context returns ctx with the event's trace context as remote parent.
func (e Event) Context(ctx context.Context) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{
		"traceparent": e.TraceParent, "tracestate": e.TraceState,
	})
}
