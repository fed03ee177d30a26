// Package web owns the one HTTP server of the system: limits, headers, traces,
// who the client is, how errors look and the log line of each request.
//
// It takes a ServeMux with the routes of a program and gives them requests that
// are bounded, traced and numbered. Neither log nor trace shows a URL as it
// came: paths and queries carry tokens and signatures, so routes stand in for
// them.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Options of a Server. Zero values are usable.
type Options struct {
	// Addr is where Run listens.
	Addr string
	// Handler has the routes.
	Handler *http.ServeMux
	// TLS of the listener; nil: none.
	TLS *tls.Config
	// TrustedProxies may say who the client is (X-Forwarded-For, -Proto) and
	// may bring a request id and a trace. From all others these are ignored;
	// a trace is linked.
	TrustedProxies []netip.Prefix
	// Stylesheet is the path of a style sheet for error pages; empty: none.
	Stylesheet string

	Logger *slog.Logger
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider

	// ReadHeaderTimeout, ReadTimeout, WriteTimeout and IdleTimeout are those of
	// net/http; 0: 5 s, 30 s, 30 s, 2 min. See Live for exceptions.
	ReadHeaderTimeout time.Duration
	ReadTimeout       time.Duration
	WriteTimeout      time.Duration
	IdleTimeout       time.Duration
	// MaxHeaderBytes limits the request's header; 0: 32 KiB.
	MaxHeaderBytes int
	// MaxBodyBytes limits bodies on routes without LimitBody; 0: 1 MiB.
	MaxBodyBytes int64
	// StopTimeout is how long requests under way may last once stopping has
	// begun; 0: 10 s.
	StopTimeout time.Duration
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Tracer == nil {
		o.Tracer = tracenoop.NewTracerProvider()
	}
	if o.Meter == nil {
		o.Meter = metricnoop.NewMeterProvider()
	}
	orDefault(&o.ReadHeaderTimeout, 5*time.Second)
	orDefault(&o.ReadTimeout, 30*time.Second)
	orDefault(&o.WriteTimeout, 30*time.Second)
	orDefault(&o.IdleTimeout, 2*time.Minute)
	orDefault(&o.MaxHeaderBytes, 32<<10)
	orDefault(&o.MaxBodyBytes, 1<<20)
	orDefault(&o.StopTimeout, 10*time.Second)
}

func orDefault[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

// Server is an HTTP server.
type Server struct {
	options Options
	handler http.Handler
	// stopping is done when live pages shall end.
	stopping context.Context
	stop     context.CancelFunc
}

// NewServer builds a server. It errs on options that can't be served.
func NewServer(options Options) (*Server, error) {
	options.setDefaults()
	if options.Handler == nil {
		return nil, errors.New("web: no handler")
	}
	s := &Server{options: options}
	// The server's life is not a request's: Serve ends it.
	s.stopping, s.stop = context.WithCancel(context.Background()) //nolint:forbidigo // see above
	s.handler = s.traced(http.HandlerFunc(s.serve))
	return s, nil
}

// Handler returns all that a request passes through, for tests and for servers
// of one's own.
func (s *Server) Handler() http.Handler { return s.handler }

// Run is Serve on Options.Addr.
func (s *Server) Run(ctx context.Context) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.options.Addr)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	return s.Serve(ctx, listener)
}

// Serve takes requests until ctx is canceled, then refuses new ones, ends live
// pages and lets the rest finish within the stop timeout. It closes the
// listener. Call it once.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	o := s.options
	server := &http.Server{
		Handler: s.handler, TLSConfig: o.TLS,
		ReadHeaderTimeout: o.ReadHeaderTimeout, ReadTimeout: o.ReadTimeout,
		WriteTimeout: o.WriteTimeout, IdleTimeout: o.IdleTimeout, MaxHeaderBytes: o.MaxHeaderBytes,
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() {
		if o.TLS != nil {
			served <- server.ServeTLS(listener, "", "")
			return
		}
		served <- server.Serve(listener)
	}()
	select {
	case err := <-served:
		s.stop()
		return fmt.Errorf("serve HTTP on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	s.stop()
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.StopTimeout)
	defer cancel()
	err := server.Shutdown(patience)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-served
	if err != nil {
		return fmt.Errorf("stop HTTP on %s: %w", listener.Addr(), err)
	}
	return nil
}

// Health mounts /healthz, /readyz and /metrics. Requests to them are neither
// traced nor logged above debug.
func Health(mux *http.ServeMux, readiness interface {
	HealthHandler() http.Handler
	ReadyHandler() http.Handler
}, metrics http.Handler) {
	Liveness(mux, readiness)
	mux.Handle("GET /readyz", readiness.ReadyHandler())
	mux.Handle("GET /metrics", metrics)
}

// Liveness mounts /healthz alone, for a listener that strangers reach while
// Health is on another one.
func Liveness(mux *http.ServeMux, readiness interface{ HealthHandler() http.Handler }) {
	mux.Handle("GET /healthz", readiness.HealthHandler())
}

// quiet are the routes of Health.
var quiet = map[string]bool{"GET /healthz": true, "GET /readyz": true, "GET /metrics": true}
