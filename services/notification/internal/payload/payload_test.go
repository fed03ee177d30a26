package payload_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/payload"
	"quittance/services/notification/internal/queue"
)

var at = time.Date(2026, 3, 1, 12, 30, 0, 123_456_789, time.UTC)

func eur(minor int64) *orderv1.Money { return &orderv1.Money{Minor: minor, Currency: "EUR"} }

func full() *orderv1.Order {
	return &orderv1.Order{
		Id: "ord_1", MerchantId: "acme", Reference: "R-1",
		Customer: &orderv1.Customer{Email: "ann@example.com", Name: "Ann <A>", Locale: "de-AT"},
		Lines: []*orderv1.Line{{
			Number: 1, ProductId: "app", Name: "App & more", Quantity: 2, UnitPrice: eur(999), Amount: eur(1998),
			DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL, DeliveryState: orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED,
		}},
		Total: eur(1998), PaymentState: orderv1.PaymentState_PAYMENT_STATE_ON_HOLD,
		DeliveryState: orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED,
		Hold:          &orderv1.Hold{Reason: orderv1.HoldReason_HOLD_REASON_PROVIDER_REVIEW, Detail: "frozen"},
		Prepaid:       true, CreateTime: timestamppb.New(at), PaidTime: timestamppb.New(at), DeliveredTime: timestamppb.New(at),
		ReturnUrl: "https://shop.example/done", PaidAttemptId: "pay_1", Captured: eur(1998), Refunded: eur(5), Sequence: 3,
		Metadata: map[string]string{"b": "2", "a": "1"}, DeliveryProblem: "pool empty", PaymentProblem: "card declined",
		PayUrl: "https://pay.example/pay/secret-token",
	}
}

func bus(t *testing.T, o *orderv1.Order) event.Event {
	t.Helper()
	e, err := event.New(event.ProductDelivered, "order", "ord_1", "ord_1", "acme", at, &eventv1.OrderEvent{
		Order: o, Sequence: 3, LineNumber: 1, AttemptId: "pay_1", MailTexts: map[string]string{"app": "{KEY}"},
	})
	if err != nil {
		t.Fatal(err)
	}
	e.ID = "evt_1"
	return e
}

func render(t *testing.T, o *orderv1.Order) []byte {
	t.Helper()
	e, _, _, err := payload.FromBus(bus(t, o))
	if err != nil {
		t.Fatal(err)
	}
	out, err := payload.Render(e)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) >= payload.MaxSize {
		t.Fatalf("the body has %d bytes", len(out))
	}
	return out
}

// TestBody: these pieces are in the body, in this sequence. Other fields of the
// contracts are between them.
func TestBody(t *testing.T) {
	got := string(render(t, full()))
	rest := got
	for _, piece := range []string{
		`{"type":"product.delivered","timestamp":"2026-03-01T12:30:00.123Z","data":{"event_id":"evt_1","sequence":3,` +
			`"line_number":1,"truncated":false,"order":{"id":"ord_1","merchant_id":"acme","reference":"R-1","customer":{"email":"ann@example.com",` +
			`"name":"Ann <A>","locale":"de-AT"`,
		`"lines":[{"number":1,"product_id":"app","name":"App & more","quantity":2,` +
			`"unit_price":{"minor":999,"currency":"EUR"},"amount":{"minor":1998,"currency":"EUR"},"delivery_method":"pool",` +
			`"delivery_state":"partially_delivered"`,
		`"total":{"minor":1998,"currency":"EUR"},"payment_state":"on_hold","delivery_state":"not_delivered","hold":{"reason":"provider_review","detail":"frozen"`,
		`"prepaid":true,"create_time":"2026-03-01T12:30:00.123Z","paid_time":"2026-03-01T12:30:00.123Z","delivered_time":"2026-03-01T12:30:00.123Z",` +
			`"return_url":"https://shop.example/done","paid_attempt_id":"pay_1","captured":{"minor":1998,"currency":"EUR"},` +
			`"refunded":{"minor":5,"currency":"EUR"},"sequence":3,"metadata":{"a":"1","b":"2"},"delivery_problem":"pool empty",` +
			`"payment_problem":"card declined"`,
		`}}}`,
	} {
		_, after, found := strings.Cut(rest, piece)
		if !found {
			t.Fatalf("%s\nis not at its place in\n%s", piece, got)
		}
		rest = after
	}
	if rest != "" && !strings.HasSuffix(got, "}}}") {
		t.Errorf("body\n%s", got)
	}
}

