package order_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// bought creates a canceled order of a canary.
func (w *world) bought(orders orderv1.OrderServiceClient, key, email string) *orderv1.Order {
	w.t.Helper()
	req := good(key)
	req.Customer = &orderv1.Customer{Email: email, Name: "Canary"}
	req.Metadata, req.ReturnUrl = map[string]string{"note": "Canary"}, ""
	o, err := orders.CreateOrder(w.t.Context(), req)
	if err == nil {
		o, err = orders.CancelOrder(w.t.Context(), &orderv1.CancelOrderRequest{OrderId: o.GetId()})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// TestEraseCustomer: all orders of an address and of the customer it is, or none;
// nobody else's, and not those of another merchant.
func TestEraseCustomer(t *testing.T) {
	w := newWorld(t)
	key := w.key("acme")
	orders, _ := w.sells(key)
	stranger, _ := w.merchant("other")
	customers := orderv1.NewCustomerServiceClient(w.dial(key))
	ctx := t.Context()
	first := w.bought(orders, "1", "Canary@example.com")
	second := w.bought(orders, "2", "canary2@example.com")
	bystander := w.bought(orders, "3", "ada@example.com")
	foreign := w.bought(stranger, "1", "canary@example.com")
	open, err := orders.CreateOrder(ctx, &orderv1.CreateOrderRequest{
		IdempotencyKey: "4", Currency: "EUR", Customer: &orderv1.Customer{Email: "canary@EXAMPLE.com"}, Items: good("4").GetItems(),
	})
	if err != nil {
		t.Fatal(err)
	}
	made, err := orders.AssignUser(ctx, byEmail(second.GetId(), "canary@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	erase := &orderv1.EraseCustomerRequest{By: &orderv1.EraseCustomerRequest_Email{Email: "canary@example.com"}}
	for range 2 {
		if _, err := orders.EraseCustomer(ctx, erase); fault.KindOf(err) != fault.KindConflict || !strings.Contains(err.Error(), open.GetId()) {
			t.Fatalf("with an open order: %v", err)
		}
		if o, err := orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: first.GetId()}); err != nil || o.GetCustomer().GetName() != "Canary" {
			t.Fatalf("refused and changed: %v, %v", o, err)
		}
	}
	if _, err := orders.CancelOrder(ctx, &orderv1.CancelOrderRequest{OrderId: open.GetId()}); err != nil {
		t.Fatal(err)
	}
	got, err := orders.EraseCustomer(ctx, erase)
	want := []string{first.GetId(), second.GetId(), open.GetId()}
	slices.Sort(want)
	if err != nil || !slices.Equal(got.GetOrderIds(), want) {
		t.Fatalf("erased %v, %v; want %v", got, err, want)
	}
	for _, orderID := range want {
		o, err := orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: orderID})
		if err != nil || o.GetEraseTime() == nil || o.GetCustomer().GetEmail() != "" || o.GetCustomerId() != "" || o.GetTotal().GetMinor() == 0 {
			t.Errorf("%v, %v", o, err)
		}
		list, err := orders.ListEvents(ctx, &orderv1.ListEventsRequest{OrderId: orderID})
		if err != nil {
			t.Fatal(err)
		}
		var types []string
		for i, e := range list.GetEvents() {
			types = append(types, e.GetType())
			if raw, _ := protojson.Marshal(e); strings.Contains(strings.ToLower(string(raw)), "canary") || e.GetSequence() != int64(i+1) {
				t.Errorf("history: %s", raw)
			}
		}
		if !slices.Equal(types, []string{event.OrderCreated, event.OrderCanceled, event.CustomerErased}) {
			t.Errorf("history %v", types)
		}
	}
	testkit.Eventually(t, 10*time.Second, func() error {
		_, err := customers.GetCustomer(ctx, &orderv1.GetCustomerRequest{By: &orderv1.GetCustomerRequest_CustomerId{CustomerId: made.GetCustomerId()}})
		if fault.KindOf(err) != fault.KindNotFound {
			return fmt.Errorf("the customer is still there: %w", err)
		}
		return nil
	})
	if o, err := orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: bystander.GetId()}); err != nil || o.GetCustomer().GetEmail() != "ada@example.com" {
		t.Errorf("somebody else's: %v, %v", o, err)
	}
	if o, err := stranger.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: foreign.GetId()}); err != nil || o.GetEraseTime() != nil {
		t.Errorf("P8: another merchant's: %v, %v", o, err)
	}
	byID := &orderv1.EraseCustomerRequest{By: &orderv1.EraseCustomerRequest_OrderId{OrderId: first.GetId()}}
	if _, err := stranger.EraseCustomer(ctx, byID); fault.KindOf(err) != fault.KindNotFound {
		t.Errorf("P8: erased by another merchant: %v", err)
	}
	if got, err := orders.EraseCustomer(ctx, byID); err != nil || !slices.Equal(got.GetOrderIds(), []string{first.GetId()}) || w.bus.count(event.CustomerErased, first.GetId()) != 1 {
		t.Errorf("again: %v, %v", got, err)
	}
	if _, err := orders.AssignUser(ctx, byEmail(first.GetId(), "canary@example.com")); fault.KindOf(err) != fault.KindConflict {
		t.Errorf("assigned: %v", err)
	}
	again := good("1")
	if _, err := orders.CreateOrder(ctx, again); fault.KindOf(err) != fault.KindConflict {
		t.Errorf("the same key after the erasure: %v", err)
	}
	for name, req := range map[string]*orderv1.EraseCustomerRequest{
		"by":    {},
		"email": {By: &orderv1.EraseCustomerRequest_Email{Email: "no address"}},
		"phone": {By: &orderv1.EraseCustomerRequest_Phone{Phone: "12"}},
	} {
		if _, err := orders.EraseCustomer(ctx, req); !slices.Equal(fields(err), []string{name}) {
			t.Errorf("P10: %s: %v", name, err)
		}
	}
	if _, err := orders.EraseCustomer(ctx, erase); fault.KindOf(err) != fault.KindNotFound {
		t.Errorf("nobody is left: %v", err)
	}
}

