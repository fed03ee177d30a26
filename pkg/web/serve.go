package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"

	"quittance/pkg/fault"
)

// traced is the outermost layer: it describes the request and opens its span.
func (s *Server) traced(next http.Handler) http.Handler {
	type original struct{}
	inner := http.HandlerFunc(func(w http.ResponseWriter, seen *http.Request) {
		r, _ := seen.Context().Value(original{}).(*http.Request)
		again := r.WithContext(seen.Context())
		again.Body = seen.Body
		next.ServeHTTP(w, again)
		// net/http removes the temporary files of the request that it knows.
		r.MultipartForm = again.MultipartForm
	})
	spans := otelhttp.NewHandler(inner, "http",
		otelhttp.WithTracerProvider(s.options.Tracer), otelhttp.WithMeterProvider(s.options.Meter),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithPublicEndpointFn(func(r *http.Request) bool {
			known := requestOf(r.Context())
			return known == nil || !known.trusted
		}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := s.describe(r)
		ctx := context.WithValue(r.Context(), requestKey{}, known)
		if quiet[known.route] {
			next.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		spans.ServeHTTP(w, shown(r.WithContext(context.WithValue(ctx, original{}, r)), known))
	})
}

// maxUserAgent bounds what a span holds of the client's name for itself.
const maxUserAgent = 200

// shown makes of a copy of a request what its span and the metrics get to see:
// the route in place of the URL, and nothing that a client can choose freely.
// Each name a client makes up would be a time series more.
func shown(r *http.Request, known *request) *http.Request {
	header := http.Header{}
	header.Set("X-Forwarded-For", known.client.String()) // the span's client.address
	if agent := r.UserAgent(); agent != "" {
		header.Set("User-Agent", fault.Clip(agent, maxUserAgent))
	}
	for _, name := range (propagation.TraceContext{}).Fields() {
		if value := r.Header.Get(name); value != "" && (known.trusted || name == "traceparent") {
			header.Set(name, value)
		}
	}
	r.Header = header
	r.Method = methodOf(r)
	r.Host = ""
	r.Pattern = known.route
	r.URL = &url.URL{Path: pathOf(known.route)}
	return r
}

// methodOf returns the method of a request if it is a standard one.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return r.Method
	}
	return "_OTHER"
}

// pathOf returns the path in a pattern: "GET /orders/{token}" → "/orders/{token}".
func pathOf(pattern string) string {
	if i := strings.IndexByte(pattern, '/'); i >= 0 {
		return pattern[i:]
	}
	return "/"
}

// serve is the way of every request: headers, limits, route, log.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	known := requestOf(r.Context())
	known.body = r.Body
	out := &response{ResponseWriter: w}
	secure(out.Header(), known)
	s.routed(out, r, known)
	if out.status == 0 {
		out.status = http.StatusOK
	}
	s.log(r.Context(), known, methodOf(r), out, time.Since(begun))
}

func (s *Server) routed(w *response, r *http.Request, known *request) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		err, _ := p.(error)
		if errors.Is(err, http.ErrAbortHandler) {
			known.fail(err)
			s.log(r.Context(), known, methodOf(r), w, 0)
			panic(http.ErrAbortHandler)
		}
		known.fail(fault.Internal("panic: %v\n%s", p, debug.Stack()))
		if w.status == 0 {
			Error(w, r, fault.Internal("panic"))
		}
	}()
	r.Body = http.MaxBytesReader(w, known.body, s.options.MaxBodyBytes)
	if known.route == "" {
		s.unrouted(w, r)
		return
	}
	s.options.Handler.ServeHTTP(w, r)
}

// unrouted answers what the mux has no route for: its 404 as our error page,
// its redirects and 405s as they are.
func (s *Server) unrouted(w http.ResponseWriter, r *http.Request) {
	probe := &discard{header: http.Header{}}
	s.options.Handler.ServeHTTP(probe, r)
	switch probe.status {
	case http.StatusNotFound:
		Error(w, r, fault.NotFound("page"))
	default:
		s.options.Handler.ServeHTTP(w, r)
	}
}

func (s *Server) log(ctx context.Context, known *request, method string, w *response, took time.Duration) {
	known.mu.Lock()
	defer known.mu.Unlock()
	level := slog.LevelInfo
	switch {
	case known.expected:
	case w.status >= http.StatusInternalServerError && w.status != http.StatusServiceUnavailable:
		level = slog.LevelError
	case quiet[known.route]:
		level = slog.LevelDebug
	case w.status >= http.StatusInternalServerError:
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{
		slog.String("method", method),
		slog.String("route", known.route),
		slog.Int("status", w.status),
		slog.Duration("duration", took),
		slog.Int64("bytes", w.bytes),
		slog.String("client", known.client.String()),
		slog.String("request_id", known.id),
	}
	if known.err != nil {
		attrs = append(attrs, slog.String("error", fault.LogText(known.err)))
	}
	s.options.Logger.LogAttrs(ctx, level, "http", append(attrs, known.attrs...)...)
}

// response notes what is answered.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *response) WriteHeader(status int) {
	// 1xx are not yet the answer.
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Flush is for handlers that look for an http.Flusher.
func (w *response) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// discard finds out what a handler would answer.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header { return d.header }

func (d *discard) WriteHeader(status int) {
	if d.status == 0 {
		d.status = status
	}
}

func (d *discard) Write(b []byte) (int, error) {
	d.WriteHeader(http.StatusOK)
	return len(b), nil
}
