package payload

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// hidden are fields that webhooks leave out: what is the customer's alone.
var hidden = map[protoreflect.FullName]bool{"quittance.order.v1.Order.pay_url": true}

// always are objects that are there even when unset.
var always = map[protoreflect.FullName]bool{"quittance.order.v1.Order.customer": true}

const (
	timestampName = protoreflect.FullName("google.protobuf.Timestamp")
	durationName  = protoreflect.FullName("google.protobuf.Duration")
)

// writer writes JSON. schema.go says what it writes in other words.
type writer struct {
	buf bytes.Buffer
	// more: a comma comes before the next key or item.
	more bool
}

func (w *writer) open(bracket byte) *writer {
	w.buf.WriteByte(bracket)
	w.more = false
	return w
}

func (w *writer) close(bracket byte) *writer {
	w.buf.WriteByte(bracket)
	w.more = true
	return w
}

func (w *writer) next() {
	if w.more {
		w.buf.WriteByte(',')
	}
	w.more = true
}

func (w *writer) key(name string) *writer {
	w.next()
	w.value(name)
	w.buf.WriteByte(':')
	return w
}

// value writes a string, a number, a truth or null.
func (w *writer) value(v any) {
	enc := json.NewEncoder(&w.buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // these types always encode
	w.buf.Truncate(w.buf.Len() - 1)
	w.more = true
}

func (w *writer) message(m protoreflect.Message) {
	w.open('{')
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if hidden[f.FullName()] {
			continue
		}
		w.key(string(f.Name()))
		switch v := m.Get(f); {
		case f.IsMap():
			w.object(f, v.Map())
		case f.IsList():
			w.open('[')
			for i := range v.List().Len() {
				w.next()
				w.single(f, v.List().Get(i))
			}
			w.close(']')
		case f.Message() != nil && !m.Has(f) && !always[f.FullName()]:
			w.value(nil)
		default:
			w.single(f, v)
		}
	}
	w.close('}')
}

// object writes a map, its keys sorted.
func (w *writer) object(f protoreflect.FieldDescriptor, m protoreflect.Map) {
	values := map[string]protoreflect.Value{}
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		values[k.String()] = v
		return true
	})
	w.open('{')
	for _, k := range slices.Sorted(maps.Keys(values)) {
		w.key(k)
		w.single(f.MapValue(), values[k])
	}
	w.close('}')
}

func (w *writer) single(f protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch {
	case f.Enum() != nil:
		w.value(word(f.Enum(), v.Enum()))
	case f.Message() == nil:
		w.value(v.Interface())
	case f.Message().FullName() == timestampName:
		t := &timestamppb.Timestamp{}
		copyTo(t.ProtoReflect(), v.Message())
		w.value(clock(t.AsTime()))
	case f.Message().FullName() == durationName:
		d := &durationpb.Duration{}
		copyTo(d.ProtoReflect(), v.Message())
		w.value(d.AsDuration().Seconds())
	default:
		w.message(v.Message())
	}
	w.more = true
}

func copyTo(to, from protoreflect.Message) {
	from.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		to.Set(f, v)
		return true
	})
}

// word is an enum's value without the enum's name in front, in lower case:
// PAYMENT_STATE_PAID is "paid". The empty word stands for no value.
func word(d protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	v := d.Values().ByNumber(n)
	if v == nil {
		return "unknown"
	}
	if n == 0 {
		return ""
	}
	none := string(d.Values().ByNumber(0).Name())
	return strings.ToLower(strings.TrimPrefix(string(v.Name()), strings.TrimSuffix(none, "UNSPECIFIED")))
}
