package terminal

// Real here: the commands, gRPC, a receiver over loopback. Doubled: the order
// and the notification service, which know one order. Asserted: what is shown,
// asked for and sent.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	"quittance/pkg/webhook"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// shop is the order service.
type shop struct {
	orderv1.UnimplementedOrderServiceServer
	mu     sync.Mutex
	events []*orderv1.PublicEvent
}

func (s *shop) happen(typ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := int64(len(s.events) + 1)
	s.events = append(s.events, &orderv1.PublicEvent{
		Id: fmt.Sprintf("evt_%d", n), Type: typ, Time: timestamppb.Now(), OrderId: "ord_1", Sequence: n, Order: order(),
	})
}

func order() *orderv1.Order {
	return &orderv1.Order{
		Id: "ord_1", MerchantId: "acme", Reference: "4711", Total: &orderv1.Money{Minor: 1999, Currency: "EUR"},
		Customer: &orderv1.Customer{Email: "ada@example.com"}, PaymentState: orderv1.PaymentState_PAYMENT_STATE_PAID,
		DeliveryProblem: "the pool is empty",
	}
}

func (s *shop) GetOrder(_ context.Context, req *orderv1.GetOrderRequest) (*orderv1.Order, error) {
	if req.GetOrderId() != "ord_1" {
		return nil, fault.ToStatus(fault.NotFound("order")).Err()
	}
	return order(), nil
}

// ListEvents always lists everything, as the overlap of cursors may.
func (s *shop) ListEvents(context.Context, *orderv1.ListEventsRequest) (*orderv1.ListEventsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &orderv1.ListEventsResponse{Events: s.events, Cursor: "c"}, nil
}

// hooks is the notification service.
type hooks struct {
	notificationv1.UnimplementedNotificationServiceServer
	mu    sync.Mutex
	asked []string
}

func (h *hooks) ask(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, fmt.Sprintf(format, args...))
}

func hook() *notificationv1.Webhook {
	return &notificationv1.Webhook{
		EndpointId: "main", EventId: "evt_1", EventType: "order.created", OrderId: "ord_1", Sequence: 1,
		State: notificationv1.WebhookState_WEBHOOK_STATE_EXHAUSTED, LastResult: "500 Internal Server Error",
		Attempts: []*notificationv1.Attempt{{Time: timestamppb.Now(), Number: 1, Status: 500, Latency: durationpb.New(120 * time.Millisecond), Response: "oops"}},
	}
}

func (h *hooks) ListEndpoints(context.Context, *notificationv1.ListEndpointsRequest) (*notificationv1.ListEndpointsResponse, error) {
	return &notificationv1.ListEndpointsResponse{Endpoints: []*notificationv1.Endpoint{{
		Id: "main", Url: "https://shop.example/in",
		Health: &notificationv1.EndpointHealth{State: notificationv1.HealthState_HEALTH_STATE_FAILING, Problem: "no answer within 10s"},
	}}}, nil
}

func (h *hooks) ListDeliveries(_ context.Context, req *notificationv1.ListDeliveriesRequest) (*notificationv1.ListDeliveriesResponse, error) {
	h.ask("list %s %s", req.GetEndpointId(), req.GetState())
	if req.GetPageToken() == "" {
		return &notificationv1.ListDeliveriesResponse{NextPageToken: "2"}, nil
	}
	return &notificationv1.ListDeliveriesResponse{Webhooks: []*notificationv1.Webhook{hook()}}, nil
}

func (h *hooks) GetDelivery(context.Context, *notificationv1.GetDeliveryRequest) (*notificationv1.Webhook, error) {
	return hook(), nil
}

func (h *hooks) SendTest(_ context.Context, req *notificationv1.SendTestRequest) (*notificationv1.Webhook, error) {
	h.ask("test %s %s", req.GetEndpointId(), req.GetEventType())
	return hook(), nil
}

func (h *hooks) Replay(_ context.Context, req *notificationv1.ReplayRequest) (*notificationv1.ReplayResponse, error) {
	h.ask("replay %s %s %s", req.GetEndpointId(), req.GetOrderId(), req.GetEventId())
	return &notificationv1.ReplayResponse{Webhooks: 3}, nil
}

func (h *hooks) ReplayRange(_ context.Context, req *notificationv1.ReplayRangeRequest) (*notificationv1.ReplayRun, error) {
	h.ask("range %s %v %t", req.GetEndpointId(), req.GetEventTypes(), req.GetFailedOnly())
	return &notificationv1.ReplayRun{Id: "rpl_1"}, nil
}

func (h *hooks) GetReplayRange(context.Context, *notificationv1.GetReplayRangeRequest) (*notificationv1.ReplayRun, error) {
	return &notificationv1.ReplayRun{Id: "rpl_1", Done: true, Webhooks: 7}, nil
}

