package rpc_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	"quittance/pkg/telemetry"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Whatever methods a client makes up: neither metrics nor traces know them.
func TestUnknownMethodsAreNotMeasured(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	spans := tracetest.NewSpanRecorder()
	tel, err := telemetry.Setup(t.Context(), "order", telemetry.Config{Output: io.Discard, SpanProcessors: []sdktrace.SpanProcessor{spans}})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, rpc.ServerOptions{Tracer: tel.Tracer, Meter: tel.Meter}, &orders{})
	conn := s.connect(t, rpc.DialOptions{APIKey: "key-a"})
	if _, err := orderv1.NewOrderServiceClient(conn).GetOrder(t.Context(), &orderv1.GetOrderRequest{OrderId: "ord_1"}); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		for _, method := range []string{"/quittance.order.v1.OrderService/Evil%d", "/evil%d/GetOrder", "/evil%d"} {
			err := conn.Invoke(t.Context(), fmt.Sprintf(method, i), &emptypb.Empty{}, &emptypb.Empty{})
			if fault.KindOf(err) == 0 || status.Code(err) == codes.OK {
				t.Fatalf("%s: %v", method, err)
			}
		}
	}
	s.stop()
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	s.ended <- nil
	rec := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body := rec.Body.String()
	if !strings.Contains(body, "OrderService/GetOrder") || strings.Contains(strings.ToLower(body), "evil") {
		t.Errorf("metrics:\n%.3000s", body)
	}
	if ended := spans.Ended(); len(ended) != 1 {
		t.Errorf("%d spans", len(ended))
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
