package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/testkit"
	callbackv1 "quittance/proto/gen/go/quittance/callback/v1"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// canaries are a customer's data as the story plants it; the last ones are the
// payer's, as the sandbox's provider tells them.
var canaries = []string{
	"canary.finch@example.com", "Canary Finch", "Coalmine Street", "Coalmine Ltd", "NO999888777", "a canary's birthday", "canary-user-7",
	"Jo Doe", "Main Street 1: rear", "Utrecht",
}

// inFiles names the files of the services' stores that hold a canary, in the open
// or as the base64 of an event.
func inFiles(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	for _, service := range []string{"order", "payment", "callback", "verification", "delivery", "notification"} {
		files, err := filepath.Glob(filepath.Join(dir, service+".db*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no store of %s: %v", service, err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range testkit.Traces(canaries...) {
				if bytes.Contains(raw, n) {
					found = append(found, fmt.Sprintf("%s (%q)", filepath.Base(file), n))
				}
			}
		}
	}
	return found
}

// told is all that the gRPC APIs tell of an order.
func (w *world) told(orderID string) string {
	w.t.Helper()
	var all strings.Builder
	add := func(m proto.Message) {
		raw, err := protojson.Marshal(m)
		if err != nil {
			w.t.Fatal(err)
		}
		all.Write(raw)
		all.WriteByte('\n')
	}
	o := retried(w, w.orders.GetOrder, &orderv1.GetOrderRequest{OrderId: orderID})
	add(o)
	add(retried(w, w.orders.ListOrders, &orderv1.ListOrdersRequest{}))
	add(retried(w, w.orders.ListEvents, &orderv1.ListEventsRequest{}))
	add(retried(w, w.payments.GetAttempt, &paymentv1.GetAttemptRequest{AttemptId: o.GetPaidAttemptId()}))
	add(retried(w, w.verifications.GetVerification, &verificationv1.GetVerificationRequest{AttemptId: o.GetPaidAttemptId()}))
	add(retried(w, w.deliveries.GetDelivery, &deliveryv1.GetDeliveryRequest{OrderId: orderID}))
	list := retried(w, w.callbacks.ListCallbacks, &callbackv1.ListCallbacksRequest{})
	for _, c := range list.GetCallbacks() {
		// Its request is in there as bytes, so as base64.
		full := retried(w, w.callbacks.GetCallback, &callbackv1.GetCallbackRequest{CallbackId: c.GetId()})
		all.Write(full.GetRequest().GetBody())
		add(full)
	}
	hooks := retried(w, w.notifications.ListDeliveries, &notificationv1.ListDeliveriesRequest{OrderId: orderID})
	add(hooks)
	return all.String()
}

func mentioned(text string) (found []string) {
	for _, c := range canaries {
		if strings.Contains(text, c) {
			found = append(found, c)
		}
	}
	return found
}

// engines gives the stores of a system's services to whoever looks into them.
type engines struct{ all sync.Map }

func (e *engines) options() standalone.Options {
	return standalone.Options{Engine: func(service string, engine docstore.Engine) docstore.Engine {
		e.all.Store(service, engine)
		return engine
	}}
}

// awaitErased waits until all services have told the order that they have erased
// its customer.
func (e *engines) awaitErased(t *testing.T, orderID string) {
	t.Helper()
	engine, _ := e.all.Load("order")
	store, err := engine.(docstore.Engine).Open(t.Context(), docstore.StoreSpec{Name: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func() error {
		rec, err := store.Get(t.Context(), orderID)
		if err != nil {
			return err
		}
		var body struct {
			Doc struct {
				Erasure *struct {
					Waits []string `json:"waits"`
					Dirty bool     `json:"dirty"`
				} `json:"erasure"`
			} `json:"doc"`
		}
		if err := json.Unmarshal(rec.Body, &body); err != nil {
			return err
		}
		if e := body.Doc.Erasure; e == nil || e.Dirty || len(e.Waits) > 0 {
			return fmt.Errorf("erasure %+v", e)
		}
		return nil
	})
}

// forgetConsumers sets the bus back: every event that it still has comes again to
// every service.
func forgetConsumers(t *testing.T, dir string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || d.Name() != "obs" {
			return err
		}
		n++
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		return fs.SkipDir
	})
	if err != nil || n == 0 {
		t.Fatalf("%d directories of consumers: %v", n, err)
	}
}

