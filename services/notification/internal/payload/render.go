package payload

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/queue"
)

// MaxSize bounds a body; Standard Webhooks asks for less than 20 kB.
const MaxSize = 20_000

// maxText is what a free text is cut to when the body is too large.
const maxText = 300

// Render returns the body of a pending event's webhook: the same bytes for the
// same event, fewer than MaxSize.
func Render(e queue.Event) ([]byte, error) {
	if about, known := merchantTypes[e.Type]; known {
		m := about.message()
		if err := proto.Unmarshal(e.Data, m); err != nil {
			return nil, fmt.Errorf("read event %s: %w", e.ID, err)
		}
		return bounded(e, body(e, func(w *writer) { w.key(about.key).message(m.ProtoReflect()) }))
	}
	p := &orderv1.PublicEvent{}
	if err := proto.Unmarshal(e.Data, p); err != nil {
		return nil, fmt.Errorf("read event %s: %w", e.ID, err)
	}
	truncated := false
	for _, shrink := range []func(*orderv1.Order){
		func(*orderv1.Order) {},
		withoutExtras,
		withoutLines,
	} {
		if p.GetOrder() != nil {
			shrink(p.GetOrder())
		}
		out := body(e, func(w *writer) {
			w.key("sequence").value(e.Sequence)
			w.key("line_number")
			if n := p.GetLineNumber(); n != 0 {
				w.value(n)
			} else {
				w.value(nil)
			}
			w.key("truncated").value(truncated)
			w.key("order").message(p.GetOrder().ProtoReflect())
		})
		if len(out) < MaxSize {
			return out, nil
		}
		truncated = true
	}
	return nil, fmt.Errorf("event %s: the order is too large for a webhook", e.ID)
}

func bounded(e queue.Event, out []byte) ([]byte, error) {
	if len(out) >= MaxSize {
		return nil, fmt.Errorf("event %s is too large for a webhook", e.ID)
	}
	return out, nil
}

// body writes what all bodies have; data writes the rest of data.
func body(e queue.Event, data func(*writer)) []byte {
	w := &writer{}
	w.open('{').key("type").value(e.Type)
	w.key("timestamp").value(clock(e.Time))
	w.key("data").open('{').key("event_id").value(e.ID)
	if e.Test {
		w.key("test").value(true)
	}
	data(w)
	w.close('}').close('}')
	return w.buf.Bytes()
}

// withoutExtras drops what the merchant gave itself and cuts free texts.
func withoutExtras(o *orderv1.Order) {
	o.Metadata = nil
	for _, l := range o.GetLines() {
		l.Name = ""
	}
	cut(o.ProtoReflect())
}

func withoutLines(o *orderv1.Order) { o.Lines = nil }

// cut shortens all texts of a message and of those in it that are longer than
// any key or address.
func cut(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				cut(v.List().Get(i).Message())
			}
		case f.IsList():
		case f.Message() != nil:
			cut(v.Message())
		case f.Kind() == protoreflect.StringKind && !whole[f.FullName()]:
			if r := []rune(v.String()); len(r) > maxText {
				m.Set(f, protoreflect.ValueOfString(string(r[:maxText])))
			}
		}
		return true
	})
}

// whole are texts that are of no use when cut.
var whole = map[protoreflect.FullName]bool{"quittance.order.v1.Order.return_url": true}

// clock writes a time as RFC 3339 in UTC with milliseconds.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
