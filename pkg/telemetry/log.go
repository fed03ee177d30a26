package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel/trace"
)

func newLogger(service string, cfg Config) (*slog.Logger, error) {
	var out io.Writer = os.Stderr
	if cfg.Output != nil {
		out = cfg.Output
	}
	options := &slog.HandlerOptions{Level: cfg.Level}
	var h slog.Handler
	switch cfg.Format {
	case "", "json":
		h = slog.NewJSONHandler(out, options)
	case "text":
		h = slog.NewTextHandler(out, options)
	default:
		return nil, fmt.Errorf("log format must be json or text, is %q", cfg.Format)
	}
	return slog.New(&traceHandler{Handler: h}).With("service", service), nil
}

// traceHandler adds the ids of the span in the context to each record. The ids
// stay at the top level as long as the logger has no group.
type traceHandler struct {
	slog.Handler
}

func (h *traceHandler) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h *traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &traceHandler{h.Handler.WithAttrs(attrs)}
}

func (h *traceHandler) WithGroup(name string) slog.Handler {
	return &traceHandler{h.Handler.WithGroup(name)}
}
