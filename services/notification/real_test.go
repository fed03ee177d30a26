package notification_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"quittance/pkg/bus"
	busmemory "quittance/pkg/bus/memory"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	"quittance/services/notification"
)

// shared is a log that can be read while it is written.
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

// TestRealReceiver: over a real connection, with the real clock, checked with
// the official library. Plain http and loopback need the opt-in; secrets don't
// show in the log (P10).
func TestRealReceiver(t *testing.T) {
	type request struct {
		header http.Header
		body   []byte
	}
	received := make(chan request, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		received <- request{r.Header, body}
	}))
	defer receiver.Close()
	keys, err := seal.ParseKeyring(seal.Generate())
	if err != nil {
		t.Fatal(err)
	}
	log := &shared{}
	w := &world{t: t, bus: busmemory.New(busmemory.Config{Options: bus.Options{
		Log: slog.New(slog.DiscardHandler), Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
	}})}
	w.orders = serveOrders(t, w)
	svc, err := notification.New(t.Context(), service.Deps{
		Engine: memory.New(), Bus: w.bus, Log: slog.New(slog.NewJSONHandler(log, nil)),
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(), Keyring: keys, Now: time.Now,
	}, notification.Config{AllowCIDRs: []string{"127.0.0.0/8"}}, w.conn, nil)
	if err != nil {
		t.Fatal(err)
	}
	svc.Register(registrar{w}, nil)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- svc.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	_, err = w.api.PutEndpoint(w.as("acme"), &notificationv1.PutEndpointRequest{Endpoint: &notificationv1.Endpoint{Id: "x", Url: "http://10.0.0.1/"}})
	if fault.KindOf(err) != fault.KindInvalid {
		t.Errorf("an address outside the opt-in: %v", err)
	}
	ep, err := w.api.PutEndpoint(w.as("acme"), &notificationv1.PutEndpointRequest{
		Endpoint: &notificationv1.Endpoint{Id: "main", Url: receiver.URL + "/in?token=hush"},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := w.happen("acme", "ord_1", event.OrderCreated)
	if _, err := w.bus.Publish(t.Context(), []event.Event{e}); err != nil {
		t.Fatal(err)
	}
	var r request
	select {
	case r = <-received:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing arrives")
	}
	official, err := standardwebhooks.NewWebhook(ep.GetSecret())
	if err != nil {
		t.Fatal(err)
	}
	if err := official.Verify(r.body, r.header); err != nil {
		t.Errorf("the official library refuses it: %v", err)
	}
	if r.header.Get("webhook-id") != e.ID {
		t.Errorf("webhook-id %q, want %q", r.header.Get("webhook-id"), e.ID)
	}
	for _, secret := range []string{strings.TrimPrefix(ep.GetSecret(), "whsec_"), "hush", r.header.Get("webhook-signature")} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}
