package mongo

import (
	"fmt"
	"strings"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"quittance/pkg/docstore"
)

func TestCommandsAreMeasuredAndTracedWithoutTheirContents(t *testing.T) {
	spans, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	f := newFake(t)
	s := f.openStore(t, func(c *Config) {
		c.Tracer, c.Meter = tracer, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		c.Timeout = 100 * time.Millisecond
	})
	if n := len(spans.Ended()); n != 0 {
		t.Fatalf("%d spans that belong to nothing", n)
	}
	ctx, parent := tracer.Tracer("test").Start(t.Context(), "parent")
	must(t, s.Insert(ctx, &docstore.Record{ID: "secret_id", Body: []byte(`{"secret":"secret"}`)}))
	_ = s.Insert(ctx, &docstore.Record{ID: "secret_id"}) // a lost race is no error
	f.mishap = first(9, "find", mishap{stall: true})
	_, err := s.Get(ctx, "secret_id")
	if err == nil {
		t.Fatal("no error")
	}
	var got []string
	for _, span := range spans.Ended() {
		if span.Parent().SpanID() != parent.SpanContext().SpanID() {
			t.Errorf("%s is not a child of the caller's span", span.Name())
		}
		got = append(got, span.Name()+" "+span.Status().Code.String())
		if text := fmt.Sprintf("%+v", span.Attributes()); strings.Contains(text, "secret") {
			t.Errorf("a span tells too much: %s", text)
		}
	}
	if want := "insert documents Unset, insert documents Unset, find documents Error"; strings.Join(got, ", ") != want {
		t.Errorf("spans are %v", got)
	}

	var metrics metricdata.ResourceMetrics
	must(t, reader.Collect(t.Context(), &metrics))
	counts := map[string]uint64{}
	for _, m := range metrics.ScopeMetrics[0].Metrics {
		for _, p := range m.Data.(metricdata.Histogram[float64]).DataPoints {
			operation, _ := p.Attributes.Value("db.operation.name")
			wrong, _ := p.Attributes.Value("error.type")
			counts[m.Name+" "+operation.AsString()+" "+wrong.AsString()] += p.Count
		}
	}
	for _, want := range []string{"insert ", "find timeout"} {
		if counts["db.client.operation.duration "+want] == 0 {
			t.Errorf("%q is not measured: %v", want, counts)
		}
	}
}

func TestConfigurationsThatCannotBeMeantAreRefused(t *testing.T) {
	for want, cfg := range map[string]Config{
		"no URI":      {Database: "orders"},
		"no database": {URI: "mongodb://localhost"},
		"scheme":      {URI: "http://user:secret@localhost", Database: "orders"},
	} {
		_, err := Open(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("error is %v, want one about %s", err, want)
		}
	}
}

// An engine opens without its server, and works when there is one.
func TestServicesMayStartBeforeTheDatabase(t *testing.T) {
	e, err := Open(t.Context(), Config{URI: "mongodb://127.0.0.1:1", Database: "orders", SelectTimeout: 50 * time.Millisecond})
	must(t, err)
	if e.Ping(t.Context()) == nil {
		t.Error("a ping is answered by nobody")
	}
	must(t, e.Close())
}
