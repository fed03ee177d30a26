package mongo

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// keep tells how a body is kept, and what is read of it again.
func keep(t testing.TB, body []byte) (kind bson.Type, again []byte) {
	t.Helper()
	raw, err := bson.Marshal(bson.D{{Key: "body", Value: encodeBody(body)}})
	if err != nil {
		t.Fatal(err)
	}
	v := bson.Raw(raw).Lookup("body")
	again, err = decodeBody(v)
	if err != nil {
		t.Fatal(err)
	}
	return v.Type, again
}

func TestBodiesComeBackToTheByte(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 70) + `1` + strings.Repeat(`}`, 70)
	for body, clean := range map[string]bool{
		`{}`: true, `{"a":1,"b":"x","c":[1,"y",{"d":null}],"e":true,"f":1.5,"g":-9223372036854775808}`: true,
		`{"html":"\u003cb\u003e","line":"a\u2028b","quote":"\"\\","text":"röd","e":1e-7}`: true,
		`{"b":1,"a":{"z":[],"y":{}}}`: true,
		``:                            false, `1`: false, `[1]`: false, `null`: false, `{`: false, `{"a":1`: false, `{"a":1}x`: false, `{"a":1} `: false,
		`{ "a":1}`: false, `{"a":1.0}`: false, `{"a":-0}`: false, `{"a":1e3}`: false, `{"a":18446744073709551615}`: false, `{"a":1e999}`: false,
		`{"a":"<"}`: false, `{"a":"\u00e9"}`: false, `{"a":"\u0000"}`: false, "{\"a\":\"\xff\"}": false,
		`{"a":1,"a":2}`: false, `{"":1}`: false, `{"$a":1}`: false, `{"a.b":1}`: false, `{"a":[[1]]}`: false, deep: false,
	} {
		kind, again := keep(t, []byte(body))
		if string(again) != body {
			t.Errorf("%s comes back as %s", body, again)
		}
		if (kind == bson.TypeEmbeddedDocument) != clean {
			t.Errorf("%s is stored as %s", body, kind)
		}
	}
}

func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":[{"c":"röd"},1.5,null,true]}`))
	f.Add([]byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, again := keep(t, body); !bytes.Equal(again, body) {
			t.Fatalf("%q comes back as %q", body, again)
		}
		// What Go writes is clean if the wire protocol has it.
		var doc map[string]string
		if json.Unmarshal(body, &doc) != nil || doc == nil {
			return
		}
		written, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range doc {
			if key == "" || strings.ContainsAny(key, "$.\x00") || strings.Contains(value, "\x00") {
				return
			}
		}
		if kind, _ := keep(t, written); kind != bson.TypeEmbeddedDocument {
			t.Fatalf("%q is stored as %s", written, kind)
		}
	})
}
