package program

// Real: the process with its listeners and settings. Absent: the bus, so the
// service is not built yet. Asserted: which page is on which listener.

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"quittance/pkg/docstore/storetest"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/telemetry"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// Metrics and readiness are not for those who reach pages and callbacks, if
// operators have an address of their own.
func TestAdminPagesHaveAnAddressOfTheirOwn(t *testing.T) {
	const waiting = http.StatusServiceUnavailable // for the bus
	public, admin, nobody := freeAddr(t), freeAddr(t), freeAddr(t)
	for name, tt := range map[string]struct {
		admin string
		want  map[string]int
	}{
		"none": {"", map[string]int{public + "/healthz": 200, public + "/readyz": waiting, public + "/metrics": 200}},
		"own": {admin, map[string]int{
			public + "/healthz": 200, public + "/readyz": 404, public + "/metrics": 404,
			admin + "/healthz": 200, admin + "/readyz": waiting, admin + "/metrics": 200,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
			ended := make(chan error, 1)
			cfg := Config{
				DataDir: t.TempDir(), NATS: "nats://" + nobody, HTTPAddr: public, AdminAddr: tt.admin,
				Keyring: seal.Secret(seal.Generate()), ServiceToken: "token", Telemetry: telemetry.Config{Output: io.Discard},
			}
			go func() {
				ended <- run(ctx, "test", cfg, func(context.Context, Parts) (Service, rpc.Authenticator, error) {
					t.Error("built without a bus")
					return nil, nil, io.EOF
				})
			}()
			for url, want := range tt.want {
				await(t, "http://"+url, want)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("the process ended: %v", err)
			}
		})
	}
}

// TestReadinessNamesAStoreThatCannotBeWritten, as long as another holds its lock.
func TestReadinessNamesAStoreThatCannotBeWritten(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	defer cancel()
	cfg := Config{
		DataDir: t.TempDir(), NATS: "nats://" + freeAddr(t), HTTPAddr: freeAddr(t),
		Keyring: seal.Secret(seal.Generate()), ServiceToken: "token", Telemetry: telemetry.Config{Output: io.Discard},
	}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "test", cfg, nil) }() // without a bus nothing is built
	ready := "http://" + cfg.HTTPAddr + "/readyz"
	awaitText(t, ready, `{"ready":false,"waiting_for":["bus"]}`)

	unlock := storetest.Lock(t, filepath.Join(cfg.DataDir, "test.db"))
	awaitText(t, ready, `{"ready":false,"waiting_for":["bus","store"]}`)
	unlock()
	awaitText(t, ready, `{"ready":false,"waiting_for":["bus"]}`)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the process ended: %v", err)
	}
}

// await polls until url answers with a status.
func await(t *testing.T, url string, want int) {
	t.Helper()
	poll(t, url, func(status int, _ string) bool { return status == want })
}

// awaitText polls until url answers with a text.
func awaitText(t *testing.T, url, want string) {
	t.Helper()
	poll(t, url, func(_ int, text string) bool { return strings.TrimSpace(text) == want })
}

// poll asks url until the answer is the wanted one.
func poll(t *testing.T, url string, wanted func(status int, text string) bool) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	got := "no answer"
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			continue
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err == nil && wanted(resp.StatusCode, string(text)) {
			return
		}
		got = fmt.Sprintf("%d %s", resp.StatusCode, text)
	}
	t.Fatalf("%s: %s", url, got)
}

// largeOrders has an order with a long history.
type largeOrders struct {
	orderv1.UnimplementedOrderServiceServer
}

func (largeOrders) GetOrder(context.Context, *orderv1.GetOrderRequest) (*orderv1.Order, error) {
	return &orderv1.Order{Id: strings.Repeat("x", 20<<20)}, nil
}

func TestLargeOrdersArrive(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	orderv1.RegisterOrderServiceServer(server, largeOrders{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() { server.Stop(); <-served }()
	tel, err := telemetry.Setup(t.Context(), "test", telemetry.Config{Output: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cfg: Config{OrderAddr: l.Addr().String(), ServiceToken: "token"}, telemetry: tel}
	conn, err := p.dial(p.cfg.OrderAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := orderv1.NewOrderServiceClient(conn).GetOrder(t.Context(), &orderv1.GetOrderRequest{}); err != nil {
		t.Error(err)
	}
}
