package standalone

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"quittance/pkg/mail"
	"quittance/pkg/telemetry"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification"
)

// Metrics and readiness are not for those who reach pages and callbacks, if
// operators have an address of their own.
func TestAdminPagesHaveAnAddressOfTheirOwn(t *testing.T) {
	for name, tt := range map[string]struct {
		addr         string
		public, ours map[string]int
	}{
		"none": {"", map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200}, nil},
		"own":  {"127.0.0.1:0", map[string]int{"/healthz": 200, "/readyz": 404, "/metrics": 404}, map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), Config{
				DataDir: t.TempDir(), GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", AdminAddr: tt.addr,
				SandboxAddr: "127.0.0.1:0", SandboxSMTP: "127.0.0.1:0", Sandbox: true,
				ReturnWait: time.Second, Notification: notification.Config{CatchUp: time.Minute, Timeout: time.Second},
				Telemetry: telemetry.Config{Output: io.Discard},
			}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			t.Cleanup(func() {
				cancel()
				if err := <-ended; err != nil {
					t.Errorf("the system ended: %v", err)
				}
			})
			await(t, s.AdminURL()+"/readyz", http.StatusOK)
			for path, want := range tt.public {
				await(t, s.PublicURL()+path, want)
			}
			for path, want := range tt.ours {
				await(t, s.AdminURL()+path, want)
			}
		})
	}
}

// await polls until url answers as wanted.
func await(t *testing.T, url string, want int) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	got := 0
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if got = resp.StatusCode; got == want {
			return
		}
	}
	t.Errorf("%s: %d, want %d", url, got, want)
}

// largeOrders has an order with a long history.
type largeOrders struct {
	orderv1.UnimplementedOrderServiceServer
}

func (largeOrders) GetOrder(context.Context, *orderv1.GetOrderRequest) (*orderv1.Order, error) {
	return &orderv1.Order{Id: strings.Repeat("x", 20<<20)}, nil
}

func TestLargeOrdersArrive(t *testing.T) {
	s, err := Open(t.Context(), Config{
		DataDir: t.TempDir(), GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0",
		SMTP: mail.Config{Host: "127.0.0.1", TLS: "none"}, Telemetry: telemetry.Config{Output: io.Discard},
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer() // in place of ours
	orderv1.RegisterOrderServiceServer(server, largeOrders{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.internalLis) }()
	if _, err := orderv1.NewOrderServiceClient(s.orders).GetOrder(t.Context(), &orderv1.GetOrderRequest{}); err != nil {
		t.Error(err)
	}
	server.Stop()
	<-served
	_ = s.publicLis.Close()
	_ = s.httpLis.Close()
	if err := s.close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}
