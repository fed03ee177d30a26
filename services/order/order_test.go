package order_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/seal"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

func TestCreateIsIdempotent(t *testing.T) {
	w := newWorld(t)
	orders, _ := w.merchant("acme")
	var wg sync.WaitGroup
	ids := make([]string, 32)
	for i := range ids {
		wg.Go(func() {
			o, err := orders.CreateOrder(t.Context(), good("k1"))
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = o.GetId() + o.GetPayUrl()
		})
	}
	wg.Wait()
	if slices.Sort(ids); ids[0] != ids[31] || ids[0] == "" {
		t.Fatalf("one key, several orders: %s … %s", ids[0], ids[31])
	}
	other := good("k1")
	other.Items[0].Quantity = 3
	if _, err := orders.CreateOrder(t.Context(), other); fault.KindOf(err) != fault.KindConflict {
		t.Fatalf("another request with the same key: %v", err)
	}
	list, err := orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{})
	if err != nil || len(list.GetOrders()) != 1 || list.GetOrders()[0].GetTotal().GetMinor() != 1998 {
		t.Fatalf("%v %v", list, err)
	}
}

func TestP10BadOrdersNameTheFieldAndStoreNothing(t *testing.T) {
	w := newWorld(t)
	orders, _ := w.merchant("acme")
	long := strings.Repeat("x", 300)
	for field, change := range map[string]func(*orderv1.CreateOrderRequest){
		"idempotency_key":     func(r *orderv1.CreateOrderRequest) { r.IdempotencyKey = "" },
		"reference":           func(r *orderv1.CreateOrderRequest) { r.Reference = long },
		"customer.email":      func(r *orderv1.CreateOrderRequest) { r.Customer.Email = "ada@" },
		"customer.name":       func(r *orderv1.CreateOrderRequest) { r.Customer.Name = "a\nb" },
		"customer.locale":     func(r *orderv1.CreateOrderRequest) { r.Customer.Locale = "../etc" },
		"currency":            func(r *orderv1.CreateOrderRequest) { r.Currency = "XXQ" },
		"items":               func(r *orderv1.CreateOrderRequest) { r.Items = nil },
		"items[0].product_id": func(r *orderv1.CreateOrderRequest) { r.Items[0].ProductId = "unknown" },
		"items[0].quantity":   func(r *orderv1.CreateOrderRequest) { r.Items[0].Quantity = 0 },
		"return_url":          func(r *orderv1.CreateOrderRequest) { r.ReturnUrl = "https://evil.example/shop" },
		"metadata key":        func(r *orderv1.CreateOrderRequest) { r.Metadata = map[string]string{long: "x"} },
	} {
		req := good("k-" + field)
		change(req)
		if _, err := orders.CreateOrder(t.Context(), req); fault.KindOf(err) != fault.KindInvalid || !slices.Contains(fields(err), field) {
			t.Errorf("%s: %v (fields %v)", field, err, fields(err))
		}
	}
	for name, change := range map[string]func(*orderv1.CreateOrderRequest){
		"quantity of a billion": func(r *orderv1.CreateOrderRequest) { r.Items[0].Quantity = 1e9 },
		"negative quantity":     func(r *orderv1.CreateOrderRequest) { r.Items[0].Quantity = -1 },
		"overflowing line":      func(r *orderv1.CreateOrderRequest) { r.Items[0].ProductId, r.Items[0].Quantity = "costly", 10_000 },
		"overflowing total": func(r *orderv1.CreateOrderRequest) {
			r.Items = slices.Repeat([]*orderv1.OrderItem{{ProductId: "costly", Quantity: 4}}, 4)
		},
		"no price in a currency":  func(r *orderv1.CreateOrderRequest) { r.Currency = "JPY" },
		"lower-case currency":     func(r *orderv1.CreateOrderRequest) { r.Currency = "eur" },
		"return to a look-alike":  func(r *orderv1.CreateOrderRequest) { r.ReturnUrl = "https://acme.example.evil.example/shop" },
		"return past the prefix":  func(r *orderv1.CreateOrderRequest) { r.ReturnUrl = "https://acme.example/shopping" },
		"return climbing out":     func(r *orderv1.CreateOrderRequest) { r.ReturnUrl = "https://acme.example/shop/../admin" },
		"return climbing encoded": func(r *orderv1.CreateOrderRequest) { r.ReturnUrl = "https://acme.example/shop/%2e%2e/admin" },
		"return with user info":   func(r *orderv1.CreateOrderRequest) { r.ReturnUrl = "https://acme.example@evil.example/shop" },
		"return to script":        func(r *orderv1.CreateOrderRequest) { r.ReturnUrl = "javascript:alert(1)//https://acme.example/shop" },
		"51 items":                func(r *orderv1.CreateOrderRequest) { r.Items = slices.Repeat(r.Items, 51) },
	} {
		req := good("k-" + name)
		change(req)
		if _, err := orders.CreateOrder(t.Context(), req); fault.KindOf(err) != fault.KindInvalid || len(fields(err)) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	big := good("k-big")
	big.Metadata = map[string]string{"x": strings.Repeat("x", 2<<20)}
	if _, err := orders.CreateOrder(t.Context(), big); fault.KindOf(err) == 0 {
		t.Error("a request of 2 MiB was taken")
	}
	list, err := orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{})
	if err != nil || len(list.GetOrders()) != 0 {
		t.Fatalf("bad requests stored %d orders, %v", len(list.GetOrders()), err)
	}
}

