package notification_test

// Real here: the whole service as the programs build it, the memory engine, the
// memory bus with the topology of production, gRPC to the order service, all
// under a virtual clock (testing/synctest). Doubled: the order service (a gRPC
// server that lists what the test says happened) and the receivers (functions
// behind an http.RoundTripper; package sender has them behind real HTTP). Tests
// assert on what receivers got and when, on what merchants are told, and on the
// number of writes.

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/bus"
	busmemory "quittance/pkg/bus/memory"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/mail"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	"quittance/pkg/webhook"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification"
)

// got is one request that a receiver got.
type got struct {
	ID, Type string
	Order    string
	Sequence int64
	Body     string
	At       time.Duration // since the world began
}

// receiver answers one request: a status, after whatever pause it makes; 0 is
// no answer at all.
type receiver func(g got, header http.Header) int

type world struct {
	t      *testing.T
	cfg    notification.Config
	engine *memory.Engine
	keys   *seal.Keyring
	bus    *busmemory.Bus
	orders *orders
	conn   *grpc.ClientConn
	began  time.Time
	api    notificationv1.NotificationServiceServer
	stop   func()
	mailer mail.Sender

	mu        sync.Mutex
	receivers map[string]receiver
	got       map[string][]got
	secrets   map[string]string
	heard     map[string]func(http.Header)
	sold      map[string]*orderv1.Order
}

// inWorld runs a test in a bubble with a virtual clock.
func inWorld(t *testing.T, test func(w *world), options ...func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		keys, err := seal.ParseKeyring(seal.Generate())
		if err != nil {
			t.Fatal(err)
		}
		w := &world{
			t: t, engine: memory.New(), keys: keys, began: time.Now(),
			bus:       busmemory.New(busmemory.Config{Options: bus.Options{Log: slog.New(slog.DiscardHandler), Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider()}}),
			receivers: map[string]receiver{}, got: map[string][]got{}, secrets: map[string]string{},
			heard: map[string]func(http.Header){}, sold: map[string]*orderv1.Order{},
		}
		w.cfg = notification.Config{Transport: w}
		for _, o := range options {
			o(w)
		}
		w.orders = serveOrders(t, w)
		w.start()
		defer func() { w.stop() }()
		test(w)
	})
}

// start starts the service on what the engine holds.
func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	svc, err := notification.New(ctx, service.Deps{
		Engine: w.engine, Bus: w.bus, Log: slog.New(slog.DiscardHandler),
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(), Keyring: w.keys, Now: time.Now,
	}, w.cfg, w.conn, w.mailer)
	if err != nil {
		w.t.Fatal(err)
	}
	svc.Register(registrar{w}, nil)
	ended := make(chan error, 1)
	go func() { ended <- svc.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("service ended: %v", err)
		}
	}
	synctest.Wait()
}

// kill restarts the service as after a crash: what was under way is lost.
func (w *world) kill() {
	w.t.Helper()
	w.engine = w.engine.Restart()
	w.stop()
	w.start()
}

type registrar struct{ w *world }

func (r registrar) RegisterService(_ *grpc.ServiceDesc, impl any) {
	r.w.api, _ = impl.(notificationv1.NotificationServiceServer)
}

// as is a call's context for a merchant.
func (w *world) as(merchant string) context.Context {
	return rpc.WithPrincipal(w.t.Context(), rpc.Principal{Role: rpc.RoleMerchant, Merchant: merchant})
}

// endpoint puts an endpoint of acme and sets what answers there.
func (w *world) endpoint(id string, r receiver, types ...string) {
	w.t.Helper()
	w.put(&notificationv1.Endpoint{Id: id, Url: "https://" + id + ".example/in", EventTypes: types})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.receivers[id+".example"] = r
}

func (w *world) put(e *notificationv1.Endpoint) *notificationv1.Endpoint {
	w.t.Helper()
	out, err := w.api.PutEndpoint(w.as("acme"), &notificationv1.PutEndpointRequest{Endpoint: e})
	if err != nil {
		w.t.Fatal(err)
	}
	if out.GetSecret() != "" {
		w.mu.Lock()
		w.secrets[e.GetId()+".example"] = out.GetSecret()
		w.mu.Unlock()
	}
	return out
}

