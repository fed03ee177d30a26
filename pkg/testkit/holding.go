package testkit

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"testing"

	"quittance/pkg/docstore"
)

// Traces are the ways in which words can stand in stored bytes: in the open, and
// in base64 at any offset, as JSON has bytes.
func Traces(words ...string) [][]byte {
	var out [][]byte
	for _, word := range words {
		out = append(out, []byte(word))
		for offset := range 3 {
			encoded := base64.StdEncoding.EncodeToString(append(make([]byte, offset), word...))
			// Only the digits that depend on nothing but the word.
			out = append(out, []byte(encoded[(offset*8+5)/6:(offset+len(word))*8/6]))
		}
	}
	return out
}

// Holding names the documents of collections that have one of the words in their
// body, their index or the events that they have announced.
func Holding(t testing.TB, engine docstore.Engine, collections []string, words ...string) []string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var found []string
	for _, name := range collections {
		store, err := engine.Open(ctx, docstore.StoreSpec{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		for after, more := "", true; more; more = after != "" {
			page, err := store.Find(ctx, docstore.Query{AllTenants: true, After: after, Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			for _, rec := range page.Records {
				raw := append(rec.Body, fmt.Sprint(rec.Index)...)
				for _, e := range rec.Outbox {
					raw = append(append(raw, '\n'), e.Event.Data...)
				}
				for _, trace := range Traces(words...) {
					if bytes.Contains(raw, trace) {
						found = append(found, name+"/"+rec.ID)
						break
					}
				}
			}
			after = page.Next
		}
	}
	return found
}
