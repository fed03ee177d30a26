// Package storetest is the conformance suite of document stores: what every
// engine must do, by itself ([Run]) and with a database that outlives its
// processes ([RunPersistent]). The names of the cases state the promises.
//
// Everything is real: the engine under test, goroutines and processes; only
// the time is made up. With -short the crowds are smaller.
package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
)

type testCase struct {
	promise string
	check   func(t *testing.T, e docstore.Engine)
}

// Skip says of promises that a database cannot keep what it lacks.
type Skip map[string]string

// or skips the test of a promise that is not kept.
func (s Skip) or(t *testing.T, promise string) {
	t.Helper()
	if lacking, ok := s[promise]; ok {
		t.Skip(lacking)
	}
}

// check fails the test if something is skipped that is not promised.
func (s Skip) check(t *testing.T, promises []string) {
	t.Helper()
	for promise := range s {
		if !slices.Contains(promises, promise) {
			t.Errorf("%q is skipped, but nobody promises it", promise)
		}
	}
}

// Run checks the promises of an engine. open gives an empty one each time; the
// suite closes it.
func Run(t *testing.T, open func(t *testing.T) docstore.Engine) { RunExcept(t, nil, open) }

// RunExcept is Run for an engine on a database that cannot keep some promises.
func RunExcept(t *testing.T, skip Skip, open func(t *testing.T) docstore.Engine) {
	var promises []string
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"documents", documentCases},
		{"calls", callCases},
		{"find", findCases},
		{"races", raceCases},
		{"claims", claimCases},
		{"events", eventCases},
	} {
		for _, c := range group.cases {
			promises = append(promises, c.promise)
		}
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.promise, func(t *testing.T) {
					skip.or(t, c.promise)
					e := open(t)
					t.Cleanup(func() { noError(t, e.Close()) })
					c.check(t, e)
				})
			}
		})
	}
	skip.check(t, promises)
}

// start is the time at which the made-up time begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// scaled is n, or a tenth with -short.
func scaled(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// documents opens the collection most cases use.
func documents(t *testing.T, e docstore.Engine) docstore.Store {
	t.Helper()
	return collection(t, e, "documents", "color", "size")
}

func collection(t *testing.T, e docstore.Engine, name string, indexes ...string) docstore.Store {
	t.Helper()
	s, err := e.Open(t.Context(), docstore.StoreSpec{Name: name, Indexes: indexes})
	noError(t, err)
	return s
}

// rich is a document with a value in every field.
func rich(id string) *docstore.Record {
	return &docstore.Record{
		ID: id, Tenant: "mer_1", Version: 1, Body: []byte(`{"n":1,"zero":"\u0000"}` + "\x00\xff"),
		Index: map[string]string{"color": "röd <&>", "size": "10"},
		Due:   start, Lease: 1, LeaseUntil: start.Add(time.Minute),
		Outbox:  []docstore.Entry{{Seq: 1, Event: announcement(id, 1)}, {Seq: 3, Event: announcement(id, 2)}},
		Emitted: 3, Published: 2, RelayAt: start.Add(5 * time.Second),
	}
}

// announcement is an event with a value in every field.
func announcement(subject string, n int) event.Event {
	return event.Event{
		ID: fmt.Sprintf("evt_%s_%d", subject, n), Type: "thing.happened", Source: "storetest",
		Subject: subject, Key: "key_" + subject, Merchant: "mer_1", Time: start.Add(time.Duration(n)),
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", TraceState: `a="<b>"`,
		Data: []byte{0, 1, byte(n), 0xff}, Resend: n,
	}
}

// emit announces an event in the way a collection does.
func emit(rec *docstore.Record) {
	rec.Emitted++
	rec.Outbox = append(rec.Outbox, docstore.Entry{Seq: rec.Emitted, Event: announcement(rec.ID, int(rec.Emitted))})
	rec.RelayAt = start
}

func insert(t *testing.T, s docstore.Store, recs ...*docstore.Record) {
	t.Helper()
	for _, rec := range recs {
		if err := s.Insert(t.Context(), rec); err != nil {
			t.Fatalf("insert %s: %v", rec.ID, err)
		}
	}
}

func get(t *testing.T, s docstore.Store, id string) *docstore.Record {
	t.Helper()
	rec, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("get %s: %v", id, err)
	}
	return rec
}

func update(t *testing.T, s docstore.Store, id string, change func(*docstore.Record)) *docstore.Record {
	t.Helper()
	rec, err := s.Update(t.Context(), id, func(rec *docstore.Record) error {
		change(rec)
		return nil
	})
	if err != nil {
		t.Fatalf("update %s: %v", id, err)
	}
	return rec
}

func ids(recs []*docstore.Record) []string {
	out := []string{}
	for _, rec := range recs {
		out = append(out, rec.ID)
	}
	return out
}

// crowd runs f n times at once and waits for all.
func crowd(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			f(i)
		})
	}
	done.Wait()
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func isError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("error is %v, want %v", got, want)
	}
}

// same compares what was got with what was wanted.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s differ (-want +got):\n%s", what, diff)
	}
}
