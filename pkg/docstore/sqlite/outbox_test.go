package sqlite

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
)

func fullOutbox() []docstore.Entry {
	var entries []docstore.Entry
	for i := range 4 {
		entries = append(entries, docstore.Entry{Seq: int64(i + 1), Event: event.Event{
			ID: "evt_0197f3b2c5d07a0f8a3b5c6d7e8f9a0b", Type: "payment.succeeded", Source: "order",
			Subject: "ord_0197f3b2c5d07a0f8a3b5c6d7e8f9a0b", Key: "ord_0197f3b2c5d07a0f8a3b5c6d7e8f9a0b", Merchant: "mer_1",
			Time:        time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC),
			TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", TraceState: "a=1",
			Data: bytes.Repeat([]byte{1, 7, 200}, 100), Resend: i,
		}})
	}
	return entries
}

func encoded(t testing.TB, entries []docstore.Entry) []byte {
	t.Helper()
	raw, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestOutboxKnowsEveryFieldOfAnEvent fails when an event gets a field that the
// comparison or the scanner does not know.
func TestOutboxKnowsEveryFieldOfAnEvent(t *testing.T) {
	for i := range reflect.TypeFor[event.Event]().NumField() {
		a, b := fullOutbox()[0], fullOutbox()[0]
		field := reflect.ValueOf(&b.Event).Elem().Field(i)
		switch v := field.Addr().Interface().(type) {
		case *string:
			*v += "x"
		case *int:
			*v++
		case *time.Time:
			*v = v.Add(1)
		case *[]byte:
			*v = []byte("x")
		default:
			t.Fatalf("a field of type %T", v)
		}
		if equalEntry(&a, &b) {
			t.Errorf("%s is not compared", reflect.TypeFor[event.Event]().Field(i).Name)
		}
	}
	want := fullOutbox()
	want[1].Event.TraceState, want[2].Event.Data = `a="\<é>"`, nil
	got, ok := scanOutbox(encoded(t, want))
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Fatalf("scanned: %v\n%s", ok, diff)
	}
}

func TestOutboxIsEncodedOnlyWhereItChanged(t *testing.T) {
	stored := fullOutbox()[:3]
	raw := encoded(t, stored)
	for name, next := range map[string][]docstore.Entry{
		"same": stored, "appended": fullOutbox(), "shorter": stored[:2], "empty": nil,
		"other first": append([]docstore.Entry{fullOutbox()[3]}, stored[1:]...),
	} {
		got, changed, err := encodeOutbox(raw, stored, next)
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		if len(next) > 0 {
			want = encoded(t, next)
		}
		if !bytes.Equal(got, want) || changed != (name != "same") {
			t.Errorf("%s: changed %v\n got %s\nwant %s", name, changed, got, want)
		}
	}
	raw, changed, err := encodeOutbox(nil, nil, stored)
	if err != nil || !changed || !bytes.Equal(raw, encoded(t, stored)) {
		t.Errorf("first: changed %v, %v: %s", changed, err, raw)
	}
}

// FuzzScanOutbox holds the scanner against encoding/json.
func FuzzScanOutbox(f *testing.F) {
	f.Add(encoded(f, fullOutbox()))
	f.Add([]byte(`[{"seq":1,"event":{"id":"a\"b","time":"2026-01-02T03:04:05Z","data":null}},{"seq":-2,"event":{"key":"\u00e9\\"}}]`))
	f.Add([]byte(`[{"seq":01,"event":{"id":"","data":"AA="}}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, ok := scanOutbox(raw)
		var want []docstore.Entry
		if err := json.Unmarshal(raw, &want); !ok || err != nil || !utf8.Valid(raw) {
			return
		}
		for i := range want {
			e := &want[i].Event
			if e.Time = e.Time.UTC(); len(e.Data) == 0 {
				e.Data = nil
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n%s", raw, diff)
		}
	})
}

func BenchmarkDecodeOutbox(b *testing.B) {
	raw := encoded(b, fullOutbox())
	for b.Loop() {
		if _, ok := scanOutbox(raw); !ok {
			b.Fatal("not scanned")
		}
	}
}