// TestErasedCustomersAreNowhere: a customer who has bought, paid and got their
// licence is erased. Then no answer and no store names them, though the money, the
// states and the licence are there; and they stay erased when the bus brings all
// of its events again.
func TestErasedCustomersAreNowhere(t *testing.T) {
	if os.Getenv("QUITTANCE_TEST_MODE") != "" {
		t.Skip("looks inside the process: standalone only")
	}
	cfg, looks := config(t.TempDir()), &engines{}
	w, stop := startHere(t, cfg, setup{options: looks.options()})
	w.email = canaries[0]
	o := retried(w, w.orders.CreateOrder, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Reference: "R-2026-17", Items: []*orderv1.OrderItem{item("notepad", 2)},
		Customer: &orderv1.Customer{
			Email: w.email, Name: canaries[1], Address: canaries[2] + " 5\n0150 Oslo", Company: canaries[3], VatId: canaries[4],
		},
		Metadata: map[string]string{"gift": canaries[5]}, UserId: canaries[6], ReturnUrl: w.shop + "/shop/return?shop=kept",
	})
	retried(w, w.orders.AssignUser, &orderv1.AssignUserRequest{OrderId: o.GetId(), Credential: &orderv1.AssignUserRequest_Email{Email: w.email}})
	byEmail := &orderv1.EraseCustomerRequest{By: &orderv1.EraseCustomerRequest_Email{Email: strings.ToUpper(w.email)}}
	if _, err := w.orders.EraseCustomer(t.Context(), byEmail); fault.KindOf(err) != fault.KindConflict ||
		!strings.Contains(err.Error(), o.GetId()) || !strings.Contains(err.Error(), "unpaid and open") {
		t.Fatalf("erased while unpaid: %v", err)
	}

	w.pay(o, client.Pay{})
	before := w.awaitDelivered(o.GetId())
	all := []string{event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered}
	w.awaitWebhooks(o.GetId(), all...)
	keys := w.keys(o.GetId())[1]
	if got := mentioned(w.told(o.GetId())); len(got) != len(canaries) {
		t.Fatalf("before, the APIs tell of %q only", got)
	}
	if found := inFiles(t, cfg.DataDir); len(found) < 4 {
		t.Fatalf("before, canaries are in %q only", found)
	}

	if got := retried(w, w.orders.EraseCustomer, byEmail); len(got.GetOrderIds()) != 1 || got.GetOrderIds()[0] != o.GetId() {
		t.Fatalf("erased %v", got)
	}
	looks.awaitErased(t, o.GetId())
	w.awaitWebhooks(o.GetId(), append(all, event.CustomerErased)...)
	if got := mentioned(w.told(o.GetId())); len(got) > 0 {
		t.Errorf("the APIs still tell of %q", got)
	}
	if list := retried(w, w.payments.ListSavedPayments, &paymentv1.ListSavedPaymentsRequest{UserId: canaries[6]}); len(list.GetSavedPayments()) > 0 {
		t.Errorf("saved payments %v", list)
	}
	if _, err := w.orders.EraseCustomer(t.Context(), byEmail); fault.KindOf(err) != fault.KindNotFound {
		t.Errorf("erased by an address that nobody has any more: %v", err)
	}
	stop()
	if found := inFiles(t, cfg.DataDir); len(found) > 0 {
		t.Errorf("still in %q", found)
	}

	// All comes again.
	forgetConsumers(t, cfg.DataDir)
	w, stop = startHere(t, cfg, setup{options: looks.options()})
	w.email = "somebody.else@example.com"
	next := retried(w, w.orders.CreateOrder, &orderv1.CreateOrderRequest{ // the sandbox has but one payer
		IdempotencyKey: id.New("key"), Currency: "EUR", Customer: &orderv1.Customer{Email: w.email}, Items: []*orderv1.OrderItem{item("notepad", 1)}, Prepaid: true,
	})
	w.awaitDelivered(next.GetId())
	w.awaitWebhooks(next.GetId(), all...)
	after := retried(w, w.orders.GetOrder, &orderv1.GetOrderRequest{OrderId: o.GetId()})
	if got := mentioned(w.told(o.GetId())); len(got) > 0 {
		t.Errorf("after a rewind the APIs tell of %q", got)
	}
	if !proto.Equal(after.GetTotal(), before.GetTotal()) || !proto.Equal(after.GetCaptured(), before.GetCaptured()) || after.GetPaymentState() != paid ||
		after.GetDeliveryState() != delivered || !proto.Equal(after.GetPaidTime(), before.GetPaidTime()) || after.GetReference() != "R-2026-17" ||
		after.GetPayer().GetCountry() != "NL" || after.GetEraseTime() == nil {
		t.Errorf("of the order is left %v", after)
	}
	if got := w.keys(o.GetId())[1]; strings.Join(got, " ") != strings.Join(keys, " ") || len(got) != 2 {
		t.Errorf("licences %q, were %q", got, keys)
	}
	// Asked again, all services look again.
	byID := &orderv1.EraseCustomerRequest{By: &orderv1.EraseCustomerRequest_OrderId{OrderId: o.GetId()}}
	retried(w, w.orders.EraseCustomer, byID)
	looks.awaitErased(t, o.GetId())
	stop()
	if found := inFiles(t, cfg.DataDir); len(found) > 0 {
		t.Errorf("after a rewind in %q", found)
	}
}
