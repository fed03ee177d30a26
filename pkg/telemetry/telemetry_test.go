package telemetry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"quittance/pkg/config"
	"quittance/pkg/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet keeps the environment of whoever runs the tests out of them.
func quiet(t *testing.T) {
	for _, v := range []string{"OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"} {
		t.Setenv(v, "")
	}
}

func setup(t *testing.T, cfg telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.Setup(t.Context(), "order", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func TestLogLineCarriesTheTrace(t *testing.T) {
	quiet(t)
	var out bytes.Buffer
	spans := tracetest.NewSpanRecorder()
	tel := setup(t, telemetry.Config{Output: &out, SpanProcessors: []sdktrace.SpanProcessor{spans}})

	ctx, span := tel.Tracer.Tracer("test").Start(t.Context(), "work")
	tel.Logger.With("order", "ord_1").InfoContext(ctx, "done")
	tel.Logger.DebugContext(ctx, "too low")
	span.End()

	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if line["trace_id"] != span.SpanContext().TraceID().String() || line["span_id"] != span.SpanContext().SpanID().String() ||
		line["service"] != "order" || line["order"] != "ord_1" {
		t.Errorf("line = %v", line)
	}
	if ended := spans.Ended(); len(ended) != 1 || !strings.Contains(ended[0].Resource().String(), "service.name=order") {
		t.Errorf("spans = %v", ended)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMetricsAreServed(t *testing.T) {
	quiet(t)
	tel := setup(t, telemetry.Config{Output: io.Discard})
	counter, err := tel.Meter.Meter("test").Int64Counter("orders.created")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 3)
	rec := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{"orders_created_total{", "} 3", "go_goroutines", `service_name="order"`} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSpansGoWhereTheEnvironmentSays(t *testing.T) {
	quiet(t)
	got := make(chan string, 8)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.URL.Path }))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	tel := setup(t, telemetry.Config{Output: io.Discard})
	_, span := tel.Tracer.Tracer("test").Start(t.Context(), "work")
	span.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if path := <-got; path != "/v1/traces" {
		t.Errorf("path = %s", path)
	}
}

func TestGlobalsChangeOnlyWhenAsked(t *testing.T) {
	quiet(t)
	logger, tracer, meter, prop := slog.Default(), otel.GetTracerProvider(), otel.GetMeterProvider(), otel.GetTextMapPropagator()
	t.Cleanup(func() {
		slog.SetDefault(logger)
		otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator())
	})
	tel := setup(t, telemetry.Config{Output: io.Discard})
	if slog.Default() != logger || otel.GetTracerProvider() != tracer || otel.GetMeterProvider() != meter || otel.GetTextMapPropagator() != prop {
		t.Fatal("Setup changed a global")
	}
	tel.SetGlobal()
	if slog.Default() != tel.Logger || otel.GetTracerProvider() != tel.Tracer {
		t.Error("SetGlobal did not")
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	cfg, err := config.Load[telemetry.Config]("Q_", map[string]string{"Q_LOG_LEVEL": "warn"})
	if err != nil || cfg.Level != slog.LevelWarn || cfg.Format != "json" {
		t.Errorf("config = %+v, %v", cfg, err)
	}
	if _, err := telemetry.Setup(t.Context(), "order", telemetry.Config{Format: "xml"}); err == nil || !strings.Contains(err.Error(), "xml") {
		t.Errorf("bad format: %v", err)
	}
}
