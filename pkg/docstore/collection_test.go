package docstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
)

type thing struct {
	N   int       `json:"n"`
	Due time.Time `json:"due,omitzero"`
}

// relay is a docstore.Relay that notes what it is told.
type relay struct {
	committed []*docstore.Record
	known     int64
	marked    int64
}

func (r *relay) Watch(docstore.Store) {}
func (r *relay) Committed(_ docstore.Store, rec *docstore.Record) {
	r.committed = append(r.committed, rec)
}
func (r *relay) Known(docstore.Store, string) int64         { return r.known }
func (r *relay) Marked(_ docstore.Store, _ string, n int64) { r.marked = n }

// worker is a docstore.Worker with a number of places.
type worker struct {
	free   int
	handed []*docstore.Record
	woken  []time.Time
}

func (w *worker) Reserve() bool {
	if w.free == 0 {
		return false
	}
	w.free--
	return true
}
func (w *worker) Release()                  { w.free++ }
func (w *worker) Hand(rec *docstore.Record) { w.handed = append(w.handed, rec) }
func (w *worker) Wake(at time.Time)         { w.woken = append(w.woken, at) }
func (w *worker) Lease() time.Duration      { return time.Minute }

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) (*docstore.Collection[thing], *relay, *worker) {
	t.Helper()
	r, w := &relay{}, &worker{free: 1}
	c, err := docstore.Open(t.Context(), memory.New(), docstore.Spec[thing]{
		Name: "things", Relay: r, Now: func() time.Time { return now },
		NextDue: func(x *thing) time.Time { return x.Due },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Attach(w)
	return c, r, w
}

func happened(id string) event.Event {
	return event.Event{ID: id, Type: "thing.happened", Subject: "x", Key: "x", Time: now}
}

func TestP6EventsComeWithTheWriteOrNotAtAll(t *testing.T) {
	c, r, _ := open(t)
	if _, err := c.Insert(t.Context(), "a", "acme", &thing{}, happened("e1")); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	_, err := c.Update(t.Context(), "a", func(x *thing, ch *docstore.Change) error {
		x.N++
		ch.Emit(happened("e2"))
		return refused
	})
	if !errors.Is(err, refused) {
		t.Fatal(err)
	}
	doc, err := c.Update(t.Context(), "a", func(x *thing, ch *docstore.Change) error {
		x.N += 10
		ch.Emit(happened("e3"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if doc.Body.N != 10 || len(doc.Events) != 2 || doc.Events[1].ID != "e3" || len(r.committed) != 2 {
		t.Fatalf("%+v, %d committed", doc, len(r.committed))
	}
	if got := r.committed[1].Pending(); len(got) != 2 {
		t.Fatalf("pending %v", got)
	}
}

func TestThePublishedMarkRidesOnTheNextWrite(t *testing.T) {
	c, r, _ := open(t)
	if _, err := c.Insert(t.Context(), "a", "acme", &thing{}, happened("e1")); err != nil {
		t.Fatal(err)
	}
	r.known = 1
	if _, err := c.Update(t.Context(), "a", func(x *thing, ch *docstore.Change) error { ch.Emit(happened("e2")); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := r.committed[1].Pending(); len(got) != 1 || got[0].ID != "e2" || r.marked != 1 {
		t.Fatalf("pending %v, marked %d", got, r.marked)
	}
	// A re-send keeps the id and is pending again.
	r.known = 2
	if _, err := c.Update(t.Context(), "a", func(x *thing, ch *docstore.Change) error { ch.Resend(ch.Latest("thing.happened")); return nil }); err != nil {
		t.Fatal(err)
	}
	if got := r.committed[2].Pending(); len(got) != 1 || got[0].ID != "e2" || got[0].Resend != 1 {
		t.Fatalf("pending %v", got)
	}
}

func TestAWriteThatIsDueNowIsLeasedInTheSameWrite(t *testing.T) {
	c, _, w := open(t)
	doc, err := c.Insert(t.Context(), "a", "acme", &thing{Due: now})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.handed) != 1 || w.handed[0].Lease != 1 || doc.Version != 1 || w.free != 0 {
		t.Fatalf("%+v free %d", w.handed, w.free)
	}
	// Another writer meanwhile: the lease stays, nothing is handed out twice.
	if _, err := c.Update(t.Context(), "a", func(x *thing, _ *docstore.Change) error { x.N++; return nil }); err != nil {
		t.Fatal(err)
	}
	// The holder's write is still good, and takes a new lease if there is more to do.
	w.free = 1
	if err := c.UpdateLeased(t.Context(), "a", 1, func(x *thing, _ *docstore.Change) error { x.N++; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(w.handed) != 2 || w.handed[1].Lease != 3 {
		t.Fatalf("%+v", w.handed)
	}
	// The old holder is fenced off.
	err = c.UpdateLeased(t.Context(), "a", 1, func(*thing, *docstore.Change) error { return nil })
	if !errors.Is(err, docstore.ErrLeaseLost) {
		t.Fatal(err)
	}
	// Without a free place the worker is woken instead.
	w.woken = nil
	if _, err := c.Insert(t.Context(), "b", "acme", &thing{Due: now}); err != nil {
		t.Fatal(err)
	}
	if len(w.handed) != 2 || len(w.woken) != 1 {
		t.Fatalf("%d handed, woken %v", len(w.handed), w.woken)
	}
}

func TestAPlaceIsGivenBackWhenNothingWasWritten(t *testing.T) {
	c, _, w := open(t)
	if _, err := c.Insert(t.Context(), "a", "acme", &thing{}); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Insert(t.Context(), "a", "acme", &thing{Due: now}) // exists
	doc, err := c.Update(t.Context(), "a", func(x *thing, _ *docstore.Change) error { x.Due = now; return docstore.ErrUnchanged })
	if err != nil || doc.Version != 1 || !doc.Body.Due.IsZero() {
		t.Fatal(doc, err)
	}
	if w.free != 1 || len(w.handed) != 0 {
		t.Fatalf("free %d, handed %d", w.free, len(w.handed))
	}
}

func TestP8ATenantSeesOnlyItsOwn(t *testing.T) {
	c, _, _ := open(t)
	if _, err := c.For("acme").Insert(t.Context(), "a", &thing{N: 1}); err != nil {
		t.Fatal(err)
	}
	other := c.For("other")
	if _, err := other.Get(t.Context(), "a"); !errors.Is(err, docstore.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := other.Update(t.Context(), "a", func(x *thing, _ *docstore.Change) error { x.N = 2; return nil }); !errors.Is(err, docstore.ErrNotFound) {
		t.Fatal(err)
	}
	docs, _, err := other.Find(t.Context(), docstore.Query{Limit: 10, AllTenants: true})
	if err != nil || len(docs) != 0 {
		t.Fatal(docs, err)
	}
	if doc, err := c.For("acme").Get(t.Context(), "a"); err != nil || doc.Body.N != 1 {
		t.Fatal(doc, err)
	}
}

func TestAwait(t *testing.T) {
	c, _, _ := open(t)
	if _, err := c.Insert(t.Context(), "a", "acme", &thing{}); err != nil {
		t.Fatal(err)
	}
	got := make(chan int, 1)
	go func() {
		doc, err := c.Await(t.Context(), "a", time.Hour, func(d *docstore.Doc[thing]) bool { return d.Body.N == 3 })
		if err == nil {
			got <- doc.Body.N
		}
		close(got)
	}()
	for range 3 {
		if _, err := c.Update(t.Context(), "a", func(x *thing, _ *docstore.Change) error { x.N++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := <-got; n != 3 {
		t.Fatal(n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	doc, err := c.Await(ctx, "a", time.Hour, func(*docstore.Doc[thing]) bool { return false })
	if !errors.Is(err, context.Canceled) || (doc != nil && doc.Body.N != 3) {
		t.Fatal(doc, err)
	}
}

func TestRewritingWhatEventsCarrySendsNothingAgain(t *testing.T) {
	c, r, _ := open(t)
	told := happened("e1")
	told.Data = []byte("secret")
	if _, err := c.Insert(t.Context(), "a", "acme", &thing{}, told, happened("e2")); err != nil {
		t.Fatal(err)
	}
	r.known = 2
	var changes []bool
	for range 2 {
		doc, err := c.Update(t.Context(), "a", func(_ *thing, ch *docstore.Change) error {
			changed, err := ch.Rewrite(func(event.Event) ([]byte, error) { return nil, nil })
			changes = append(changes, changed)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(doc.Events) != 2 || len(doc.Events[0].Data) > 0 || doc.Events[0].ID != "e1" || !doc.Events[0].Time.Equal(now) {
			t.Fatalf("events %+v", doc.Events)
		}
	}
	if len(r.committed) != 1 || !changes[0] || changes[1] {
		t.Errorf("%d writes with something to send, changes %v", len(r.committed), changes)
	}
	refused := errors.New("no")
	if _, err := c.Update(t.Context(), "a", func(_ *thing, ch *docstore.Change) error {
		_, err := ch.Rewrite(func(event.Event) ([]byte, error) { return []byte("x"), refused })
		return err
	}); !errors.Is(err, refused) {
		t.Errorf("err %v", err)
	}
	if doc, err := c.Get(t.Context(), "a"); err != nil || len(doc.Events[0].Data) > 0 {
		t.Errorf("after a refused change: %v, %v", doc, err)
	}
}

// TestAllGoesThroughEveryPage, whatever is changed on the way, and ends with the
// first error or when it is left.
func TestAllGoesThroughEveryPage(t *testing.T) {
	var broken atomic.Bool
	c, err := docstore.Open(t.Context(), memory.New(memory.WithFaults(func(op, _, _ string) memory.Fault {
		if broken.Load() {
			return memory.Fault{Before: errors.New("store is down")}
		}
		return memory.Fault{}
	})), docstore.Spec[thing]{Name: "things"})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		if _, err := c.Insert(t.Context(), fmt.Sprint("t", n), "acme", &thing{}); err != nil {
			t.Fatal(err)
		}
	}
	var seen []string
	for d, err := range c.For("acme").All(t.Context(), docstore.Query{Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, d.ID)
		if _, err := c.Update(t.Context(), d.ID, func(*thing, *docstore.Change) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"t0", "t1", "t2", "t3", "t4"}; !slices.Equal(seen, want) {
		t.Errorf("%v", seen)
	}
	for range c.For("other").All(t.Context(), docstore.Query{Limit: 2, AllTenants: true}) {
		t.Error("another tenant's")
	}
	turns, last := 0, error(nil)
	for _, err := range c.All(t.Context(), docstore.Query{AllTenants: true, Limit: 2}) {
		if turns, last = turns+1, err; turns == 2 {
			broken.Store(true)
		}
	}
	if turns != 3 || last == nil {
		t.Errorf("%d turns, the last with %v", turns, last)
	}
	for range c.All(t.Context(), docstore.Query{AllTenants: true, Limit: 2}) {
		break
	}
}
