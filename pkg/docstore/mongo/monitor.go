package mongo

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

const scope = "quittance/pkg/docstore/mongo"

// monitor measures every command, and gives those that belong to a trace a
// span. Names are those of the OpenTelemetry semantic conventions for
// databases. Filters, documents and the texts of errors stay out of it.
type monitor struct {
	database string
	tracer   trace.Tracer
	duration metric.Float64Histogram
	running  sync.Map // of running by runningKey
}

type runningKey struct {
	connection string
	request    int64
}

type running struct {
	ctx   context.Context
	span  trace.Span // nil: none
	attrs []attribute.KeyValue
}

func newMonitor(cfg Config) (*monitor, error) {
	duration, err := cfg.Meter.Meter(scope).Float64Histogram("db.client.operation.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of database commands."),
		metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 10))
	if err != nil {
		return nil, err
	}
	return &monitor{database: cfg.Database, tracer: cfg.Tracer.Tracer(scope), duration: duration}, nil
}

func (m *monitor) commands() *event.CommandMonitor {
	return &event.CommandMonitor{
		Started: m.started,
		Succeeded: func(ctx context.Context, e *event.CommandSucceededEvent) {
			m.ended(e.CommandFinishedEvent, refused(e.Reply))
		},
		Failed: func(ctx context.Context, e *event.CommandFailedEvent) {
			m.ended(e.CommandFinishedEvent, kind(e.Failure))
		},
	}
}

func (m *monitor) started(ctx context.Context, e *event.CommandStartedEvent) {
	attrs := []attribute.KeyValue{
		attribute.String("db.system.name", "mongodb"),
		attribute.String("db.namespace", e.DatabaseName),
		attribute.String("db.operation.name", e.CommandName),
	}
	name := e.CommandName
	if collection, ok := e.Command.Lookup(e.CommandName).StringValueOK(); ok && e.DatabaseName == m.database {
		attrs = append(attrs, attribute.String("db.collection.name", collection))
		name += " " + collection
	}
	r := running{ctx: ctx, attrs: attrs}
	if trace.SpanContextFromContext(ctx).IsValid() {
		_, r.span = m.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
		r.span.SetAttributes(server(e.ConnectionID)...)
	}
	m.running.Store(runningKey{e.ConnectionID, e.RequestID}, r)
}

// ended takes what went wrong, empty if nothing did.
func (m *monitor) ended(e event.CommandFinishedEvent, wrong string) {
	value, ok := m.running.LoadAndDelete(runningKey{e.ConnectionID, e.RequestID})
	if !ok {
		return
	}
	r := value.(running)
	if wrong != "" {
		r.attrs = append(r.attrs, attribute.String("error.type", wrong))
	}
	m.duration.Record(r.ctx, e.Duration.Seconds(), metric.WithAttributes(r.attrs...))
	if r.span == nil {
		return
	}
	if wrong != "" {
		r.span.SetAttributes(attribute.String("error.type", wrong))
		r.span.SetStatus(codes.Error, "")
	}
	r.span.End()
}

// server is the address in a driver's connection id, host:port[-number].
func server(connection string) []attribute.KeyValue {
	for i, c := range connection {
		if c == '[' {
			connection = connection[:i]
			break
		}
	}
	host, port, err := net.SplitHostPort(connection)
	if err != nil {
		return nil
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil
	}
	return []attribute.KeyValue{attribute.String("server.address", host), attribute.Int("server.port", n)}
}

// refused finds an error in the answer to a command that was carried out. A
// taken id is not one: it is how the loser of a race is told.
func refused(reply bson.Raw) string {
	if concern, ok := reply.Lookup("writeConcernError").DocumentOK(); ok {
		return codeOf(concern)
	}
	refusals, ok := reply.Lookup("writeErrors").ArrayOK()
	if !ok {
		return ""
	}
	values, err := refusals.Values()
	if err != nil {
		return ""
	}
	for _, v := range values {
		if doc, ok := v.DocumentOK(); ok && codeOf(doc) != duplicateKey {
			return codeOf(doc)
		}
	}
	return ""
}

const duplicateKey = "11000"

func codeOf(doc bson.Raw) string {
	code, _ := doc.Lookup("code").AsInt64OK()
	return strconv.FormatInt(code, 10)
}

// kind is a short word for an error that has few values.
func kind(err error) string {
	var command mongo.CommandError
	switch {
	case errors.As(err, &command) && command.Code != 0:
		return strconv.Itoa(int(command.Code))
	case errors.Is(err, context.Canceled):
		return "canceled"
	case mongo.IsTimeout(err):
		return "timeout"
	case mongo.IsNetworkError(err):
		return "network"
	}
	return "_OTHER"
}
