package callbackingest_test

// Real here: the whole service as the programs build it, the memory engine of
// the document store, the memory bus with the topology of production, FlexPay's
// signatures, the clock of package time (virtual in a synctest bubble).
// Doubled: the order service's internal gRPC, which knows no reference data
// (what there is comes by events), and faults of store and bus, switched by
// tests. Tests assert on what providers are answered, what merchants see and
// what other services get.

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"

	"quittance/pkg/bus"
	busmemory "quittance/pkg/bus/memory"
	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/provider/flexpay"
	"quittance/pkg/reference"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	callbackv1 "quittance/proto/gen/go/quittance/callback/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	callbackingest "quittance/services/callback-ingest"
)

const (
	merchant = "acme"
	account  = "acme-cards"
	secret   = seal.Secret("zpXwe2D77g4P7ysGJcr3rY87TBYs6J")
)

var attempt = id.Derived("pay", "1")

// world is the service in its surroundings.
type world struct {
	t    testing.TB
	svc  *callbackingest.Service
	mux  *http.ServeMux
	bus  *bystander
	list callbackv1.CallbackServiceServer
	keys *seal.Keyring
	// storeDown fails every write and read of documents; busDown every publication.
	storeDown atomic.Bool
	stop      func()
	engine    docstore.Engine
}

func newWorld(t testing.TB, engines ...docstore.Engine) *world {
	t.Helper()
	w := build(t, engines...)
	w.run()
	return w
}

// build is a world whose service doesn't run: only its edges work.
func build(t testing.TB, engines ...docstore.Engine) *world {
	t.Helper()
	w := &world{t: t, mux: http.NewServeMux()}
	var err error
	if w.keys, err = seal.ParseKeyring(seal.Generate()); err != nil {
		t.Fatal(err)
	}
	w.bus = &bystander{Bus: busmemory.New(busmemory.Config{})}
	var engine docstore.Engine = memory.New(memory.WithFaults(func(op, _, _ string) memory.Fault {
		if w.storeDown.Load() {
			return memory.Fault{Before: errors.New("store is down")}
		}
		return memory.Fault{}
	}))
	if len(engines) > 0 {
		engine = engines[0]
	}
	deps := service.Deps{
		Engine: engine, Bus: w.bus, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(), Keyring: w.keys, Now: time.Now,
	}
	w.engine = engine
	cfg := callbackingest.Config{PerSecond: perSecond}
	if _, fuzzing := t.(*testing.F); fuzzing { // as fast as it goes
		cfg = callbackingest.Config{PerSecond: 1 << 30, RefusalTime: -1}
	}
	if w.svc, err = callbackingest.New(t.Context(), deps, cfg, noOrders{}); err != nil {
		t.Fatal(err)
	}
	w.svc.Routes(w.mux)
	w.svc.Register(registrar(func(impl any) { w.list = impl.(callbackv1.CallbackServiceServer) }), nil)
	w.addAccount(merchant, account)
	return w
}

func (w *world) run() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.svc.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil && !w.storeDown.Load() {
			w.t.Errorf("service ended: %v", err)
		}
	})
	w.t.Cleanup(w.stop)
}

// perSecond is how many callbacks are taken from one address; it is more than
// tests but that of the limit send at once.
const perSecond = 200

// addAccount publishes a FlexPay account as the order service does.
func (w *world) addAccount(merchant, account string) { w.putAccount(merchant, account, secret, 1, nil) }

func (w *world) putAccount(merchant, account string, key seal.Secret, version int64, old map[string]*orderv1.OldSecret) {
	w.t.Helper()
	sealed, err := w.keys.Seal([]byte(key.Reveal()), reference.SecretContext(account, "signature_key"))
	if err != nil {
		w.t.Fatal(err)
	}
	ref := &orderv1.Reference{Kind: reference.KindAccount, Id: account, Version: version, Item: &orderv1.Reference_Account{
		Account: &orderv1.SealedAccount{
			Account: &orderv1.ProviderAccount{
				Id: account, MerchantId: merchant, Provider: flexpay.Name,
				Settings: map[string]string{"shop_id": "68849", "base_url": "https://secure.example.org/flexpay"},
			},
			SealedSecrets: map[string]string{"signature_key": sealed}, OldSecrets: old,
		},
	}}
	e, err := event.New(event.RefAccount, "order", account, "account/"+account, merchant, time.Now(), ref)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.svc.Reference.Handle(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
}

// postback is the query of FlexPay's postback of a sale, signed.
func postback(sale string) string {
	return flexpay.SignData(secret, flexpay.Params{
		"saleID": sale, "referenceID": attempt, "shopID": "68849", "type": "purchase",
		"priceAmount": "9.99", "priceCurrency": "EUR", "paymentMethod": "CC",
	}).Query()
}

// forged is a postback whose amount was changed afterwards.
func forged(sale string) string {
	v, err := url.ParseQuery(postback(sale))
	if err != nil {
		panic(err)
	}
	v.Set("priceAmount", "0.01")
	return v.Encode()
}

func (w *world) get(path string) *httptest.ResponseRecorder {
	return w.do(httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, path, nil))
}

func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	return rec
}

// call is a postback to the account.
func (w *world) call(query string) *httptest.ResponseRecorder {
	return w.get("/callbacks/flexpay/" + account + "?" + query)
}

// wants checks an answer.
func (w *world) wants(rec *httptest.ResponseRecorder, status int, body string) {
	w.t.Helper()
	if rec.Code != status || rec.Body.String() != body {
		w.t.Errorf("answered %d %q, want %d %q", rec.Code, rec.Body, status, body)
	}
}

// callbacks is what a merchant sees, all of it.
func (w *world) callbacks(merchant string) []*callbackv1.Callback {
	w.t.Helper()
	ctx := rpc.WithPrincipal(w.t.Context(), rpc.Principal{Role: rpc.RoleMerchant, Merchant: merchant})
	var out []*callbackv1.Callback
	for req := (&callbackv1.ListCallbacksRequest{PageSize: 20}); ; {
		page, err := w.list.ListCallbacks(ctx, req)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, page.GetCallbacks()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return out
		}
	}
}

// bystander is a bus that can fail and sees what is published on it.
type bystander struct {
	*busmemory.Bus
	down atomic.Bool
	mu   sync.Mutex
	seen []event.Event
}

func (b *bystander) Publish(ctx context.Context, events []event.Event) (int, error) {
	if b.down.Load() {
		return 0, errors.New("bus is down")
	}
	b.mu.Lock()
	b.seen = append(b.seen, events...)
	b.mu.Unlock()
	return b.Bus.Publish(ctx, events)
}

// published lists the events of a type.
func (b *bystander) published(typ string) []event.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []event.Event
	for _, e := range b.seen {
		if e.Type == typ {
			out = append(out, e)
		}
	}
	return out
}

var _ service.Bus = (*bystander)(nil)
var _ bus.PublishConsumer = (*bystander)(nil)

// registrar takes the implementation of a gRPC service.
type registrar func(impl any)

func (r registrar) RegisterService(_ *grpc.ServiceDesc, impl any) { r(impl) }

// noOrders is an order service without reference data.
type noOrders struct{}

func (noOrders) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return fault.NotFound("reference")
}

func (noOrders) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, fault.NotFound("reference")
}
