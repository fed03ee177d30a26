package payload

import (
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"quittance/pkg/event"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// SchemaVersion is the version of all schemas. Within a version fields are only
// added, and words to those that a field may have.
const SchemaVersion = 1

// Schema returns the JSON Schema (2020-12) of a type's bodies, made from the
// contracts by the rules by which bodies are written (see writer).
func Schema(typ string) ([]byte, error) {
	s := &schema{defs: map[string]any{}}
	data := object{}
	data.add("event_id", obj{"type": "string", "description": "Also the webhook-id header: the same at every try."})
	if about, known := merchantTypes[typ]; known {
		data.add(about.key, s.message(about.message().ProtoReflect().Descriptor()))
	} else if slices.Contains(event.Public, typ) {
		data.add("sequence", obj{"type": "integer", "minimum": 1, "description": "1, 2, 3 … within the order."})
		data.add("line_number", obj{"type": []string{"integer", "null"}, "description": "The line that product.* events are about."})
		data.add("truncated", obj{"type": "boolean", "description": "The order was too large for a webhook; GetOrder has all of it."})
		data.add("order", s.message((&orderv1.Order{}).ProtoReflect().Descriptor()))
	} else {
		return nil, fmt.Errorf("type %q is not one that merchants get", typ)
	}
	inner := data.schema()
	inner["properties"].(obj)["test"] = obj{"type": "boolean", "description": "There, and true, if SendTest made it up."}
	body := object{}
	body.add("type", obj{"const": typ})
	body.add("timestamp", obj{"type": "string", "format": "date-time", "description": "When it happened."})
	body.add("data", inner)
	out := body.schema()
	out["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	out["$id"] = fmt.Sprintf("urn:quittance:webhook:%s:v%d", typ, SchemaVersion)
	out["title"] = typ
	out["description"] = Descriptions[typ]
	out["$defs"] = s.defs
	raw, err := json.MarshalIndent(out, "", "  ")
	return append(raw, '\n'), err
}

type obj = map[string]any

// object is a JSON object all of whose properties are there.
type object struct {
	names      []string
	properties obj
}

func (o *object) add(name string, s any) {
	if o.properties == nil {
		o.properties = obj{}
	}
	o.names = append(o.names, name)
	o.properties[name] = s
}

func (o *object) schema() obj {
	if o.properties == nil {
		return obj{"type": "object"}
	}
	return obj{"type": "object", "properties": o.properties, "required": o.names}
}

// schema collects the definitions of messages.
type schema struct{ defs map[string]any }

// message returns a reference to a message's definition.
func (s *schema) message(d protoreflect.MessageDescriptor) any {
	name := string(d.Name())
	if _, known := s.defs[name]; !known {
		s.defs[name] = nil // it may be in itself
		o := object{}
		fields := d.Fields()
		for i := range fields.Len() {
			if f := fields.Get(i); !hidden[f.FullName()] {
				o.add(string(f.Name()), s.field(f))
			}
		}
		s.defs[name] = o.schema()
	}
	return obj{"$ref": "#/$defs/" + name}
}

func (s *schema) field(f protoreflect.FieldDescriptor) any {
	switch {
	case f.IsMap():
		return obj{"type": "object", "additionalProperties": s.single(f.MapValue())}
	case f.IsList():
		return obj{"type": "array", "items": s.single(f)}
	case f.Message() != nil && !always[f.FullName()]:
		return obj{"anyOf": []any{s.single(f), obj{"type": "null"}}}
	}
	return s.single(f)
}

func (s *schema) single(f protoreflect.FieldDescriptor) any {
	switch kind := f.Kind(); {
	case kind == protoreflect.BoolKind:
		return obj{"type": "boolean"}
	case kind == protoreflect.StringKind || kind == protoreflect.BytesKind:
		return obj{"type": "string"}
	case kind == protoreflect.FloatKind || kind == protoreflect.DoubleKind:
		return obj{"type": "number"}
	case f.Enum() != nil:
		// No list of words to check by: a later release may add one.
		words := []string{}
		for i := range f.Enum().Values().Len() {
			words = append(words, word(f.Enum(), f.Enum().Values().Get(i).Number()))
		}
		return obj{"type": "string", "examples": words}
	case f.Message() == nil:
		return obj{"type": "integer"}
	case f.Message().FullName() == timestampName:
		return obj{"type": "string", "format": "date-time"}
	case f.Message().FullName() == durationName:
		return obj{"type": "number", "description": "Seconds."}
	}
	return s.message(f.Message())
}
