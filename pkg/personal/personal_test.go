package personal

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

func TestErasedTakesOutWhatIsPersonalAndNothingElse(t *testing.T) {
	fact := &eventv1.OrderEvent{Sequence: 3, Order: &orderv1.Order{
		Id: "ord_1", Reference: "R-1", Total: &orderv1.Money{Minor: 4900, Currency: "EUR"},
		Customer: &orderv1.Customer{Email: "canary@example.com", Name: "Canary", Address: "Canary street"},
		Payer:    &orderv1.Payer{Name: "Canary", Country: "NO"}, Metadata: map[string]string{"note": "Canary"}, UserId: "canary-7",
		Operations: []*orderv1.Operation{{Id: "opn_1", Detail: "Canary wants it back"}},
	}}
	e, err := event.New(event.OrderRefunded, "order", "ord_1", "ord_1", "acme", time.Now(), fact)
	if err != nil {
		t.Fatal(err)
	}
	erased := e
	if erased.Data, err = Erased(e); err != nil {
		t.Fatal(err)
	}
	got := &eventv1.OrderEvent{}
	if err := erased.Decode(got); err != nil {
		t.Fatal(err)
	}
	want := &eventv1.OrderEvent{Sequence: 3, Order: &orderv1.Order{
		Id: "ord_1", Reference: "R-1", Total: &orderv1.Money{Minor: 4900, Currency: "EUR"}, Customer: &orderv1.Customer{},
		Payer: &orderv1.Payer{Country: "NO"}, Operations: []*orderv1.Operation{{Id: "opn_1"}},
	}}
	if !proto.Equal(got, want) {
		t.Errorf("erased %v", got)
	}
	if strings.Contains(strings.ToLower(string(erased.Data)), "canary") {
		t.Errorf("data %q", erased.Data)
	}
	again, err := Erased(erased)
	if err != nil || string(again) != string(erased.Data) {
		t.Errorf("erased again: %v, %v", again, err)
	}
}

func TestEventsWithoutPersonalDataStayAsTheyAre(t *testing.T) {
	e, err := event.New(event.PaymentStarted, "payment", "pay_1", "ord_1", "acme", time.Now(), &eventv1.PaymentStarted{AttemptId: "pay_1"})
	if err != nil {
		t.Fatal(err)
	}
	same, err := Erased(e)
	if err != nil || string(same) != string(e.Data) {
		t.Errorf("%v, %v", same, err)
	}
}

// Every payload of the bus that can carry personal data is known here, so that a
// field that is marked is also taken out of stored events.
func TestEveryPayloadWithPersonalDataIsKnown(t *testing.T) {
	known := map[protoreflect.FullName]bool{}
	for _, typ := range []string{
		event.OrderCreated, event.PaymentVerified, event.RefundRequested, event.CallbackReceived, event.CallbackRescued, event.FulfillmentChanged,
	} {
		known[payload(typ).ProtoReflect().Descriptor().FullName()] = true
	}
	messages := eventv1.File_quittance_event_v1_event_proto.Messages()
	for i := range messages.Len() {
		if m := messages.Get(i); carries(m, map[protoreflect.FullName]bool{}) != known[m.FullName()] {
			t.Errorf("%s: carries personal data: %v, known: %v", m.FullName(), !known[m.FullName()], known[m.FullName()])
		}
	}
}

func carries(m protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[m.FullName()] {
		return false
	}
	seen[m.FullName()] = true
	fields := m.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if is(f) || f.Message() != nil && carries(f.Message(), seen) {
			return true
		}
	}
	return false
}
