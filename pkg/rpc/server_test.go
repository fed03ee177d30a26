package rpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

var insecureTransport = grpc.WithTransportCredentials(insecure.NewCredentials())

func TestErrorsCrossTheCallTyped(t *testing.T) {
	tests := map[string]struct {
		err  error
		kind fault.Kind
		text string
	}{
		"fault":    {fault.Invalid("lines[0].quantity", "must be between 1 and 10000"), fault.KindInvalid, "lines[0].quantity: must be between 1 and 10000"},
		"wrapped":  {errors.Join(errors.New("load"), fault.NotFound("order %q", "ord_1")), fault.KindNotFound, `order "ord_1" not found`},
		"stranger": {errors.New("pq: password is hunter2"), fault.KindInternal, "internal error"},
		"deadline": {context.DeadlineExceeded, fault.KindUnavailable, "deadline exceeded"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t, rpc.ServerOptions{}, &orders{
				get:   func(context.Context, *orderv1.GetOrderRequest) (*orderv1.Order, error) { return nil, tt.err },
				watch: func(grpc.ServerStreamingServer[orderv1.Order]) error { return tt.err },
			})
			client := orderv1.NewOrderServiceClient(s.connect(t, rpc.DialOptions{APIKey: "key-a"}))
			_, unaryErr := client.GetOrder(t.Context(), &orderv1.GetOrderRequest{})
			stream, err := client.WatchOrder(t.Context(), &orderv1.WatchOrderRequest{})
			if err != nil {
				t.Fatal(err)
			}
			_, streamErr := stream.Recv()
			for _, err := range []error{unaryErr, streamErr} {
				if fault.KindOf(err) != tt.kind || fault.Public(err) != tt.text || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("err = %v (%v)", err, fault.KindOf(err))
				}
				if diff := cmp.Diff(fault.FieldsOf(tt.err), fault.FieldsOf(err)); diff != "" {
					t.Errorf("fields (-want +got):\n%s", diff)
				}
			}
			if name == "stranger" && strings.Count(s.log.String(), "hunter2") != 2 {
				t.Errorf("the log does not tell:\n%s", s.log.String())
			}
		})
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	s := start(t, rpc.ServerOptions{}, &orders{
		get:   func(context.Context, *orderv1.GetOrderRequest) (*orderv1.Order, error) { panic("at the unary") },
		watch: func(grpc.ServerStreamingServer[orderv1.Order]) error { panic("at the stream") },
	})
	client := orderv1.NewOrderServiceClient(s.connect(t, rpc.DialOptions{APIKey: "key-a"}))
	if _, err := client.GetOrder(t.Context(), &orderv1.GetOrderRequest{}); fault.KindOf(err) != fault.KindInternal {
		t.Errorf("err = %v", err)
	}
	stream, err := client.WatchOrder(t.Context(), &orderv1.WatchOrderRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); fault.KindOf(err) != fault.KindInternal {
		t.Errorf("err = %v", err)
	}
	for _, want := range []string{"at the unary", "at the stream", "level=ERROR", "server_test.go"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("no %q in the log", want)
		}
	}
}

func TestOneLinePerCallAndOneTrace(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	var inHandler trace.TraceID
	s := start(t, rpc.ServerOptions{Tracer: tracer}, &orders{})
	client := orderv1.NewOrderServiceClient(s.connect(t, rpc.DialOptions{APIKey: "key-a", Tracer: tracer}))
	ctx, root := tracer.Tracer("test").Start(t.Context(), "storefront")
	if _, err := client.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: "ord_1"}); err != nil {
		t.Fatal(err)
	}
	root.End()
	inHandler = root.SpanContext().TraceID()
	s.stop()
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	s.ended <- nil

	log := s.log.String()
	for _, want := range []string{"method=quittance.order.v1.OrderService/GetOrder", "code=OK", "duration=", "caller=merchant", "merchant=mer_a", "order=ord_1"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in\n%s", want, log)
		}
	}
	if n := strings.Count(log, "\n"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log)
	}
	kinds := map[trace.SpanKind]int{}
	for _, sp := range spans.Ended() {
		kinds[sp.SpanKind()]++
		if sp.SpanContext().TraceID() != inHandler {
			t.Errorf("%s is in another trace", sp.Name())
		}
	}
	if kinds[trace.SpanKindClient] != 1 || kinds[trace.SpanKindServer] != 1 {
		t.Errorf("spans = %v", kinds)
	}
}

