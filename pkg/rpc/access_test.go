package rpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// bare gives a connection that shows nothing but the given metadata.
func bare(t *testing.T, s *system, pairs ...string) (context.Context, *grpc.ClientConn) {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), pairs...), s.connect(t, rpc.DialOptions{})
}

// P8: what a credential opens, on each listener.
func TestAccess(t *testing.T) {
	public := rpc.ServerOptions{OperatorKey: "op-key", ServiceToken: "svc-token"}
	internal := rpc.ServerOptions{Listener: rpc.Internal, ServiceToken: "svc-token", OperatorKey: "op-key"}
	getOrder := func(ctx context.Context, c *grpc.ClientConn) (string, error) {
		r, err := orderv1.NewOrderServiceClient(c).GetOrder(ctx, &orderv1.GetOrderRequest{})
		return r.GetMerchantId(), err
	}
	getMerchant := func(ctx context.Context, c *grpc.ClientConn) (string, error) {
		r, err := orderv1.NewMerchantServiceClient(c).GetMerchant(ctx, &orderv1.GetMerchantRequest{})
		return r.GetId(), err
	}
	getReference := func(ctx context.Context, c *grpc.ClientConn) (string, error) {
		r, err := orderv1.NewReferenceServiceClient(c).GetReference(ctx, &orderv1.GetReferenceRequest{})
		return r.GetId(), err
	}
	const auth, actAs = "authorization", "quittance-merchant"
	tests := []struct {
		name    string
		options rpc.ServerOptions
		call    func(context.Context, *grpc.ClientConn) (string, error)
		md      []string
		kind    fault.Kind
		want    string
	}{
		{"merchant's key", public, getOrder, []string{auth, "Bearer key-a"}, 0, "mer_a"},
		{"scheme in lower case", public, getOrder, []string{auth, "bearer key-b"}, 0, "mer_b"},
		{"another merchant named by a key's owner", public, getOrder, []string{auth, "Bearer key-a", actAs, "mer_b"}, 0, "mer_a"},
		{"no key", public, getOrder, nil, fault.KindUnauthenticated, ""},
		{"empty key", public, getOrder, []string{auth, "Bearer "}, fault.KindUnauthenticated, ""},
		{"not a bearer", public, getOrder, []string{auth, "Basic key-a"}, fault.KindUnauthenticated, ""},
		{"two keys", public, getOrder, []string{auth, "Bearer key-a", auth, "Bearer key-b"}, fault.KindUnauthenticated, ""},
		{"unknown key", public, getOrder, []string{auth, "Bearer x"}, fault.KindUnauthenticated, ""},
		{"keys can't be checked", public, getOrder, []string{auth, "Bearer down"}, fault.KindUnavailable, ""},
		{"operator's key is no API key", public, getOrder, []string{auth, "Bearer op-key"}, fault.KindUnauthenticated, ""},
		{"service token on the public listener", public, getOrder, []string{auth, "Bearer svc-token", actAs, "mer_a"}, fault.KindUnauthenticated, ""},

		{"operator", public, getMerchant, []string{auth, "Bearer op-key"}, 0, "operator"},
		{"merchant as operator", public, getMerchant, []string{auth, "Bearer key-a"}, fault.KindUnauthenticated, ""},
		{"no operator key is set", rpc.ServerOptions{}, getMerchant, []string{auth, "Bearer op-key"}, fault.KindUnauthenticated, ""},
		{"no operator key is set or given", rpc.ServerOptions{}, getMerchant, []string{auth, "Bearer"}, fault.KindUnauthenticated, ""},

		{"service method on the public listener", public, getReference, []string{auth, "Bearer svc-token"}, fault.KindInternal, ""},

		{"service", internal, getReference, []string{auth, "Bearer svc-token"}, 0, "service"},
		{"no token", internal, getReference, nil, fault.KindUnauthenticated, ""},
		{"wrong token", internal, getReference, []string{auth, "Bearer x"}, fault.KindUnauthenticated, ""},
		{"service for a merchant", internal, getOrder, []string{auth, "Bearer svc-token", actAs, "mer_b"}, 0, "mer_b"},
		{"service for nobody", internal, getOrder, []string{auth, "Bearer svc-token"}, fault.KindUnauthenticated, ""},
		{"service for two", internal, getOrder, []string{auth, "Bearer svc-token", actAs, "mer_a", actAs, "mer_b"}, fault.KindUnauthenticated, ""},
		{"API key on the internal listener", internal, getOrder, []string{auth, "Bearer key-a"}, fault.KindUnauthenticated, ""},
		{"service as operator", internal, getMerchant, []string{auth, "Bearer svc-token"}, fault.KindDenied, ""},
		{"operator on the internal listener", internal, getMerchant, []string{auth, "Bearer op-key"}, fault.KindUnauthenticated, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tt.options, &orders{})
			ctx, conn := bare(t, s, tt.md...)
			got, err := tt.call(ctx, conn)
			if fault.KindOf(err) != tt.kind || got != tt.want {
				t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.kind)
			}
			for _, secret := range []string{"key-a", "op-key", "svc-token"} {
				if strings.Contains(s.log.String(), secret) {
					t.Errorf("P10: the log shows %s:\n%s", secret, s.log.String())
				}
			}
		})
	}
}

