package e2e

import (
	"fmt"
	"log/slog"
	"path"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"quittance/pkg/event"
	"quittance/pkg/rpc"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/standalone"
)

// TestP10NothingSecretIsSaid: after an order's whole life, a forged callback, a
// wrong key and other refusals, with the log at its most talkative, no secret is in
// the log, in a span, in the metrics, in an error's text or in a
// file of the stores or the bus; and nothing that tells who the customer is, or
// opens their pages, is in what operators read.
func TestP10NothingSecretIsSaid(t *testing.T) {
	var logs syncBuffer
	spans := tracetest.NewInMemoryExporter()
	var signature string
	w := start(t, setup{
		config: func(c *standalone.Config) {
			c.OperatorKey = "planted-operator-key"
			c.Telemetry.Output, c.Telemetry.Level = &logs, slog.LevelDebug
			c.Telemetry.SpanProcessors = []sdktrace.SpanProcessor{sdktrace.NewSimpleSpanProcessor(spans)}
		},
		seeding: func(s *standalone.Seeding) { signature = s.SignatureKey },
	})
	endpoint := retried(w, w.notifications.RotateSecret, &notificationv1.RotateSecretRequest{EndpointId: standalone.DemoEndpoint}).GetSecret()
	failures := []error{}
	failed := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s was taken", what)
		}
		failures = append(failures, err)
	}

	o := retried(w, w.orders.CreateOrder, &orderv1.CreateOrderRequest{
		IdempotencyKey: "planted-idempotency", Currency: "EUR", Items: []*orderv1.OrderItem{item("notepad", 1)}, ReturnUrl: w.shop + "/shop/return",
		Customer: &orderv1.Customer{Email: w.email, Name: "Planted Name", Address: "1 Planted Street", VatId: "DE123456789"},
		Metadata: map[string]string{"note": "planted-metadata"},
	})
	a := w.startCards(o)
	// Somebody guesses at a callback, a key, an order and a page.
	forged := fmt.Sprintf("%s/callbacks/flexpay/%s?event=initial&referenceID=%s&saleID=1&priceAmount=19.99&priceCurrency=EUR&signature=planted-forgery", w.edge, standalone.DemoAccount, a.GetReference())
	pages := []string{read(t, forged), read(t, w.public+"/pay/planted-page-token"), read(t, w.public+"/orders/planted-page-token?lang=planted-lang")}
	intruder, err := rpc.Dial(w.at.Order, rpc.DialOptions{APIKey: "planted-wrong-key"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = intruder.Close() })
	_, err = orderv1.NewOrderServiceClient(intruder).GetOrder(t.Context(), &orderv1.GetOrderRequest{OrderId: o.GetId()})
	failed("a wrong key", err)
	failed("a key for nothing", w.importKeys("nothing", "planted-licence-key"))
	w.payAtProvider(a, map[string]string{"fault.duplicatePostback": "on"})
	o = w.awaitDelivered(o.GetId())
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)
	if n := len(w.awaitLetters(receipt, 1)); n != 1 {
		t.Errorf("%d receipts", n)
	}
	token := path.Base(o.GetPayUrl())
	pages = append(pages, read(t, w.public+"/orders/"+token), read(t, w.public+"/orders/"+token+"/receipt"))
	_, err = w.orders.CancelOrder(t.Context(), &orderv1.CancelOrderRequest{OrderId: o.GetId()})
	failed("canceling what is delivered", err)

	key := w.keys(o.GetId())[1][0]
	secrets := map[string]string{
		"the licence key": key, "a key that was not taken": "planted-licence-key", "the merchant's API key": w.key.Reveal(),
		"the operator's key": w.operatorKey.Reveal(), "a wrong API key": "planted-wrong-key", "the provider's signature key": signature,
		"the endpoint's secret": endpoint, "the key of returns": retried(w, w.shops.GetReturnKey, &orderv1.GetReturnKeyRequest{}).GetKey(),
	}
	private := map[string]string{
		"the customer's address": w.email, "the customer's name": "Planted Name", "the customer's street": "Planted Street",
		"the customer's VAT number": "DE123456789", "metadata": "planted-metadata", "the pages' token": token, "a forged signature": "planted-forgery", "a wrong token": "planted-page-token",
	}
	_, metrics := get(t, w.public+"/metrics")
	said := map[string]string{"the log": logs.String(), "the traces": fmt.Sprintf("%+v", spans.GetSpans()), "the metrics": metrics}
	for where, text := range said {
		if !strings.Contains(text, "OrderService") && !strings.Contains(text, o.GetId()) {
			t.Errorf("%s tell nothing: %.200s", where, text)
		}
		for _, hidden := range []map[string]string{secrets, private} {
			for what, secret := range hidden {
				if at := strings.Index(text, secret); at >= 0 {
					t.Errorf("%s is in %s: …%.300s", what, where, text[max(0, at-200):])
				}
			}
		}
	}
	for what, secret := range secrets {
		if len(secret) < 8 {
			t.Errorf("%s is %q", what, secret)
		}
		for _, err := range failures {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s is in an error: %v", what, err)
			}
		}
		for _, page := range pages {
			if strings.Contains(page, secret) && what != "the licence key" { // the order's page shows the customer's own
				t.Errorf("%s is on a page: %s", what, page)
			}
		}
		unreadable(t, w.kept, secret)
	}
}

// read gives a page as it is, whatever its status.
func read(t *testing.T, address string) string {
	t.Helper()
	_, page := get(t, address)
	if page == "" {
		t.Errorf("%s is empty", address)
	}
	return page
}
