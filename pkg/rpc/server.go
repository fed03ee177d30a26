// Package rpc owns the one gRPC server and the one gRPC client of the system:
// who may call what, how errors travel, limits, traces and the log line of each
// call.
//
// It takes generated services (through [Server.Registrar]) and gives them calls
// whose caller is known: [MerchantID] tells for whom. Handlers return errors of
// package fault; callers that use [Dial] get them back as such.
package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"quittance/pkg/fault"
	"quittance/pkg/seal"
)

// Listener says who reaches a server.
type Listener int

// Kinds of listeners.
const (
	// Public takes API keys and the operator's key. Service methods do not
	// exist on it.
	Public Listener = iota
	// Internal takes the service token and nothing else.
	Internal
)

// ServerOptions of a Server. Zero values are usable but for the credentials.
type ServerOptions struct {
	Listener Listener
	// Authenticator checks API keys; required on a public listener with
	// merchant methods.
	Authenticator Authenticator
	// OperatorKey opens operator methods on a public listener; empty: nobody.
	OperatorKey seal.Secret
	// ServiceToken is what callers of an internal listener show; required there.
	ServiceToken seal.Secret
	// TLS of the listener; nil: none.
	TLS *tls.Config
	// MutualTLS is used instead of TLS if it is set.
	MutualTLS *MutualTLS

	Logger *slog.Logger
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider

	// MaxRecvBytes limits one message; 0: 1 MiB.
	MaxRecvBytes int
	// MaxStreams limits the calls at once of one connection; 0: 250.
	MaxStreams uint32
	// Timeout limits a unary call whose caller set no earlier deadline; 0: 60 s.
	Timeout time.Duration
	// StopTimeout is how long calls under way may last once stopping has
	// begun; 0: 10 s.
	StopTimeout time.Duration
}

func (o *ServerOptions) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Tracer == nil {
		o.Tracer = tracenoop.NewTracerProvider()
	}
	if o.Meter == nil {
		o.Meter = metricnoop.NewMeterProvider()
	}
	if o.MaxRecvBytes == 0 {
		o.MaxRecvBytes = 1 << 20
	}
	if o.MaxStreams == 0 {
		o.MaxStreams = 250
	}
	if o.Timeout == 0 {
		o.Timeout = 60 * time.Second
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = 10 * time.Second
	}
}

// Server is a gRPC server with health and reflection on. Register services,
// then Serve once.
type Server struct {
	options ServerOptions
	grpc    *grpc.Server
	health  *health.Server
	access  *access
	// stopping is done when streams to callers shall end.
	stopping context.Context
	stop     context.CancelCauseFunc
}

// errStopping ends streams; the caller may go on with another replica.
var errStopping = fault.Unavailable("the server is stopping, call again")

// NewServer builds a server. It errs on options that can't be served.
func NewServer(options ServerOptions) (*Server, error) {
	options.setDefaults()
	if options.Listener == Internal && options.ServiceToken == "" {
		return nil, errors.New("rpc: an internal listener needs a service token")
	}
	s := &Server{options: options, health: health.NewServer(), access: newAccess(options)}
	// The server's life is not a caller's: Serve ends it.
	s.stopping, s.stop = context.WithCancelCause(context.Background()) //nolint:forbidigo // see above
	serverOptions := []grpc.ServerOption{
		grpc.StatsHandler(otelgrpc.NewServerHandler(
			otelgrpc.WithTracerProvider(options.Tracer),
			otelgrpc.WithMeterProvider(options.Meter),
			otelgrpc.WithPropagators(propagation.TraceContext{}),
			// A method that a caller makes up would be a time series more.
			otelgrpc.WithFilter(filters.All(filters.Not(filters.HealthCheck()), s.access.registered)),
		)),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
		grpc.MaxRecvMsgSize(options.MaxRecvBytes),
		grpc.MaxHeaderListSize(16 << 10),
		grpc.MaxConcurrentStreams(options.MaxStreams),
		grpc.ConnectionTimeout(20 * time.Second),
		// Connections end after half an hour, so that callers spread over new
		// replicas; streams get five minutes more, then watch again.
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: 15 * time.Minute, MaxConnectionAge: 30 * time.Minute,
			MaxConnectionAgeGrace: 5 * time.Minute, Time: time.Minute, Timeout: 20 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
	switch {
	case options.MutualTLS != nil:
		serverOptions = append(serverOptions, grpc.Creds(mutual{options.MutualTLS}))
	case options.TLS != nil:
		serverOptions = append(serverOptions, grpc.Creds(credentials.NewTLS(options.TLS)))
	}
	s.grpc = grpc.NewServer(serverOptions...)
	healthv1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	return s, nil
}

// Registrar takes generated services: orderv1.RegisterOrderServiceServer(s.Registrar(), impl).
func (s *Server) Registrar() grpc.ServiceRegistrar { return s.grpc }

// Serve takes calls on all listeners until ctx is canceled, then refuses new
// ones, ends the streams to callers and lets the rest finish within the stop
// timeout. It errs at once, naming the method, if a registered method declares
// no access or needs a credential that the server can't check. It closes the
// listeners. Call it once.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	if err := s.access.learn(s.grpc.GetServiceInfo()); err != nil {
		for _, l := range listeners {
			_ = l.Close()
		}
		return err
	}
	group, failed := errgroup.WithContext(ctx)
	for _, l := range listeners {
		group.Go(func() error {
			if err := s.grpc.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				return fmt.Errorf("serve gRPC on %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	<-failed.Done()
	s.shutdown()
	return group.Wait()
}

// ListenAndServe is Serve on a TCP address.
func (s *Server) ListenAndServe(ctx context.Context, addr string) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for gRPC: %w", err)
	}
	return s.Serve(ctx, listener)
}

func (s *Server) shutdown() {
	s.health.Shutdown()
	s.stop(errStopping)
	drained := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(drained)
	}()
	patience := time.NewTimer(s.options.StopTimeout)
	defer patience.Stop()
	select {
	case <-drained:
	case <-patience.C:
		s.grpc.Stop()
		<-drained
	}
}
