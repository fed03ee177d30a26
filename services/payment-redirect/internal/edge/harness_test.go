package edge_test

// Real here: the edges, the attempt documents on the memory engine, the outbox
// and the memory bus with the topology of production, FlexPay's and offline's
// adapters, HTTP through the server of package web, gRPC to the order service
// with service credentials.
// Doubled: the order service itself (a gRPC server that holds orders and can be
// down), and a provider "paper" that takes form posts and signs nothing. Tests
// assert on what browsers and merchants are answered, on attempts, and on what
// other services get.

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	busmemory "quittance/pkg/bus/memory"
	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/provider/flexpay"
	"quittance/pkg/provider/offline"
	"quittance/pkg/provider/registry"
	"quittance/pkg/reference"
	"quittance/pkg/returns"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	"quittance/pkg/web"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/payment-redirect/internal/attempts"
	"quittance/services/payment-redirect/internal/edge"
	"quittance/services/payment-redirect/internal/fulfillments"
	"quittance/services/payment-redirect/internal/handle"
	"quittance/services/payment-redirect/internal/savedpayments"
	"quittance/services/payment-redirect/internal/sessions"
)

const (
	merchant     = "acme"
	cards        = "acme-cards"
	bank         = "acme-bank"
	post         = "acme-paper"
	publicURL    = "https://pay.example.org"
	returnWait   = 400 * time.Millisecond
	signatureKey = seal.Secret("zpXwe2D77g4P7ysGJcr3rY87TBYs6J")
)

type world struct {
	t        testing.TB
	orders   *orders
	attempts *attempts.Attempts
	payments *edge.Payments
	checkout *edge.Checkout
	ref      *reference.Copy
	keys     *seal.Keyring
	bus      *watched
	handler  http.Handler
	clerk    clerk
	engine   docstore.Engine
	// storeDown: the store refuses everything.
	storeDown atomic.Bool
}

