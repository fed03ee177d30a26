// Package telemetry owns how a program is observed: its log, its traces and its
// metrics.
//
// It takes a service name and a [Config], gives the three as plain values that
// constructors hand on, and touches no global state unless SetGlobal is called.
// Traces go where the standard OTEL_* variables say, and nowhere if none is
// set. Metrics are served in the Prometheus format.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Config of a program's telemetry. The zero value logs JSON at level info.
type Config struct {
	// Level is the lowest level that is logged.
	Level slog.Level `env:"LOG_LEVEL" envDefault:"info" doc:"lowest level that is logged: debug, info, warn or error"`
	// Format is "json" (also if empty) or "text".
	Format string `env:"LOG_FORMAT" envDefault:"json" doc:"json or text"`
	// Output receives the log; nil: standard error.
	Output io.Writer `env:"-"`
	// SpanProcessors see every span, beside the exporter that the environment
	// names. Tests put a recorder here.
	SpanProcessors []sdktrace.SpanProcessor `env:"-"`
}

// Telemetry of one program.
type Telemetry struct {
	// Logger writes trace_id and span_id of the context given to it.
	Logger *slog.Logger
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
	// Propagator is W3C trace context and baggage.
	Propagator propagation.TextMapPropagator

	registry *prometheus.Registry
	traces   *sdktrace.TracerProvider
	meters   *sdkmetric.MeterProvider
}

// Setup builds the telemetry of service. It does not reach out: an exporter
// connects later and reports its failures to the log.
func Setup(ctx context.Context, service string, cfg Config) (*Telemetry, error) {
	logger, err := newLogger(service, cfg)
	if err != nil {
		return nil, err
	}
	// OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME win over the name given.
	res, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", service)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("describe the process: %w", err)
	}

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reader, err := otelprom.New(otelprom.WithRegisterer(registry))
	if err != nil {
		return nil, fmt.Errorf("export metrics: %w", err)
	}

	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	for _, p := range cfg.SpanProcessors {
		options = append(options, sdktrace.WithSpanProcessor(p))
	}
	exporter, err := autoexport.NewSpanExporter(ctx, autoexport.WithFallbackSpanExporter(fallback))
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	if exporter != nil && !autoexport.IsNoneSpanExporter(exporter) {
		options = append(options, sdktrace.WithBatcher(&loggedExporter{SpanExporter: exporter, logger: logger}))
	}

	t := &Telemetry{
		Logger:   logger,
		registry: registry,
		traces:   sdktrace.NewTracerProvider(options...),
		meters:   sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(reader), sdkmetric.WithView(serverNames)),
		Propagator: propagation.NewCompositeTextMapPropagator(
			propagation.TraceContext{}, propagation.Baggage{}),
	}
	t.Tracer, t.Meter = t.traces, t.meters
	return t, nil
}

// serverNames drops what instrumentation takes from the Host header: each name
// a client makes up would be a time series more.
var serverNames = sdkmetric.NewView(sdkmetric.Instrument{Name: "http.server.*"},
	sdkmetric.Stream{AttributeFilter: attribute.NewDenyKeysFilter("server.address", "server.port")})

// fallback is used if OTEL_TRACES_EXPORTER is not set: an endpoint alone asks
// for OTLP, nothing at all for no export.
func fallback(ctx context.Context) (sdktrace.SpanExporter, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nil // Setup reads it as "none"
	}
	return autoexport.NewSpanExporter(ctx)
}

// MetricsHandler serves the metrics to a Prometheus scraper.
func (t *Telemetry) MetricsHandler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{Registry: t.registry})
}

// SetGlobal makes t the telemetry of libraries that know only the globals of
// slog and OpenTelemetry.
func (t *Telemetry) SetGlobal() {
	slog.SetDefault(t.Logger)
	otel.SetTracerProvider(t.Tracer)
	otel.SetMeterProvider(t.Meter)
	otel.SetTextMapPropagator(t.Propagator)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		t.Logger.Warn("telemetry failed", "error", err)
	}))
}

// Shutdown sends what is still held back, for as long as ctx allows.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	return errors.Join(t.traces.Shutdown(ctx), t.meters.Shutdown(ctx))
}

// loggedExporter reports failed exports to the program's own log; the SDK
// would tell only its global handler.
type loggedExporter struct {
	sdktrace.SpanExporter
	logger *slog.Logger
}

func (e *loggedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.logger.Warn("spans not exported", "spans", len(spans), "error", err)
	}
	return nil
}