type world struct {
	*shop
	*hooks
	conn *grpc.ClientConn
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{shop: &shop{}, hooks: &hooks{}}
	server := grpc.NewServer()
	orderv1.RegisterOrderServiceServer(server, w.shop)
	notificationv1.RegisterNotificationServiceServer(server, w.hooks)
	listener, dial := rpc.InProcess()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	conn, err := rpc.Dial("terminal", rpc.DialOptions{APIKey: "key", Dialer: dial})
	if err != nil {
		t.Fatal(err)
	}
	w.conn = conn
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) run(ctx context.Context, out io.Writer, args ...string) error {
	return run(ctx, commands[args[0]], args, w.conn, w.conn, out)
}

func TestCommands(t *testing.T) {
	w := newWorld(t)
	w.happen("order.created")
	w.happen("payment.succeeded")
	for args, want := range map[string][]string{
		"order ord_1":                      {"ord_1  19.99 EUR  4711", "payment   paid", "the pool is empty", "#1 order.created", "#2 payment.succeeded", "try 1  500  120ms  oops"},
		"events":                           {"order.created", "payment.succeeded", "ada@example.com"},
		"events -type order.created -json": {`{"type":"order.created","timestamp":`},
		"endpoints":                        {"main", "failing", "no answer within 10s"},
		"deliveries -endpoint main -state exhausted": {"exhausted: 500 Internal Server Error"},
		"test -endpoint main -type order.created":    {"order.created  evt_1", "oops"},
		"replay -endpoint main -order ord_1":         {"3 webhooks are sent again"},
		"replay -endpoint main -since 1h -failed":    {"7 webhooks are sent again"},
	} {
		t.Run(args, func(t *testing.T) {
			var out bytes.Buffer
			if err := w.run(t.Context(), &out, strings.Fields(args)...); err != nil {
				t.Fatal(err)
			}
			for _, s := range want {
				if !strings.Contains(out.String(), s) {
					t.Errorf("%q is not in\n%s", s, out.String())
				}
			}
		})
	}
	asked := strings.Join(w.asked, "\n")
	for _, want := range []string{
		"list main WEBHOOK_STATE_EXHAUSTED", "test main order.created", "replay main ord_1 ", "range main [] true",
	} {
		if !strings.Contains(asked, want) {
			t.Errorf("%q was not asked for:\n%s", want, asked)
		}
	}
}

func TestArgumentsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, args := range []string{
		"order", "order a b", "events -x", "replay -endpoint main", "deliveries -state odd", "forward", "forward ftp://127.0.0.1/",
		"forward -secret x http://127.0.0.1/",
	} {
		err := w.run(t.Context(), io.Discard, strings.Fields(args)...)
		var coded interface{ ExitCode() int }
		if u, ok := err.(usage); !ok { //nolint:errorlint // exactly this one
			t.Errorf("%s: %v", args, err)
		} else if coded = u; coded.ExitCode() != 2 {
			t.Errorf("%s: exit code %d", args, coded.ExitCode())
		}
	}
	t.Setenv("QUITTANCE_API_KEY", "")
	for _, args := range []string{"odd", "events"} {
		if err := Run(t.Context(), []string{args}, io.Discard); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
	var out bytes.Buffer
	if err := Run(t.Context(), nil, &out); err != nil || !strings.Contains(out.String(), "quittance forward") {
		t.Errorf("help: %v %s", err, out.String())
	}
}

// shared is an output that can be read while it is written.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestForward: events that happen from now on come to the local program, each
// once and signed; one that answers badly stops nothing.
func TestForward(t *testing.T) {
	w := newWorld(t)
	secret := webhook.NewSecret()
	got := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := webhook.Verify([]string{secret}, r.Header, body, time.Now()); err != nil {
			t.Error(err)
		}
		if r.Header.Get("webhook-id") == "evt_1" {
			rw.WriteHeader(http.StatusTeapot)
		}
		got <- r.Header.Get("webhook-id")
	}))
	defer receiver.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var out shared
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx, &out, "forward", "-secret", secret, receiver.URL+"/in") }()
	wait := func(want string) {
		t.Helper()
		select {
		case id := <-got:
			if id != want {
				t.Errorf("got %s, want %s", id, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s does not come:\n%s", want, out.String())
		}
	}
	for !strings.Contains(out.String(), "forwarding") {
		select {
		case err := <-ended:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	w.happen("order.created")
	wait("evt_1")
	w.happen("payment.succeeded")
	wait("evt_2")
	cancel()
	if err := <-ended; err == nil || ctx.Err() == nil {
		t.Errorf("ended with %v", err)
	}
	if !strings.Contains(out.String(), "418") || strings.Contains(out.String(), secret) {
		t.Errorf("output\n%s", out.String())
	}
	select {
	case id := <-got:
		t.Errorf("%s came again", id)
	default:
	}
}