func (w *world) faults(string, string, string) memory.Fault {
	if w.storeDown.Load() {
		return memory.Fault{Before: errors.New("store is down")}
	}
	return memory.Fault{}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, orders: &orders{byID: map[string]*orderv1.Order{}}}
	var err error
	if w.keys, err = seal.ParseKeyring(seal.Generate()); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	w.bus = &watched{Bus: busmemory.New(busmemory.Config{})}
	w.engine = memory.New(memory.WithFaults(w.faults))
	base, err := service.New(t.Context(), "payment", service.Deps{
		Engine: w.engine, Bus: w.bus, Log: quiet, Keyring: w.keys, Now: time.Now,
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
	})
	if err != nil {
		t.Fatal(err)
	}
	client := orderv1.NewReferenceServiceClient(w.orders.serve(t))
	if w.ref, err = reference.Open(t.Context(), base.Engine, nil, w.keys, time.Now); err != nil {
		t.Fatal(err)
	}
	if w.attempts, err = attempts.Open(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	filled, err := fulfillments.Open(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	saved, err := savedpayments.Open(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	checkout := &edge.Checkout{
		Attempts: w.attempts, Saved: saved, Fulfillments: filled, AccessFor: time.Hour, Orders: client, Keyring: w.keys, Placing: w.orders, Reference: w.ref, PublicURL: publicURL, CallbackURL: "https://in.example.org",
		Providers: registry.Of(flexpay.New(http.DefaultClient), offline.New(), paper{}, &w.clerk),
	}
	w.checkout = checkout
	w.attempts.CreateBy(checkout.Create)
	w.payments = &edge.Payments{Checkout: checkout}
	ss, err := sessions.Open(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := edge.NewPages(checkout, ss, returnWait)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	pages.Routes(mux)
	server, err := web.NewServer(web.Options{Handler: mux, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	w.handler = server.Handler()
	for _, typ := range reference.Types() {
		base.On(typ, w.ref.Handle)
	}
	h := &handle.Handlers{Attempts: w.attempts, Saved: saved, Fulfillments: filled, Sessions: ss}
	base.On(event.PaymentVerified, h.PaymentVerified)
	base.On(event.FulfillmentAcknowledged, h.FulfillmentAcknowledged)
	if err := service.Erases(t.Context(), base, h.Erase); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- base.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("service ended: %v", err)
		}
	})
	w.addMerchant()
	return w
}

// addMerchant publishes a merchant with three accounts, as the order service
// does, and another merchant with one.
func (w *world) addMerchant() {
	w.refer(reference.KindMerchant, merchant, &orderv1.Reference{Item: &orderv1.Reference_Merchant{
		Merchant: &orderv1.Merchant{
			Id: merchant, Name: "Acme <Software>", ReturnUrlAllowList: []string{"https://shop.example.org/back"},
		},
	}})
	w.addAccount(merchant, cards, "flexpay", "Credit card", map[string]string{
		"shop_id": "68849", "base_url": "https://secure.example.org/flexpay",
	})
	w.addAccount(merchant, bank, "offline", "Bank transfer", map[string]string{"beneficiary": "Acme", "bank_account": "XX00"})
	w.addAccount(merchant, post, "paper", "", nil)
	w.addAccount("other", "other-bank", "offline", "Bank", map[string]string{"beneficiary": "Other", "bank_account": "XX01"})
}

func (w *world) addAccount(merchant, account, provider, name string, settings map[string]string, disabled ...bool) {
	w.t.Helper()
	sealed, err := w.keys.Seal([]byte(signatureKey.Reveal()), reference.SecretContext(account, "signature_key"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.refer(reference.KindAccount, account, &orderv1.Reference{Item: &orderv1.Reference_Account{Account: &orderv1.SealedAccount{
		Account: &orderv1.ProviderAccount{
			Id: account, MerchantId: merchant, Provider: provider, DisplayName: name, Settings: settings, Disabled: len(disabled) > 0,
		},
		SealedSecrets: map[string]string{"signature_key": sealed},
	}}})
}

func (w *world) refer(kind, refID string, ref *orderv1.Reference) {
	w.t.Helper()
	ref.Kind, ref.Id, ref.Version = kind, refID, time.Now().UnixNano()
	e, err := event.New("ref."+kind, "order", refID, kind, "", time.Now(), ref)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.ref.Handle(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
}

// merchant is the context of a merchant's call.
func (w *world) as(merchant string) context.Context {
	return rpc.WithPrincipal(w.t.Context(), rpc.Principal{Role: rpc.RoleMerchant, Merchant: merchant})
}

// start starts a payment of an order by the API.
func (w *world) start(orderID, account string) *paymentv1.Attempt {
	w.t.Helper()
	a, err := w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.Token(), OrderId: orderID, AccountId: account,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// state is the attempt's state as the merchant sees it.
func (w *world) state(attemptID string) paymentv1.AttemptState {
	w.t.Helper()
	a, err := w.payments.GetAttempt(w.as(merchant), &paymentv1.GetAttemptRequest{AttemptId: attemptID})
	if err != nil {
		w.t.Fatal(err)
	}
	return a.GetState()
}

// verify publishes what verification says of an attempt.
func (w *world) verify(attemptID string, outcome verificationv1.Outcome, revision int64) {
	w.t.Helper()
	e, err := event.New(event.PaymentVerified, "verification", attemptID, "ord", merchant, time.Now(), &eventv1.PaymentVerified{
		AttemptId: attemptID, MerchantId: merchant, Outcome: outcome, Revision: revision, Detail: "card expired",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.bus.Publish(w.t.Context(), []event.Event{e}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(target string) *httptest.ResponseRecorder {
	return w.do(httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, target, nil))
}

func (w *world) post(target string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.do(r)
}

func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

// shows checks a page's status and some of its words.
func (w *world) shows(rec *httptest.ResponseRecorder, status int, words ...string) {
	w.t.Helper()
	if rec.Code != status {
		w.t.Errorf("status %d, want %d", rec.Code, status)
	}
	for _, word := range words {
		if !strings.Contains(rec.Body.String(), word) {
			w.t.Errorf("page does not show %q:\n%s", word, rec.Body)
		}
	}
}

// leads checks where a browser is sent, apart from a shop's signature.
func (w *world) leads(rec *httptest.ResponseRecorder, target string) {
	w.t.Helper()
	if got := w.unsigned(rec.Header().Get("Location")); rec.Code != http.StatusSeeOther || got != target {
		w.t.Errorf("answered %d to %q, want 303 to %q", rec.Code, got, target)
	}
}

// unsigned is the way back to a shop without time and signature, which it
// verifies as the shop does (S6). Other places stay as they are.
func (w *world) unsigned(location string) string {
	w.t.Helper()
	u, err := url.Parse(location)
	if err != nil || !u.Query().Has(returns.StatusParam) {
		return location
	}
	keys, err := w.ref.ReturnKeys(w.t.Context(), merchant)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := returns.Verify(u.Query(), keys, time.Now(), time.Minute); err != nil {
		w.t.Errorf("%s: %v", location, err)
	}
	bare, _, _ := strings.Cut(location, "&"+returns.TimeParam+"=")
	return bare
}

// watched is a bus that notes what is published.
type watched struct {
	*busmemory.Bus
	mu   sync.Mutex
	seen []event.Event
}

func (b *watched) Publish(ctx context.Context, events []event.Event) (int, error) {
	b.mu.Lock()
	b.seen = append(b.seen, events...)
	b.mu.Unlock()
	return b.Bus.Publish(ctx, events)
}

func (b *watched) published(typ string) []event.Event {
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
