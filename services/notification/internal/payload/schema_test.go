package payload_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/payload"
)

var update = flag.Bool("update", false, "write docs/schemas")

// schemas is where the published schemas and examples are.
const schemas = "../../../../docs/schemas/v1"

func types() []string { return slices.Concat(event.Public, event.PublicMerchant) }

// TestPublishedSchemas: docs/schemas has what the contracts make; -update writes it.
func TestPublishedSchemas(t *testing.T) {
	want := map[string][]byte{}
	for _, typ := range types() {
		schema, err := payload.Schema(typ)
		if err != nil {
			t.Fatal(err)
		}
		example, err := payload.ExampleBody(typ)
		if err != nil {
			t.Fatal(err)
		}
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, example, "", "  "); err != nil {
			t.Fatal(err)
		}
		pretty.WriteByte('\n')
		want[typ+".schema.json"], want[typ+".example.json"] = schema, pretty.Bytes()
		if payload.Descriptions[typ] == "" {
			t.Errorf("%s has no description", typ)
		}
	}
	if *update {
		if err := os.RemoveAll(schemas); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(schemas, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, content := range want {
			if err := os.WriteFile(filepath.Join(schemas, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	have, err := filepath.Glob(filepath.Join(schemas, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range have {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(content, want[filepath.Base(path)]) {
			t.Errorf("%s is not what the contracts make: go test ./services/notification/internal/payload -update", filepath.Base(path))
		}
	}
	if len(have) != len(want) {
		t.Errorf("%d files are published, want %d", len(have), len(want))
	}
}

func compiled(t *testing.T, typ string) *jsonschema.Schema {
	t.Helper()
	raw, err := payload.Schema(typ)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t *testing.T, s *jsonschema.Schema, body []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// TestBodiesFitTheirSchema: examples of each type, a full, an empty and a
// truncated order.
func TestBodiesFitTheirSchema(t *testing.T) {
	for _, typ := range types() {
		s := compiled(t, typ)
		body, err := payload.ExampleBody(typ)
		if err != nil {
			t.Fatal(err)
		}
		if len(body) >= payload.MaxSize {
			t.Errorf("%s: the example has %d bytes", typ, len(body))
		}
		if err := valid(t, s, body); err != nil {
			t.Errorf("%s: %v\n%s", typ, err, body)
		}
		e, err := payload.Example("evt_1", typ, "acme", at)
		if err != nil {
			t.Fatal(err)
		}
		e.Test = true
		if body, err = payload.Render(e); err != nil || valid(t, s, body) != nil || !strings.Contains(string(body), `"test":true`) {
			t.Errorf("%s: test %s, %v", typ, body, err)
		}
		for what, spoil := range map[string][2]string{
			"another type": {`"type":"` + typ, `"type":"x.` + typ},
			"no time":      {`"timestamp":"2026-`, `"timestamp":"20`},
			"no event id":  {`"event_id"`, `"event"`},
		} {
			spoiled := strings.Replace(string(body), spoil[0], spoil[1], 1)
			if valid(t, s, []byte(spoiled)) == nil {
				t.Errorf("%s: %s fits: %s", typ, what, spoiled)
			}
		}
	}
	large := full()
	for len(large.GetLines()) < 200 {
		large.Lines = append(large.Lines, large.GetLines()[0])
	}
	s := compiled(t, event.ProductDelivered)
	for name, o := range map[string]*orderv1.Order{"full": full(), "empty": {Id: "ord_1", MerchantId: "acme"}, "large": large} {
		if err := valid(t, s, render(t, o)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMerchantEventsOfTheBus(t *testing.T) {
	e, err := event.New(event.EndpointFailing, "notification", "ntc_1", "ntc_1", "acme", at, &eventv1.EndpointNotice{
		MerchantId: "acme", EndpointId: "main", Problem: "500 Internal Server Error",
	})
	if err != nil {
		t.Fatal(err)
	}
	e.ID = "evt_1"
	q, err := payload.FromMerchantEvent(e)
	if err != nil {
		t.Fatal(err)
	}
	body, err := payload.Render(q)
	const want = `{"type":"endpoint.failing","timestamp":"2026-03-01T12:30:00.123Z","data":{"event_id":"evt_1","endpoint":{"merchant_id":"acme",` +
		`"endpoint_id":"main","since":null,"problem":"500 Internal Server Error","event_id":"","event_type":"","order_id":""}}}`
	if err != nil || string(body) != want {
		t.Errorf("%v: %s\nwant %s", err, body, want)
	}
	if got := payload.Noticed(e); got != "main" {
		t.Errorf("it is about %q", got)
	}
	e.Type = event.PaymentVerified
	if _, err := payload.FromMerchantEvent(e); err == nil {
		t.Error("an internal event becomes a webhook")
	}
	e.Type, e.Data = event.EndpointFailing, []byte("\xff")
	if _, err := payload.FromMerchantEvent(e); err == nil {
		t.Error("what is no message becomes a webhook")
	}
}