// A parked fact is erased with the order that it is about.
func TestErasedOrdersLeaveNothingParked(t *testing.T) {
	w := newWorld(t)
	orders, _ := w.merchant("acme")
	o := w.bought(orders, "1", "canary@example.com")
	fact := &eventv1.PaymentVerified{
		AttemptId: "pay_1", OrderId: o.GetId(), MerchantId: "acme", Outcome: verificationv1.Outcome_OUTCOME_PENDING, Payer: &orderv1.Payer{Name: "Canary"},
	}
	e, err := event.New(event.PaymentVerified, "verification", "pay_1", o.GetId(), "acme", time.Now(), fact)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.svc.Base().Park(t.Context(), e, bus.Permanent(fmt.Errorf("not now"))); err != nil {
		t.Fatal(err)
	}
	if found := testkit.Holding(t, w.engine, []string{"orders", "parked"}, "canary", "Canary"); len(found) != 2 {
		t.Fatalf("before: %v", found)
	}
	if _, err := orders.EraseCustomer(t.Context(), &orderv1.EraseCustomerRequest{By: &orderv1.EraseCustomerRequest_OrderId{OrderId: o.GetId()}}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 10*time.Second, func() error {
		if found := testkit.Holding(t, w.engine, []string{"orders", "customers", "parked"}, "canary", "Canary"); len(found) > 0 {
			return fmt.Errorf("found in %v", found)
		}
		return nil
	})
}

func TestP10PersonalDataIsKeptForAWhileAtLeast(t *testing.T) {
	w := newWorld(t)
	m := &orderv1.Merchant{Id: "acme", Name: "Acme", MailFrom: "shop@acme.example", Policy: &orderv1.ShopPolicy{EraseAfter: durationpb.New(29 * 24 * time.Hour)}}
	if _, err := w.operator.PutMerchant(t.Context(), &orderv1.PutMerchantRequest{Merchant: m}); !slices.Equal(fields(err), []string{"merchant.policy.erase_after"}) {
		t.Errorf("29 days: %v", err)
	}
	m.Policy.EraseAfter = durationpb.New(30 * 24 * time.Hour)
	if _, err := w.operator.PutMerchant(t.Context(), &orderv1.PutMerchantRequest{Merchant: m}); err != nil {
		t.Error(err)
	}
}
