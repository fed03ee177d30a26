package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/test/bufconn"

	"quittance/pkg/fault"
	"quittance/pkg/seal"
)

// Dialer connects to a listener in some other way than by TCP.
type Dialer func(ctx context.Context, addr string) (net.Conn, error)

// InProcess gives a listener and the dialer that reaches it, without a network.
func InProcess() (net.Listener, Dialer) {
	l := bufconn.Listen(1 << 20)
	return l, func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }
}

// DialOptions of a connection. At most one of ServiceToken and APIKey is set.
type DialOptions struct {
	// ServiceToken makes the calls those of a service, for internal listeners;
	// see ForMerchant.
	ServiceToken seal.Secret
	// APIKey makes the calls those of a merchant, or of the operator.
	APIKey seal.Secret
	// TLS of the connection; nil: none.
	TLS *tls.Config
	// MutualTLS is used instead of TLS if it is set.
	MutualTLS *MutualTLS
	// Dialer replaces TCP; see InProcess.
	Dialer Dialer

	Tracer trace.TracerProvider
	Meter  metric.MeterProvider

	// Timeout limits a unary call whose context has no deadline; 0: 10 s.
	Timeout time.Duration
	// MaxRecvBytes limits one message; 0: 4 MiB.
	MaxRecvBytes int
}

// retries is the ordinary configuration of clients. A target with several
// addresses is several replicas. A call that a peer could not take (it is
// stopping, or gone) is made again, by then on another replica if there is one;
// every method may be repeated. It is made three times within half a second at
// most, so that an outage is soon seen as one.
const retries = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [{"name": [{}], "retryPolicy": {
		"maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "0.4s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]
	}}]
}`

// Dial gives a connection for generated clients. The target is one address, a
// name with several, or a list of addresses separated by commas. It does not
// connect by itself: the first call does, and calls made while the peer is not
// there fail as unavailable. Errors of calls are faults.
func Dial(target string, options DialOptions) (*grpc.ClientConn, error) {
	if options.ServiceToken != "" && options.APIKey != "" {
		return nil, errors.New("rpc: dial with a service token or an API key, not both")
	}
	if options.Tracer == nil {
		options.Tracer = tracenoop.NewTracerProvider()
	}
	if options.Meter == nil {
		options.Meter = metricnoop.NewMeterProvider()
	}
	if options.Timeout == 0 {
		options.Timeout = 10 * time.Second
	}
	if options.MaxRecvBytes == 0 {
		options.MaxRecvBytes = 4 << 20
	}
	transport := insecure.NewCredentials()
	switch {
	case options.MutualTLS != nil:
		transport = mutual{options.MutualTLS}
	case options.TLS != nil:
		transport = credentials.NewTLS(options.TLS)
	}
	c := &client{timeout: options.Timeout, service: options.ServiceToken != ""}
	dialOptions := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithStatsHandler(otelgrpc.NewClientHandler(
			otelgrpc.WithTracerProvider(options.Tracer),
			otelgrpc.WithMeterProvider(options.Meter),
			otelgrpc.WithPropagators(propagation.TraceContext{}),
		)),
		grpc.WithUnaryInterceptor(c.unary),
		grpc.WithStreamInterceptor(c.stream),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(options.MaxRecvBytes)),
		grpc.WithDefaultServiceConfig(retries),
		// A replica that was restarted is found again within moments, so that the
		// next one can be restarted.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
	}
	if secret := options.ServiceToken + options.APIKey; secret != "" {
		dialOptions = append(dialOptions, grpc.WithPerRPCCredentials(token{secret}))
	}
	if options.Dialer != nil {
		dialOptions = append(dialOptions, grpc.WithContextDialer(options.Dialer))
		if !strings.Contains(target, ":///") {
			target = "passthrough:///" + target
		}
	}
	if addresses := strings.Split(target, ","); len(addresses) > 1 {
		list := manual.NewBuilderWithScheme("list")
		state := resolver.State{}
		for _, a := range addresses {
			a = strings.TrimSpace(a)
			state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: a, ServerName: a}}})
		}
		list.InitialState(state)
		dialOptions = append(dialOptions, grpc.WithResolvers(list))
		target = "list:///replicas"
	}
	conn, err := grpc.NewClient(target, dialOptions...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	return conn, nil
}

// token is shown on every call. It also goes over connections without TLS:
// inside one host or one private network that is the operator's choice.
type token struct{ Secret seal.Secret }

func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + t.Secret.Reveal()}, nil
}

func (token) RequireTransportSecurity() bool { return false }

type client struct {
	timeout time.Duration
	service bool
}

func (c *client) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	return c.fault(invoke(ctx, method, req, reply, cc, opts...))
}

func (c *client) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s, err := stream(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, c.fault(err)
	}
	return &clientStream{s, c}, nil
}

// fault gives the error of a call as a fault. That the peer refuses our own
// service token is not the affair of whoever called us.
func (c *client) fault(err error) error {
	err = fault.FromStatus(err)
	if kind := fault.KindOf(err); c.service && (kind == fault.KindUnauthenticated || kind == fault.KindDenied) {
		return fault.Internal("call another service").Because(errors.New(err.Error()))
	}
	return err
}

type clientStream struct {
	grpc.ClientStream
	client *client
}

func (s *clientStream) SendMsg(m any) error { return s.client.fault(s.ClientStream.SendMsg(m)) }
func (s *clientStream) RecvMsg(m any) error { return s.client.fault(s.ClientStream.RecvMsg(m)) }
func (s *clientStream) CloseSend() error    { return s.client.fault(s.ClientStream.CloseSend()) }
