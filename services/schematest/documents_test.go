package schematest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/mail"
	"quittance/pkg/telemetry"
	"quittance/services/standalone"
)

var update = flag.String("update", "", "write the files of testdata: those that are missing, or all anew")

// typed is an engine that notes the types of collections.
type typed struct {
	docstore.Engine
	service string
	all     *sync.Map // func() any by "service/collection"
}

var _ docstore.Typed = typed{}

func (e typed) Typed(collection string, empty func() any) {
	e.all.Store(e.service+"/"+collection, empty)
}

// collections are those that the services open, with what makes an empty body.
func collections(t *testing.T) map[string]func() any {
	t.Helper()
	var all sync.Map
	sys, err := standalone.Open(t.Context(), standalone.Config{
		DataDir: t.TempDir(), GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", SMTP: mail.Config{Host: "127.0.0.1"}, Telemetry: telemetry.Config{Output: io.Discard},
	}, standalone.Options{Engine: func(service string, e docstore.Engine) docstore.Engine { return typed{e, service, &all} }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sys.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	out := map[string]func() any{}
	all.Range(func(name, empty any) bool {
		out[name.(string)] = empty.(func() any)
		return true
	})
	return out
}

// fill gives every field a value that is not its zero.
func fill(v reflect.Value, depth int) {
	if depth > 10 {
		return
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("lic_0123456789abcdef0123456789abcdef") // an id where one is wanted
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(3)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(3)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth+1)
		fill(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), depth+1)
			}
		}
	default:
	}
}

// tomorrow adds an unknown field to each object that is a struct of type t.
func tomorrow(t reflect.Type, v any) any {
	if t.Kind() == reflect.Pointer {
		return tomorrow(t.Elem(), v)
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			switch t.Kind() {
			case reflect.Map:
				out[name] = tomorrow(t.Elem(), value)
			case reflect.Struct:
				out[name] = value
				for i := range t.NumField() {
					if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); tag == name {
						out[name] = tomorrow(t.Field(i).Type, value)
					}
				}
			default:
				out[name] = value
			}
		}
		if t.Kind() == reflect.Struct {
			out["field_of_tomorrow"] = map[string]any{"list": []any{1.0}}
		}
		return out
	case []any:
		if t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return v
		}
		out := make([]any, len(v))
		for i := range v {
			out[i] = tomorrow(t.Elem(), v[i])
		}
		return out
	}
	return v
}

// lost lists what of want is not in got, by path.
func lost(path string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		have, ok := got.(map[string]any)
		if !ok {
			return []string{path}
		}
		var out []string
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if _, there := have[name]; !there {
				out = append(out, path+"."+name)
				continue
			}
			out = append(out, lost(path+"."+name, want[name], have[name])...)
		}
		return out
	case []any:
		have, ok := got.([]any)
		if !ok || len(have) != len(want) {
			return []string{path}
		}
		var out []string
		for i := range want {
			out = append(out, lost(fmt.Sprintf("%s[%d]", path, i), want[i], have[i])...)
		}
		return out
	}
	if !reflect.DeepEqual(want, got) {
		return []string{fmt.Sprintf("%s: %v became %v", path, want, got)}
	}
	return nil
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decode(t *testing.T, raw []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// golden reads a file of testdata, or writes it.
func golden(t *testing.T, path string, today func() []byte) []byte {
	t.Helper()
	path = filepath.Join("testdata", path)
	_, err := os.Stat(path)
	if *update == "all" || *update == "missing" && errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, today(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: new? go test ./services/schematest -update=missing", err)
	}
	return raw
}

// strays reports files of testdata that nobody reads.
func strays(t *testing.T, pattern string, known []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(f, ".json"); !slices.ContainsFunc(known, func(k string) bool { return strings.HasSuffix(name, "/"+k) }) {
			t.Errorf("%s: there is nothing of that name any more: stored documents and events on their way are lost", f)
		}
	}
}

// TestDocuments: today's code reads yesterday's documents and loses nothing of
// them; and as yesterday's code it reads those of tomorrow, which have fields
// more. What of these fields is not: kept when the older code writes the
// document. See docs/stores.md.
func TestDocuments(t *testing.T) {
	all := collections(t)
	if len(all) < 15 {
		t.Fatalf("only %d collections are known", len(all))
	}
	names := slices.Sorted(maps.Keys(all))
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			raw := golden(t, "documents/"+name+".json", func() []byte {
				body := all[name]()
				fill(reflect.ValueOf(body).Elem(), 0)
				return encode(t, body)
			})
			want := decode(t, raw)
			read := func(raw []byte) any {
				t.Helper()
				body := all[name]()
				if err := json.Unmarshal(raw, body); err != nil {
					t.Fatalf("today's code does not read it: %v", err)
				}
				return decode(t, encode(t, body))
			}
			for _, path := range lost("", want, read(raw)) {
				t.Errorf("today's code loses or changes %s", path)
			}
			later := encode(t, tomorrow(reflect.TypeOf(all[name]()), want))
			if !bytes.Contains(later, []byte("field_of_tomorrow")) {
				t.Error("nothing of tomorrow was added")
			}
			for _, path := range lost("", want, read(later)) {
				t.Errorf("with fields of tomorrow, today's code loses or changes %s", path)
			}
		})
	}
	strays(t, "documents/*/*.json", names)
}
