// Package personal takes personal data out of messages and of events. Which
// fields are personal is said where they are declared, by the option
// quittance.access.v1.personal; what an event carries beside it stays as it is.
package personal

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"quittance/pkg/event"
	accessv1 "quittance/proto/gen/go/quittance/access/v1"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

// Clear takes the personal data out of a message and of all messages in it. It
// reports whether there was any.
func Clear(m proto.Message) bool { return clearFields(m.ProtoReflect()) }

func clearFields(m protoreflect.Message) bool {
	found := false
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case is(f):
			m.Clear(f)
			found = true
		case f.IsMap():
			if f.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					found = clearFields(v.Message()) || found
					return true
				})
			}
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				found = clearFields(v.List().Get(i).Message()) || found
			}
		default:
			found = clearFields(v.Message()) || found
		}
		return true
	})
	return found
}

// is says whether a field is declared as personal data.
func is(f protoreflect.FieldDescriptor) bool {
	personal, _ := proto.GetExtension(f.Options(), accessv1.E_Personal).(bool)
	return personal
}

// Erased is what an event carries, without personal data.
func Erased(e event.Event) ([]byte, error) {
	m := payload(e.Type)
	if m == nil {
		return e.Data, nil
	}
	if err := e.Decode(m); err != nil {
		return nil, err
	}
	if !Clear(m) {
		return e.Data, nil
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("marshal %s %s: %w", e.Type, e.ID, err)
	}
	return data, nil
}

// payload is an empty message of a type of events that can carry personal data,
// nil for others.
func payload(typ string) proto.Message {
	switch {
	case slices.Contains(event.Public, typ):
		return &eventv1.OrderEvent{}
	case typ == event.PaymentVerified:
		return &eventv1.PaymentVerified{}
	case typ == event.RefundRequested:
		return &eventv1.RefundRequested{}
	case typ == event.CallbackReceived:
		return &eventv1.CallbackReceived{}
	case typ == event.CallbackRescued:
		return &eventv1.CallbackRescued{}
	case typ == event.FulfillmentChanged:
		return &eventv1.FulfillmentChanged{}
	}
	return nil
}
