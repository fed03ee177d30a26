package paymentredirect_test

// Real here: the whole service as the programs build it, the memory engine, the
// memory bus with the topology of production, the clock of package time in a
// synctest bubble. Doubled: the order service's connection, which answers every
// order as unpaid. Tests assert on what other services get, and when.

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	busmemory "quittance/pkg/bus/memory"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/reference"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	paymentredirect "quittance/services/payment-redirect"
)

const merchant = "acme"

var config = paymentredirect.Config{PublicURL: "https://pay.example.org/", CallbackURL: "https://in.example.org"}

func deps(t *testing.T, b service.Bus) service.Deps {
	t.Helper()
	keys, err := seal.ParseKeyring(seal.Generate())
	if err != nil {
		t.Fatal(err)
	}
	return service.Deps{
		Engine: memory.New(), Bus: b, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Keyring: keys, Now: time.Now,
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
	}
}

func TestNewRefusesUnusableURLs(t *testing.T) {
	for _, bad := range []string{"", "pay.example.org", "ftp://pay.example.org", "https://pay.example.org/?a=b", "https://"} {
		for _, cfg := range []paymentredirect.Config{
			{PublicURL: bad, CallbackURL: config.CallbackURL}, {PublicURL: config.PublicURL, CallbackURL: bad},
		} {
			if _, err := paymentredirect.New(t.Context(), deps(t, nil), cfg, unpaid{}); err == nil {
				t.Errorf("accepted %+v", cfg)
			}
		}
	}
}

func TestP5UnansweredAttemptIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &watched{Bus: busmemory.New(busmemory.Config{})}
		svc, err := paymentredirect.New(t.Context(), deps(t, b), config, unpaid{})
		if err != nil {
			t.Fatal(err)
		}
		var payments paymentv1.PaymentServiceServer
		svc.Register(registrar(func(impl any) { payments = impl.(paymentv1.PaymentServiceServer) }), nil)
		mux := http.NewServeMux()
		svc.Routes(mux)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- svc.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("service ended: %v", err)
			}
		}()

		b.publish(t, event.RefAccount, "bank", &orderv1.Reference{
			Kind: reference.KindAccount, Id: "bank", Version: 1, Item: &orderv1.Reference_Account{Account: &orderv1.SealedAccount{
				Account: &orderv1.ProviderAccount{Id: "bank", MerchantId: merchant, Provider: "offline",
					Settings: map[string]string{"beneficiary": "Acme", "bank_account": "XX00"}},
			}},
		})
		as := rpc.WithPrincipal(t.Context(), rpc.Principal{Role: rpc.RoleMerchant, Merchant: merchant})
		a, err := payments.StartPayment(as, &paymentv1.StartPaymentRequest{IdempotencyKey: "k", OrderId: "ord_1", AccountId: "bank"})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		sent := func(after time.Duration, typ string, want int) {
			t.Helper()
			time.Sleep(time.Until(start.Add(after)))
			if n := len(b.published(typ)); n != want {
				t.Errorf("after %s: %s sent %d times, want %d", after, typ, n, want)
			}
		}
		sent(50*time.Second, event.PaymentStarted, 1)
		sent(70*time.Second, event.PaymentStarted, 2)
		sent(7*time.Minute, event.PaymentStarted, 3)

		// What comes later starts the pauses anew, and everything is sent again.
		start = time.Now()
		if _, err := payments.ConfirmOffline(as, &paymentv1.ConfirmOfflineRequest{
			IdempotencyKey: "c", AttemptId: a.GetId(), TransactionId: "t", Amount: a.GetAmount(),
		}); err != nil {
			t.Fatal(err)
		}
		sent(50*time.Second, event.PaymentConfirmed, 1)
		sent(70*time.Second, event.PaymentConfirmed, 2)
		sent(70*time.Second, event.PaymentStarted, 4)
		events := b.published(event.PaymentStarted)
		if last := events[3]; last.ID != events[0].ID || last.Resend != 3 || last.Key != "ord_1" {
			t.Errorf("sent again as %+v", last)
		}

		b.publish(t, event.PaymentVerified, a.GetId(), &eventv1.PaymentVerified{
			AttemptId: a.GetId(), MerchantId: merchant, Outcome: verificationv1.Outcome_OUTCOME_PAID, Revision: 1,
		})
		sent(3*time.Hour, event.PaymentStarted, 4)
		got, err := payments.GetAttempt(as, &paymentv1.GetAttemptRequest{AttemptId: a.GetId()})
		if err != nil || got.GetState() != paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED || got.GetInstructions() != "" {
			t.Errorf("attempt %v, %v", got, err)
		}

		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, paymentredirect.Stylesheet, nil))
		if rec.Code != http.StatusOK {
			t.Errorf("style sheet: %d", rec.Code)
		}
	})
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

// publish publishes what another service would.
func (b *watched) publish(t *testing.T, typ, subject string, payload proto.Message) {
	t.Helper()
	e, err := event.New(typ, "other", subject, subject, merchant, time.Now(), payload)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(t.Context(), []event.Event{e}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// registrar takes the implementation of a gRPC service.
type registrar func(impl any)

func (r registrar) RegisterService(_ *grpc.ServiceDesc, impl any) { r(impl) }

// unpaid is a connection to an order service whose orders are all unpaid.
type unpaid struct{}

func (unpaid) Invoke(_ context.Context, _ string, req, reply any, _ ...grpc.CallOption) error {
	r, ok := req.(*orderv1.GetOrderForServiceRequest)
	if !ok {
		return errors.New("not asked for here")
	}
	proto.Merge(reply.(proto.Message), &orderv1.Order{
		Id: r.GetOrderId(), MerchantId: merchant, Total: &orderv1.Money{Minor: 999, Currency: "EUR"},
		PaymentState: orderv1.PaymentState_PAYMENT_STATE_UNPAID,
	})
	return nil
}

func (unpaid) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.New("not asked for here")
}