// TestBodyHasEveryField: a field added to the order's contract must be added
// here, or be left out on purpose.
func TestBodyHasEveryField(t *testing.T) {
	var got struct {
		Data struct{ Order map[string]any } `json:"data"`
	}
	if err := json.Unmarshal(render(t, full()), &got); err != nil {
		t.Fatal(err)
	}
	compare(t, "order", (&orderv1.Order{}).ProtoReflect().Descriptor(), got.Data.Order, "pay_url")
}

func compare(t *testing.T, path string, d protoreflect.MessageDescriptor, got map[string]any, without ...string) {
	fields := d.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		name := string(f.Name())
		value, there := got[name]
		if there == strings.Contains(strings.Join(without, " "), name) {
			t.Errorf("%s.%s is there: %t", path, name, there)
			continue
		}
		if list, ok := value.([]any); ok && len(list) > 0 {
			value = list[0]
		}
		if inner, ok := value.(map[string]any); ok && f.Message() != nil && !f.IsMap() {
			compare(t, path+"."+name, f.Message(), inner)
		}
	}
}

func TestBusAndHistoryGiveTheSame(t *testing.T) {
	o := full()
	o.Metadata = map[string]string{}
	for i := range 20 {
		o.Metadata[fmt.Sprintf("key %d", i)] = "value"
	}
	e, merchant, order, err := payload.FromBus(bus(t, o))
	if err != nil || merchant != "acme" || order != "ord_1" {
		t.Fatal(merchant, order, err)
	}
	first, err := payload.Render(e)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		listed, err := payload.FromHistory(&orderv1.PublicEvent{
			Id: "evt_1", Type: event.ProductDelivered, Time: timestamppb.New(at), OrderId: "ord_1", Sequence: 3,
			Order: proto.CloneOf(o), LineNumber: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(listed) // as the store keeps it
		if err != nil {
			t.Fatal(err)
		}
		var kept queue.Event
		if err := json.Unmarshal(raw, &kept); err != nil {
			t.Fatal(err)
		}
		again, err := payload.Render(kept)
		if err != nil || !bytes.Equal(first, again) {
			t.Fatalf("%v: %s\nbefore: %s", err, again, first)
		}
	}
}

func TestEmptyOrder(t *testing.T) {
	got := string(render(t, &orderv1.Order{Id: "ord_1", MerchantId: "acme"}))
	for _, want := range []string{
		`"lines":[]`, `"metadata":{}`, `"hold":null`, `"paid_time":null`, `"total":null`, `"payment_state":""`, `"customer":{"email":""`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
}

func TestLargeOrdersAreTruncated(t *testing.T) {
	named := full()
	named.Lines = nil
	for i := range 50 {
		named.Lines = append(named.Lines, &orderv1.Line{
			Number: int32(i + 1), ProductId: strings.Repeat("p", 60), Name: strings.Repeat("ü", 200), Quantity: 10_000,
			UnitPrice: eur(1 << 40), Amount: eur(1 << 50),
		})
	}
	noisy := proto.CloneOf(named)
	noisy.ReturnUrl = "https://shop.example/" + strings.Repeat("x", 1970)
	noisy.Metadata = map[string]string{}
	for i := range 20 {
		noisy.Metadata[fmt.Sprintf("%040d", i)] = strings.Repeat("\u2028", 200)
	}
	noisy.DeliveryProblem, noisy.PaymentProblem = strings.Repeat("é", 50_000), strings.Repeat("x", 50_000)
	noisy.Hold.Detail = strings.Repeat("\"", 10_000)
	for name, o := range map[string]*orderv1.Order{"names": named, "everything": noisy} {
		t.Run(name, func(t *testing.T) {
			got := string(render(t, o))
			if !strings.Contains(got, `"truncated":true`) || !strings.Contains(got, `"payment_state":"on_hold"`) {
				t.Errorf("body %s", got)
			}
			if got != string(render(t, o)) {
				t.Error("the body differs the second time")
			}
		})
	}
}

func TestEventsThatCannotBe(t *testing.T) {
	for name, o := range map[string]*orderv1.Order{"no order": {MerchantId: "acme"}, "no merchant": {Id: "ord_1"}} {
		if _, _, _, err := payload.FromBus(bus(t, o)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	broken := bus(t, full())
	broken.Data = []byte("\xff")
	if _, _, _, err := payload.FromBus(broken); err == nil {
		t.Error("what is no message is accepted")
	}
	if _, err := payload.FromHistory(&orderv1.PublicEvent{Order: full(), Sequence: 1}); err == nil {
		t.Error("an event without id and type is accepted")
	}
	if _, err := payload.Render(queue.Event{Data: []byte("\xff")}); err == nil {
		t.Error("what is no message is rendered")
	}
}