// RoundTrip makes the world the service's transport.
func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	host := req.URL.Host
	var body struct {
		Type string
		Data struct {
			Sequence int64
			Order    struct{ ID string }
		}
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		w.t.Errorf("body %s: %v", raw, err)
	}
	g := got{
		ID: req.Header.Get("webhook-id"), Type: body.Type, Order: body.Data.Order.ID, Sequence: body.Data.Sequence,
		Body: string(raw), At: time.Since(w.began),
	}
	w.mu.Lock()
	w.got[host] = append(w.got[host], g)
	answer, secret, hear := w.receivers[host], w.secrets[host], w.heard[host]
	w.mu.Unlock()
	if err := webhook.Verify([]string{secret}, req.Header, raw, time.Now()); err != nil {
		w.t.Errorf("%s: %v", host, err)
	}
	if hear != nil {
		hear(req.Header)
	}
	header := http.Header{}
	status := answer(g, header)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if status == 0 {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return &http.Response{
		StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("")), Request: req,
	}, nil
}

// at lists what an endpoint has got so far.
func (w *world) at(id string) []got {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got[id+".example"])
}

// sequences lists the sequences that an endpoint got of an order.
func (w *world) sequences(id, order string) []int64 {
	var out []int64
	for _, g := range w.at(id) {
		if g.Order == order {
			out = append(out, g.Sequence)
		}
	}
	return out
}

func (w *world) expect(id, order string, want ...int64) {
	w.t.Helper()
	if got := w.sequences(id, order); !slices.Equal(got, want) {
		w.t.Errorf("endpoint %s got %v of %s, want %v", id, got, order, want)
	}
}

// pass lets virtual time pass.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// deliveries lists acme's webhooks of an order, or of all.
func (w *world) deliveries(order string) []*notificationv1.Webhook {
	w.t.Helper()
	var all []*notificationv1.Webhook
	for token := ""; ; {
		resp, err := w.api.ListDeliveries(w.as("acme"), &notificationv1.ListDeliveriesRequest{OrderId: order, PageSize: 3, PageToken: token})
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, resp.GetWebhooks()...)
		if token = resp.GetNextPageToken(); token == "" {
			return all
		}
	}
}

// happen makes an event of an order and returns it; it is not on the bus yet.
func (w *world) happen(merchant, order, typ string) event.Event {
	w.t.Helper()
	w.orders.mu.Lock()
	defer w.orders.mu.Unlock()
	sequence := int64(1)
	for _, e := range w.orders.events {
		if e.GetOrderId() == order {
			sequence++
		}
	}
	view := &orderv1.Order{Id: order, MerchantId: merchant, Sequence: sequence}
	if sold := w.sold[order]; sold != nil {
		view.Metadata, view.Lines = sold.GetMetadata(), sold.GetLines()
	}
	e, err := event.New(typ, "order", order, order, merchant, time.Now(), &eventv1.OrderEvent{Order: view, Sequence: sequence})
	if err != nil {
		w.t.Fatal(err)
	}
	w.orders.events = append(w.orders.events, &orderv1.PublicEvent{
		Id: e.ID, Type: typ, Time: timestamppb.New(e.Time), OrderId: order, Sequence: sequence, Order: view,
	})
	return e
}

// sell says what the order is about of which events happen.
func (w *world) sell(order string, metadata map[string]string, products ...string) {
	o := &orderv1.Order{Metadata: metadata}
	for i, p := range products {
		o.Lines = append(o.Lines, &orderv1.Line{Number: int32(i + 1), ProductId: p})
	}
	w.sold[order] = o
}

// bring puts events on the bus.
func (w *world) bring(events ...event.Event) {
	w.t.Helper()
	if _, err := w.bus.Publish(w.t.Context(), events); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// emit makes events of acme's order happen and brings them.
func (w *world) emit(order string, types ...string) {
	w.t.Helper()
	for _, typ := range types {
		w.bring(w.happen("acme", order, typ))
	}
}
