package schematest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// payload is an empty message of an event's type: the order for public events,
// an item for reference data, and for others the message of the same name, but
// for those of another one.
func payload(t *testing.T, typ string) proto.Message {
	t.Helper()
	switch {
	case event.IsReference(typ):
		return &orderv1.Reference{}
	case slices.Contains(event.Public, typ):
		return &eventv1.OrderEvent{}
	case slices.Contains(event.PublicMerchant, typ):
		return &eventv1.EndpointNotice{}
	case typ == event.PaymentConfirmed:
		return &eventv1.OfflineConfirmed{}
	}
	name := protoreflect.FullName("quittance.event.v1.")
	for word := range strings.FieldsFuncSeq(typ, func(r rune) bool { return r == '.' || r == '_' }) {
		name += protoreflect.FullName(strings.ToUpper(word[:1]) + word[1:])
	}
	m, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		t.Fatalf("which message is the payload of %s? %v", typ, err)
	}
	return m.New().Interface()
}

// populate sets every field; of fields that exclude each other the one that the
// type of the event names, else the first.
func populate(m protoreflect.Message, typ string, depth int) {
	if depth > 6 {
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if one := f.ContainingOneof(); one != nil && !strings.HasSuffix(typ, "."+string(f.Name())) {
			named := slices.ContainsFunc(slices.Collect(oneof(one)), func(n string) bool { return strings.HasSuffix(typ, "."+n) })
			if named || one.Fields().Get(0) != f {
				continue
			}
		}
		switch {
		case f.IsMap():
			value := m.NewField(f)
			entry := value.Map().NewValue()
			if f.MapValue().Kind() == protoreflect.MessageKind {
				populate(entry.Message(), typ, depth+1)
			} else {
				entry = scalar(f.MapValue())
			}
			value.Map().Set(scalar(f.MapKey()).MapKey(), entry)
			m.Set(f, value)
		case f.IsList():
			value := m.NewField(f)
			if f.Kind() == protoreflect.MessageKind {
				populate(value.List().AppendMutable().Message(), typ, depth+1)
			} else {
				value.List().Append(scalar(f))
			}
			m.Set(f, value)
		case f.Kind() == protoreflect.MessageKind:
			populate(m.Mutable(f).Message(), typ, depth+1)
		default:
			m.Set(f, scalar(f))
		}
	}
}

func oneof(one protoreflect.OneofDescriptor) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range one.Fields().Len() {
			if !yield(string(one.Fields().Get(i).Name())) {
				return
			}
		}
	}
}

func scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("a text")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("0123456789abcdef"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(f.Enum().Values().Get(1).Number())
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(3)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(3)
	default:
		panic("a kind of field that no contract had: " + f.Kind().String())
	}
}

// unknown lists the messages below m with fields that today's code does not know.
func unknown(m protoreflect.Message) (out []string) {
	if len(m.GetUnknown()) > 0 {
		out = append(out, string(m.Descriptor().FullName()))
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				out = append(out, unknown(v.List().Get(i).Message())...)
			}
		default:
			out = append(out, unknown(v.Message())...)
		}
		return true
	})
	return out
}

// sent is an event as it went over the bus.
type sent struct {
	Headers map[string][]string `json:"headers"`
	Data    []byte              `json:"data"`
	// Means is the payload for people, and for the comparison.
	Means json.RawMessage `json:"means"`
}

// TestEvents: today's code reads the events of yesterday, headers and payload,
// and knows every field; and as yesterday's code it reads those of tomorrow and
// hands on what it does not know.
func TestEvents(t *testing.T) {
	types := map[string]bool{}
	for _, consumed := range bus.Topology() {
		for _, typ := range consumed {
			types[typ] = true
		}
	}
	names := slices.Sorted(maps.Keys(types))
	for _, typ := range names {
		t.Run(typ, func(t *testing.T) {
			raw := golden(t, "events/"+typ+".json", func() []byte { return encode(t, today(t, typ)) })
			var was sent
			if err := json.Unmarshal(raw, &was); err != nil {
				t.Fatal(err)
			}
			e, err := event.FromMessage(was.Headers, was.Data)
			if err != nil || e.Type != typ || e.ID == "" || e.Key == "" || e.Merchant == "" || e.Time.IsZero() {
				t.Fatalf("today's code reads the headers as %+v: %v", e, err)
			}
			check := func(data []byte) proto.Message {
				t.Helper()
				m := payload(t, typ)
				if err := (event.Event{Type: typ, Data: data}).Decode(m); err != nil {
					t.Fatalf("today's code does not read it: %v", err)
				}
				means, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				for _, path := range lost("", decode(t, was.Means), decode(t, means)) {
					t.Errorf("today's code loses or changes %s", path)
				}
				return m
			}
			if fields := unknown(check(was.Data).ProtoReflect()); len(fields) > 0 {
				t.Errorf("today's code does not know fields of %v", fields)
			}
			field := protowire.AppendString(protowire.AppendTag(nil, 20_000, protowire.BytesType), "of tomorrow")
			m := check(slices.Concat(was.Data, field))
			if again, err := proto.Marshal(m); err != nil || !strings.Contains(string(again), "of tomorrow") {
				t.Errorf("a field of tomorrow is lost: %v", err)
			}
		})
	}
	strays(t, "events/*.json", names)
}

// today is an event as today's code sends it.
func today(t *testing.T, typ string) sent {
	t.Helper()
	m := payload(t, typ)
	populate(m.ProtoReflect(), typ, 0)
	e, err := event.New(typ, "service", "subject", "key", "acme", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), m)
	if err != nil {
		t.Fatal(err)
	}
	e.ID = "evt_0123456789abcdef0123456789abcdef"
	if e.Data, err = (proto.MarshalOptions{Deterministic: true}).Marshal(m); err != nil {
		t.Fatal(err)
	}
	means, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return sent{Headers: e.Header(), Data: e.Data, Means: means}
}
