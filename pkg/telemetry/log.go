package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

func newLogger(service string, cfg Config) (*slog.Logger, error) {
	var out io.Writer = os.Stderr
	if cfg.Output != nil {
		out = cfg.Output
	}
	options := &slog.HandlerOptions{Level: cfg.Level, ReplaceAttr: bound}
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

// Bounds of one text in the log, in bytes: attributes may quote clients. An
// error may hold a panic's stack.
const (
	maxText  = 1000
	maxError = 16 << 10
)

// bound shortens an attribute that is too long.
func bound(_ []string, a slog.Attr) slog.Attr {
	var text string
	switch a.Value.Kind() { //nolint:exhaustive // the others are short
	case slog.KindString:
		text = a.Value.String()
	case slog.KindAny:
		err, ok := a.Value.Any().(error)
		if !ok {
			return a
		}
		text = fmt.Sprint(err)
	default:
		return a
	}
	limit := maxText
	if a.Key == "error" {
		limit = maxError
	}
	if len(text) > limit {
		a.Value = slog.StringValue(strings.ToValidUTF8(text[:limit], "") + "…")
	}
	return a
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
