package rpc_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// listen serves orders at an address of its own until stop is called.
func listen(t *testing.T, o *orders) (addr string, stop func()) {
	t.Helper()
	server, err := rpc.NewServer(rpc.ServerOptions{Authenticator: keys{"key-a": "mer_a"}})
	if err != nil {
		t.Fatal(err)
	}
	orderv1.RegisterOrderServiceServer(server.Registrar(), o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
		ended <- nil
	}
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

// A list of addresses is several replicas: all of them get calls, and one that
// ends or can't take a call is not noticed.
func TestReplicas(t *testing.T) {
	var first, second, refused atomic.Int64
	answering := func(n *atomic.Int64) *orders {
		return &orders{get: func(context.Context, *orderv1.GetOrderRequest) (*orderv1.Order, error) {
			n.Add(1)
			return &orderv1.Order{}, nil
		}}
	}
	one, stop := listen(t, answering(&first))
	two, _ := listen(t, answering(&second))
	three, _ := listen(t, &orders{get: func(context.Context, *orderv1.GetOrderRequest) (*orderv1.Order, error) {
		if refused.Add(1)%2 == 1 {
			return nil, fault.Unavailable("not now")
		}
		return &orderv1.Order{}, nil
	}})
	conn, err := rpc.Dial(one+", "+two+","+three, rpc.DialOptions{APIKey: "key-a"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := orderv1.NewOrderServiceClient(conn)
	call := func() {
		t.Helper()
		if _, err := client.GetOrder(t.Context(), &orderv1.GetOrderRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	for begun := time.Now(); first.Load() == 0 || second.Load() == 0 || refused.Load() == 0; {
		if call(); time.Since(begun) > 20*time.Second {
			t.Fatalf("%d, %d, %d calls came", first.Load(), second.Load(), refused.Load())
		}
	}
	stop()
	for range 5 {
		call()
	}
}