func TestHealthAndReflectionNeedNoKey(t *testing.T) {
	s := start(t, rpc.ServerOptions{}, &orders{})
	conn := s.connect(t, rpc.DialOptions{})
	h, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil || h.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health = %v, %v", h, err)
	}
	r, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	got, err := r.Recv()
	if err != nil || len(got.GetListServicesResponse().GetService()) < 3 {
		t.Errorf("services = %v, %v", got, err)
	}
	_ = r.CloseSend()
	if _, err := r.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("end of the stream = %v", err)
	}
}

func TestLimits(t *testing.T) {
	s := start(t, rpc.ServerOptions{MaxRecvBytes: 1000, Timeout: time.Millisecond}, &orders{
		get: func(ctx context.Context, _ *orderv1.GetOrderRequest) (*orderv1.Order, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	client := orderv1.NewOrderServiceClient(s.connect(t, rpc.DialOptions{APIKey: "key-a"}))
	_, err := client.GetOrder(t.Context(), &orderv1.GetOrderRequest{OrderId: strings.Repeat("x", 2000)})
	if fault.KindOf(err) != fault.KindExhausted {
		t.Errorf("large message: %v", err)
	}
	_, err = client.GetOrder(t.Context(), &orderv1.GetOrderRequest{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("slow handler: %v", err)
	}
}

func TestStopEndsStreamsAndLetsCallsFinish(t *testing.T) {
	entered, release := make(chan struct{}, 2), make(chan struct{})
	s := start(t, rpc.ServerOptions{}, &orders{
		get: func(context.Context, *orderv1.GetOrderRequest) (*orderv1.Order, error) {
			entered <- struct{}{}
			<-release
			return &orderv1.Order{Id: "done"}, nil
		},
		watch: func(st grpc.ServerStreamingServer[orderv1.Order]) error {
			entered <- struct{}{}
			<-st.Context().Done()
			return st.Context().Err()
		},
	})
	client := orderv1.NewOrderServiceClient(s.connect(t, rpc.DialOptions{APIKey: "key-a"}))
	stream, err := client.WatchOrder(t.Context(), &orderv1.WatchOrderRequest{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		o, err := client.GetOrder(t.Context(), &orderv1.GetOrderRequest{})
		if err == nil && o.GetId() != "done" {
			err = errors.New("wrong answer")
		}
		got <- err
	}()
	<-entered
	<-entered
	s.stop()
	if _, err := stream.Recv(); fault.KindOf(err) != fault.KindUnavailable || errors.Is(err, context.Canceled) {
		t.Errorf("stream ended with %v", err)
	}
	close(release)
	if err := <-got; err != nil {
		t.Errorf("the call under way: %v", err)
	}
}

func TestStopHasADeadline(t *testing.T) {
	entered := make(chan struct{})
	s := start(t, rpc.ServerOptions{StopTimeout: 10 * time.Millisecond}, &orders{
		get: func(ctx context.Context, _ *orderv1.GetOrderRequest) (*orderv1.Order, error) {
			close(entered)
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	client := orderv1.NewOrderServiceClient(s.connect(t, rpc.DialOptions{APIKey: "key-a"}))
	go func() { <-entered; s.stop() }()
	if _, err := client.GetOrder(t.Context(), &orderv1.GetOrderRequest{}); fault.KindOf(err) != fault.KindUnavailable {
		t.Errorf("err = %v", err)
	}
}

func TestAbsentPeerIsUnavailable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close()
	conn, err := rpc.Dial(addr, rpc.DialOptions{APIKey: "key-a"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = orderv1.NewOrderServiceClient(conn).GetOrder(t.Context(), &orderv1.GetOrderRequest{})
	if fault.KindOf(err) != fault.KindUnavailable || strings.Contains(fault.Public(err), addr) {
		t.Errorf("err = %v", err)
	}
}

func TestPageSize(t *testing.T) {
	for n, want := range map[int32]int{0: 50, 1: 1, 200: 200} {
		if got, err := rpc.PageSize(n); got != want || err != nil {
			t.Errorf("PageSize(%d) = %d, %v", n, got, err)
		}
	}
	for _, n := range []int32{-1, 201} {
		if _, err := rpc.PageSize(n); fault.KindOf(err) != fault.KindInvalid || fault.FieldsOf(err)[0].Path != "page_size" {
			t.Errorf("PageSize(%d): %v", n, err)
		}
	}
}

func TestPrincipalWithoutAServer(t *testing.T) {
	if rpc.MerchantID(t.Context()) != "" {
		t.Error("a merchant out of nowhere")
	}
	ctx := rpc.WithPrincipal(t.Context(), rpc.Principal{Role: rpc.RoleMerchant, Merchant: "mer_a"})
	if rpc.MerchantID(ctx) != "mer_a" || rpc.Caller(ctx).Role != rpc.RoleMerchant {
		t.Errorf("caller = %v", rpc.Caller(ctx))
	}
}
