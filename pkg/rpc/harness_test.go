package rpc_test

// Real: the server, the client, the contracts, connections (in-process, and TCP
// for TLS). Doubled: the services behind the contracts and the API keys.
// Asserted: what callers get, what handlers see, what is logged and traced.

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type keys map[string]string

func (k keys) AuthenticateMerchant(_ context.Context, key string) (string, error) {
	if key == "down" {
		return "", fault.Unavailable("keys can't be checked now")
	}
	if m, ok := k[key]; ok {
		return m, nil
	}
	return "", fault.Unauthenticated("unknown API key")
}

// orders answers GetOrder as get says and WatchOrder as watch says.
type orders struct {
	orderv1.UnimplementedOrderServiceServer
	get   func(context.Context, *orderv1.GetOrderRequest) (*orderv1.Order, error)
	watch func(grpc.ServerStreamingServer[orderv1.Order]) error
}

func (o *orders) GetOrder(ctx context.Context, req *orderv1.GetOrderRequest) (*orderv1.Order, error) {
	if o.get != nil {
		return o.get(ctx, req)
	}
	rpc.Annotate(ctx, slog.String("order", req.GetOrderId()))
	return &orderv1.Order{Id: req.GetOrderId(), MerchantId: rpc.MerchantID(ctx)}, nil
}

func (o *orders) WatchOrder(_ *orderv1.WatchOrderRequest, s grpc.ServerStreamingServer[orderv1.Order]) error {
	return o.watch(s)
}

type references struct {
	orderv1.UnimplementedReferenceServiceServer
}

func (references) GetReference(ctx context.Context, _ *orderv1.GetReferenceRequest) (*orderv1.Reference, error) {
	return &orderv1.Reference{Id: string(rpc.Caller(ctx).Role)}, nil
}

type merchants struct {
	orderv1.UnimplementedMerchantServiceServer
}

func (merchants) GetMerchant(ctx context.Context, _ *orderv1.GetMerchantRequest) (*orderv1.Merchant, error) {
	return &orderv1.Merchant{Id: string(rpc.Caller(ctx).Role)}, nil
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type system struct {
	server *rpc.Server
	dial   rpc.Dialer
	log    *logBuffer
	// stop stops the server; ended has what Serve returned.
	stop  context.CancelFunc
	ended chan error
}

// start serves all services of the order contracts in-process.
func start(t *testing.T, options rpc.ServerOptions, o *orders) *system {
	t.Helper()
	s := &system{log: &logBuffer{}, ended: make(chan error, 1)}
	options.Logger = slog.New(slog.NewTextHandler(s.log, nil))
	if options.Authenticator == nil {
		options.Authenticator = keys{"key-a": "mer_a", "key-b": "mer_b"}
	}
	server, err := rpc.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	orderv1.RegisterOrderServiceServer(server.Registrar(), o)
	orderv1.RegisterReferenceServiceServer(server.Registrar(), references{})
	orderv1.RegisterMerchantServiceServer(server.Registrar(), merchants{})
	listener, dial := rpc.InProcess()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	s.server, s.dial, s.stop = server, dial, stop
	go func() { s.ended <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-s.ended:
			if err != nil {
				t.Errorf("serve: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the server does not stop")
		}
	})
	return s
}

func (s *system) connect(t *testing.T, options rpc.DialOptions) *grpc.ClientConn {
	t.Helper()
	options.Dialer = s.dial
	conn, err := rpc.Dial("order", options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