func TestP8S25AnotherMerchantSeesNothing(t *testing.T) {
	w := newWorld(t)
	mine, _ := w.merchant("acme")
	theirs, catalog := w.merchant("other")
	o, err := mine.CreateOrder(t.Context(), good("k1"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, get := theirs.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: o.GetId()})
	_, cancel := theirs.CancelOrder(ctx, &orderv1.CancelOrderRequest{OrderId: o.GetId()})
	_, events := theirs.ListEvents(ctx, &orderv1.ListEventsRequest{OrderId: o.GetId()})
	watch, err := theirs.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: o.GetId()})
	if err == nil {
		_, err = watch.Recv()
	}
	for name, err := range map[string]error{"get": get, "cancel": cancel, "events": events, "watch": err} {
		if fault.KindOf(err) != fault.KindNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	list, err := theirs.ListOrders(ctx, &orderv1.ListOrdersRequest{})
	all, err2 := theirs.ListEvents(ctx, &orderv1.ListEventsRequest{})
	if err != nil || err2 != nil || len(list.GetOrders()) != 0 || len(all.GetEvents()) != 0 {
		t.Fatal(list, all, err, err2)
	}
	if _, err := catalog.PutProduct(ctx, &orderv1.PutProductRequest{Product: &orderv1.Product{
		Id: "tool", Name: "cheap", Prices: []*orderv1.Money{{Minor: 1, Currency: "EUR"}}, DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL,
	}}); err != nil {
		t.Fatal(err)
	}
	if again, err := mine.CreateOrder(ctx, good("k2")); err != nil || again.GetTotal().GetMinor() != 1998 {
		t.Fatalf("another merchant's product changed mine: %v %v", again, err)
	}
	for name, key := range map[string]seal.Secret{"no key": "", "wrong key": "qtk_x_y", "operator's key": operatorKey} {
		_, err := orderv1.NewOrderServiceClient(w.dial(key)).GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: o.GetId()})
		if k := fault.KindOf(err); k != fault.KindUnauthenticated && k != fault.KindDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRotateAPIKey(t *testing.T) {
	w := newWorld(t)
	old, _ := w.merchant("acme")
	rotate := func(overlap time.Duration) error {
		_, err := w.operator.RotateAPIKey(t.Context(), &orderv1.RotateAPIKeyRequest{MerchantId: "acme", Overlap: durationpb.New(overlap)})
		return err
	}
	if err := rotate(time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := old.ListOrders(t.Context(), &orderv1.ListOrdersRequest{}); err != nil {
		t.Fatalf("within the overlap: %v", err)
	}
	if err := rotate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := old.ListOrders(t.Context(), &orderv1.ListOrdersRequest{}); fault.KindOf(err) != fault.KindUnauthenticated {
		t.Fatalf("after it: %v", err)
	}
	if err := rotate(31 * 24 * time.Hour); !slices.Contains(fields(err), "overlap") {
		t.Fatal(err)
	}
}

// TestFactsAreAnsweredEveryTime: a doubled fact changes nothing, and is
// acknowledged again because the first answer may be lost.
func TestFactsAreAnsweredEveryTime(t *testing.T) {
	w := newWorld(t)
	orders, _ := w.merchant("acme")
	o, err := orders.CreateOrder(t.Context(), good("k1"))
	if err != nil {
		t.Fatal(err)
	}
	paid, err := event.New(event.PaymentVerified, "verification", "pay_1", o.GetId(), "acme", time.Now(), &eventv1.PaymentVerified{
		AttemptId: "pay_1", OrderId: o.GetId(), MerchantId: "acme", Outcome: verificationv1.Outcome_OUTCOME_PAID, Captured: o.GetTotal(), Revision: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	done, err := event.New(event.DeliveryCompleted, "delivery", "dlv_1", o.GetId(), "acme", time.Now(), &eventv1.DeliveryCompleted{
		DeliveryId: "dlv_1", OrderId: o.GetId(), MerchantId: "acme", LineNumbers: []int32{1},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, e := range []event.Event{paid, done} {
			e.Resend++
			if _, err := w.bus.Publish(t.Context(), []event.Event{e}); err != nil {
				t.Fatal(err)
			}
		}
		paid.Resend, done.Resend = 1, 1
	}
	testkit.Eventually(t, 10*time.Second, func() error {
		if !slices.Contains(w.bus.types("pay_1"), event.PaymentAcknowledged) || !slices.Contains(w.bus.types(o.GetId()), event.DeliveryAcknowledged) {
			return fault.Unavailable("no acknowledgements yet: %v %v", w.bus.types("pay_1"), w.bus.types(o.GetId()))
		}
		return nil
	})
	list, err := orders.ListEvents(t.Context(), &orderv1.ListEventsRequest{OrderId: o.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, e := range list.GetEvents() {
		if e.GetSequence() != int64(i+1) || e.GetOrder().GetPayUrl() != "" {
			t.Fatalf("event %d: %v", i, e)
		}
		got = append(got, e.GetType())
	}
	want := []string{event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered}
	if !slices.Equal(got, want) {
		t.Fatalf("events %v, want %v", got, want)
	}
}

// TestListEventsMissesNothing: whoever follows the cursor sees every event of
// every order, though orders change while it reads.
func TestListEventsMissesNothing(t *testing.T) {
	w := newWorld(t)
	orders, _ := w.merchant("acme")
	seen, cursor := map[string]bool{}, ""
	read := func() {
		for {
			page, err := orders.ListEvents(t.Context(), &orderv1.ListEventsRequest{PageSize: 3, Cursor: cursor})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.GetEvents() {
				seen[e.GetId()] = true
			}
			if cursor = page.GetCursor(); !page.GetMore() {
				return
			}
		}
	}
	want := 0
	for i := range 20 {
		o, err := orders.CreateOrder(t.Context(), good(strings.Repeat("k", i+1)))
		if err != nil {
			t.Fatal(err)
		}
		want++
		if i%2 == 0 {
			if _, err := orders.CancelOrder(t.Context(), &orderv1.CancelOrderRequest{OrderId: o.GetId()}); err != nil {
				t.Fatal(err)
			}
			want++
		}
		if i%5 == 0 {
			read()
		}
	}
	if read(); len(seen) != want {
		t.Fatalf("seen %d of %d events", len(seen), want)
	}
	for _, bad := range []string{strings.Repeat("9", 100), "x/y", "~~~/", "99991231T000000.000000000/", "\x00", "/x"} {
		if _, err := orders.ListEvents(t.Context(), &orderv1.ListEventsRequest{Cursor: bad}); !slices.Contains(fields(err), "cursor") {
			t.Fatal(err)
		}
	}
	if _, err := orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{PageToken: "x"}); !slices.Contains(fields(err), "page_token") {
		t.Fatal(err)
	}
}

// TestListEventsFromATime: what changed before is left out, without reading it.
func TestListEventsFromATime(t *testing.T) {
	w := newWorld(t)
	orders, _ := w.merchant("acme")
	if _, err := orders.CreateOrder(t.Context(), good("k")); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		start time.Time
		want  int
	}{"before": {time.Now().Add(-time.Hour), 1}, "after": {time.Now().Add(time.Hour), 0}} {
		page, err := orders.ListEvents(t.Context(), &orderv1.ListEventsRequest{StartTime: timestamppb.New(tc.start)})
		if err != nil || len(page.GetEvents()) != tc.want || page.GetCursor() == "" {
			t.Errorf("%s: %v, %v", name, page, err)
		}
	}
	if _, err := orders.ListEvents(t.Context(), &orderv1.ListEventsRequest{StartTime: &timestamppb.Timestamp{Nanos: -1}}); !slices.Contains(fields(err), "start_time") {
		t.Errorf("a time that is none: %v", err)
	}
}
