package payload

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/queue"
)

// Example returns an event of a public type with an id and a merchant as given
// and the rest made up.
func Example(id, typ, merchant string, at time.Time) (queue.Event, error) {
	if about, known := merchantTypes[typ]; known {
		m := about.message()
		fill(m.ProtoReflect(), at)
		if n, ok := m.(*eventv1.EndpointNotice); ok {
			exampleNotice(n, typ, merchant)
		}
		if f, ok := m.(*eventv1.MailFailed); ok {
			f.MerchantId, f.OrderId, f.Kind, f.Problem = merchant, exampleOrderID, "receipt", "the recipient's address was refused (code 550)"
		}
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		return queue.Event{ID: id, Type: typ, Time: at.UTC(), Sequence: 1, State: queue.Pending, Data: data}, err
	}
	if !slices.Contains(event.Public, typ) {
		return queue.Event{}, fmt.Errorf("type %q is not one that merchants get", typ)
	}
	o, sequence := exampleOrder(typ, merchant, at)
	line := int32(0)
	if strings.HasPrefix(typ, "product.") {
		line = 1
	}
	e, err := pending(id, typ, at, sequence, o, line)
	e.Sequence, e.About = sequence, nil
	return e, err
}

// ExampleBody is the body of a type's example, always the same.
func ExampleBody(typ string) ([]byte, error) {
	e, err := Example("evt_019aa0c05fd87b0ea5ddf0a3cfb14c51", typ, "acme", time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC))
	if err != nil {
		return nil, err
	}
	return Render(e)
}

func exampleNotice(n *eventv1.EndpointNotice, typ, merchant string) {
	n.MerchantId, n.EndpointId, n.Problem = merchant, "main", "no answer within 10s"
	n.EventId, n.EventType, n.OrderId = "", "", ""
	if typ == event.EndpointExhausted {
		n.EventId, n.EventType, n.OrderId = "evt_019aa0a1b2c37d4e8f90a1b2c3d4e5f6", event.PaymentSucceeded, exampleOrderID
	}
}

const exampleOrderID = "ord_019aa0c05fc47c53b8e1b1d2a9d6a0f1"

func exampleOrder(typ, merchant string, at time.Time) (o *orderv1.Order, sequence int64) {
	eur := func(minor int64) *orderv1.Money { return &orderv1.Money{Minor: minor, Currency: "EUR"} }
	o = &orderv1.Order{
		Id: exampleOrderID, MerchantId: merchant, Reference: "4711",
		Customer: &orderv1.Customer{Email: "ada@example.com", Name: "Ada Lovelace", Locale: "en"},
		Lines: []*orderv1.Line{{
			Number: 1, ProductId: "notepad", Name: "Notepad", Quantity: 2, UnitPrice: eur(1999), Amount: eur(3998),
			DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL, DeliveryState: orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED,
		}},
		Total: eur(3998), PaymentState: orderv1.PaymentState_PAYMENT_STATE_UNPAID,
		DeliveryState: orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED,
		CreateTime:    timestamppb.New(at.Add(-time.Minute)), ReturnUrl: "https://shop.example/return",
		Metadata: map[string]string{"campaign": "spring"}, Captured: eur(0), Refunded: eur(0), Sequence: 1,
	}
	paid := func() {
		o.PaymentState, o.Captured = orderv1.PaymentState_PAYMENT_STATE_PAID, eur(3998)
		o.PaidTime, o.PaidAttemptId, o.Sequence = timestamppb.New(at), "pay_019aa0c05fd07f6aa5a9d3a0c0ffee00", 2
	}
	delivered := func() {
		paid()
		o.DeliveryState, o.DeliveredTime = orderv1.DeliveryState_DELIVERY_STATE_DELIVERED, timestamppb.New(at)
		o.Lines[0].DeliveryState, o.Sequence = o.DeliveryState, 4
	}
	switch typ {
	case event.PaymentSucceeded:
		paid()
	case event.PaymentFailed:
		o.PaymentProblem, o.Sequence = "declined by the bank", 2
	case event.PaymentDuplicate:
		paid()
		o.Captured, o.Sequence = eur(7996), 3
	case event.ProductDelivered:
		delivered()
		o.Sequence = 3
	case event.ProductDeliveryDelayed:
		paid()
		o.DeliveryState, o.DeliveryProblem = orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED, "merchant: the pool of product notepad is empty"
		o.Sequence = 3
	case event.OrderDelivered:
		delivered()
	case event.OrderOnHold:
		o.PaymentState, o.Sequence = orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, 2
		o.Hold = &orderv1.Hold{Reason: orderv1.HoldReason_HOLD_REASON_PROVIDER_REVIEW, Detail: "the provider reviews the payment"}
	case event.OrderCanceled:
		o.PaymentState, o.Sequence = orderv1.PaymentState_PAYMENT_STATE_CANCELED, 2
	case event.OrderExpired:
		o.PaymentState, o.Sequence = orderv1.PaymentState_PAYMENT_STATE_EXPIRED, 2
	case event.OrderRefunded:
		delivered()
		o.PaymentState, o.Refunded, o.Sequence = orderv1.PaymentState_PAYMENT_STATE_REFUNDED, eur(3998), 5
	case event.ProductRevoked:
		delivered()
		o.PaymentState, o.Refunded, o.Sequence = orderv1.PaymentState_PAYMENT_STATE_REFUNDED, eur(3998), 6
		o.Lines[0].RevokedUnits = 2
	}
	return o, o.GetSequence()
}

// fill gives every field of a message some value.
func fill(m protoreflect.Message, at time.Time) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap(), f.IsList():
		case f.Message() != nil && f.Message().FullName() == timestampName:
			m.Set(f, protoreflect.ValueOfMessage(timestamppb.New(at).ProtoReflect()))
		case f.Message() != nil:
			inner := m.NewField(f).Message()
			fill(inner, at)
			m.Set(f, protoreflect.ValueOfMessage(inner))
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString("example"))
		case f.Kind() == protoreflect.Int32Kind:
			m.Set(f, protoreflect.ValueOfInt32(1))
		case f.Kind() == protoreflect.Int64Kind:
			m.Set(f, protoreflect.ValueOfInt64(1))
		case f.Enum() != nil && f.Enum().Values().Len() > 1:
			m.Set(f, protoreflect.ValueOfEnum(f.Enum().Values().Get(1).Number()))
		}
	}
}