func TestServiceMethodsDoNotExistOnThePublicListener(t *testing.T) {
	s := start(t, rpc.ServerOptions{ServiceToken: "svc-token"}, &orders{})
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithContextDialer(s.dial), insecureTransport)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = orderv1.NewReferenceServiceClient(conn).GetReference(t.Context(), &orderv1.GetReferenceRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("err = %v", err)
	}
}

func TestStreamsAreGuardedToo(t *testing.T) {
	s := start(t, rpc.ServerOptions{}, &orders{watch: func(st grpc.ServerStreamingServer[orderv1.Order]) error {
		return st.Send(&orderv1.Order{MerchantId: rpc.MerchantID(st.Context())})
	}})
	for key, want := range map[string]fault.Kind{"key-a": 0, "x": fault.KindUnauthenticated} {
		ctx, conn := bare(t, s, "authorization", "Bearer "+key)
		stream, err := orderv1.NewOrderServiceClient(conn).WatchOrder(ctx, &orderv1.WatchOrderRequest{})
		if err != nil {
			t.Fatal(err)
		}
		o, err := stream.Recv()
		if fault.KindOf(err) != want || (err == nil && o.GetMerchantId() != "mer_a") {
			t.Errorf("%s: got %v, %v", key, o, err)
		}
	}
}

func TestMethodWithoutAccessIsRefused(t *testing.T) {
	server, err := rpc.NewServer(rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	grpc_testing.RegisterTestServiceServer(server.Registrar(), grpc_testing.UnimplementedTestServiceServer{})
	listener, _ := rpc.InProcess()
	err = server.Serve(t.Context(), listener)
	if err == nil || !strings.Contains(err.Error(), "grpc.testing.TestService.EmptyCall declares no access") {
		t.Errorf("err = %v", err)
	}
}

func TestServerThatCanNotCheckIsRefused(t *testing.T) {
	if _, err := rpc.NewServer(rpc.ServerOptions{Listener: rpc.Internal}); err == nil {
		t.Error("an internal listener without a service token")
	}
	server, err := rpc.NewServer(rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	orderv1.RegisterOrderServiceServer(server.Registrar(), &orders{})
	listener, _ := rpc.InProcess()
	if err := server.Serve(t.Context(), listener); err == nil || !strings.Contains(err.Error(), "no authenticator") {
		t.Errorf("err = %v", err)
	}
}

func TestForMerchantOverServiceToken(t *testing.T) {
	s := start(t, rpc.ServerOptions{Listener: rpc.Internal, ServiceToken: "svc-token"}, &orders{})
	client := orderv1.NewOrderServiceClient(s.connect(t, rpc.DialOptions{ServiceToken: "svc-token"}))
	ctx := rpc.ForMerchant(rpc.ForMerchant(t.Context(), "mer_a"), "mer_b")
	got, err := client.GetOrder(ctx, &orderv1.GetOrderRequest{})
	if err != nil || got.GetMerchantId() != "mer_b" {
		t.Errorf("got %v, %v", got, err)
	}
	// A wrong token of ours is no fault of whoever called us.
	wrong := orderv1.NewOrderServiceClient(s.connect(t, rpc.DialOptions{ServiceToken: "old-token"}))
	if _, err := wrong.GetOrder(ctx, &orderv1.GetOrderRequest{}); fault.KindOf(err) != fault.KindInternal {
		t.Errorf("err = %v", err)
	}
	if _, err := rpc.Dial("x", rpc.DialOptions{ServiceToken: "a", APIKey: "b"}); err == nil {
		t.Error("two credentials at once")
	}
}

func TestTLS(t *testing.T) {
	donor := httptest.NewTLSServer(nil)
	defer donor.Close()
	server, err := rpc.NewServer(rpc.ServerOptions{
		Authenticator: keys{"key-a": "mer_a"}, TLS: &tls.Config{Certificates: donor.TLS.Certificates},
	})
	if err != nil {
		t.Fatal(err)
	}
	orderv1.RegisterOrderServiceServer(server.Registrar(), &orders{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	roots := x509.NewCertPool()
	roots.AddCert(donor.Certificate())
	conn, err := rpc.Dial(listener.Addr().String(), rpc.DialOptions{APIKey: "key-a", TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := orderv1.NewOrderServiceClient(conn).GetOrder(ctx, &orderv1.GetOrderRequest{})
	if err != nil || got.GetMerchantId() != "mer_a" {
		t.Errorf("got %v, %v", got, err)
	}
	_ = conn.Close()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
