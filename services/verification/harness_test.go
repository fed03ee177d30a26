package verification_test

// Real here: the whole service as the programs build it, FlexPay's client side
// over HTTP, the memory engine and the memory bus with the topology of
// production. Doubled: the provider's status API (answers set by the test) and
// the services around, in whose place tests publish. Tests assert on the facts
// the order is told and on what callback-ingest is answered.

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/bus"
	busmemory "quittance/pkg/bus/memory"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/provider/flexpay"
	"quittance/pkg/provider/kontocloud"
	"quittance/pkg/provider/offline"
	"quittance/pkg/provider/registry"
	"quittance/pkg/reference"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/verification"
)

const patience = 30 * time.Second

// noOrders is an order service that knows nothing: what there is comes by events.
type noOrders struct{ grpc.ClientConnInterface }

func (noOrders) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return fault.NotFound("reference")
}

// recorder notes what the service publishes.
type recorder struct {
	*busmemory.Bus
	mu     sync.Mutex
	events []event.Event
}

func (r *recorder) Publish(ctx context.Context, events []event.Event) (int, error) {
	r.mu.Lock()
	r.events = append(r.events, events...)
	r.mu.Unlock()
	return r.Bus.Publish(ctx, events)
}

// all decodes the recorded events of a type.
func all[M proto.Message](r *recorder, typ string, fresh func() M) []M {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []M
	for _, e := range r.events {
		if m := fresh(); e.Type == typ && e.Source == verification.Name && e.Decode(m) == nil {
			out = append(out, m)
		}
	}
	return out
}

type world struct {
	t    *testing.T
	keys *seal.Keyring
	bus  *recorder
	// answer is the status API: YAML for a reference, or "" for a 500.
	answer atomic.Pointer[func(reference string) string]
	asked  atomic.Int64
	// givenBack: the wallet's payments are.
	givenBack atomic.Bool
	// till is a provider that can do everything.
	till *till
	deps service.Deps
}

func newWorld(t *testing.T) *world {
	t.Helper()
	keys, err := seal.ParseKeyring(seal.Generate())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, keys: keys, bus: &recorder{Bus: busmemory.New(busmemory.Config{Options: bus.Options{Log: slog.New(slog.DiscardHandler)}})}}
	w.provider(func(string) string { return "response: NOTFOUND\n" })
	status := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		yaml := (*w.answer.Load())(r.URL.Query().Get("referenceID"))
		if yaml == "" {
			http.Error(rw, "down", http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(rw, yaml)
	}))
	t.Cleanup(status.Close)
	w.till = newTill()
	w.deps = service.Deps{
		Engine: memory.New(), Bus: w.bus, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(), Keyring: keys, Now: time.Now,
	}
	svc, err := verification.NewWith(t.Context(), w.deps, noOrders{}, registry.Of(
		flexpay.New(status.Client()), kontocloud.New(status.Client()), offline.New(), w.till))
	if err != nil {
		t.Fatal(err)
	}
	w.publish("ref.account", "till", &orderv1.Reference{Kind: reference.KindAccount, Id: "till", Version: 1, Item: &orderv1.Reference_Account{
		Account: &orderv1.SealedAccount{Account: &orderv1.ProviderAccount{Id: "till", MerchantId: "acme", Provider: "till", Settings: map[string]string{
			"resend_after": "700ms",
		}}},
	}})
	sealed, err := keys.Seal([]byte("secret"), reference.SecretContext("cards", "signature_key"))
	if err != nil {
		t.Fatal(err)
	}
	w.publish("ref.account", "cards", &orderv1.Reference{Kind: reference.KindAccount, Id: "cards", Version: 1, Item: &orderv1.Reference_Account{
		Account: &orderv1.SealedAccount{
			Account: &orderv1.ProviderAccount{Id: "cards", MerchantId: "acme", Provider: "flexpay", Settings: map[string]string{
				"shop_id": "1", "base_url": status.URL, "first": "50ms", "then": "50ms,100ms", "life": "1h", "refund_window": "300ms", "status.on_hold": "FROZEN", "status.failed": "DECLINED",
			}},
			SealedSecrets: map[string]string{"signature_key": sealed},
		},
	}})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- svc.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("service ended: %v", err)
		}
	})
	return w
}

func (w *world) provider(f func(reference string) string) { w.answer.Store(&f) }

func (w *world) publish(typ, subject string, m proto.Message) {
	w.t.Helper()
	e, err := event.New(typ, "test", subject, subject, "acme", time.Now(), m)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.bus.Publish(w.t.Context(), []event.Event{e}); err != nil {
		w.t.Fatal(err)
	}
}

// start announces an attempt of 9.99 EUR and returns its id.
func (w *world) start() string {
	attempt := id.New("pay")
	w.started(attempt)
	return attempt
}

func (w *world) started(attempt string) {
	w.publish(event.PaymentStarted, attempt, &eventv1.PaymentStarted{
		AttemptId: attempt, OrderId: "ord_" + attempt, MerchantId: "acme", AccountId: "cards", Provider: "flexpay", Reference: attempt,
		Amount: &orderv1.Money{Minor: 999, Currency: "EUR"}, StartTime: timestamppb.Now(),
	})
}

func (w *world) callback(id, reference, claim string) {
	w.publish(event.CallbackReceived, id, &eventv1.CallbackReceived{
		CallbackId: id, AccountId: "cards", Provider: "flexpay", MerchantId: "acme", Reference: reference, TransactionId: "s1", Claim: claim,
		AcknowledgeTime: timestamppb.Now(), Signed: true,
	})
}

// facts returns what the order was told of an attempt, oldest first.
func (w *world) facts(attempt string) []*eventv1.PaymentVerified {
	var out []*eventv1.PaymentVerified
	for _, f := range all(w.bus, event.PaymentVerified, func() *eventv1.PaymentVerified { return &eventv1.PaymentVerified{} }) {
		if f.GetAttemptId() == attempt {
			out = append(out, f)
		}
	}
	return out
}

// told waits until the order was told n revisions and returns the latest.
func (w *world) told(attempt string, n int) *eventv1.PaymentVerified {
	w.t.Helper()
	var last *eventv1.PaymentVerified
	testkit.Eventually(w.t, patience, func() error {
		facts := w.facts(attempt)
		if len(facts) == 0 || facts[len(facts)-1].GetRevision() < int64(n) {
			return fmt.Errorf("told %d facts, asked %d times", len(facts), w.asked.Load())
		}
		last = facts[len(facts)-1]
		return nil
	})
	return last
}

func sale(reference, saleID, amount, currency string) string {
	return fmt.Sprintf("response: FOUND\nsaleResult: APPROVED\nsaleID: %q\nreferenceID: %s\npriceAmount: %q\npriceCurrency: %s\npaymentMethod: CC\n",
		saleID, reference, amount, currency)
}
