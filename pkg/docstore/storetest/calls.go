package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/docstore"
)

var callCases = []testCase{
	{"an open engine answers a ping", func(t *testing.T, e docstore.Engine) {
		noError(t, e.Ping(t.Context()))
		documents(t, e)
		noError(t, e.Ping(t.Context()))
	}},
	{"opening a collection twice gives equal stores", func(t *testing.T, e docstore.Engine) {
		a := collection(t, e, "documents", "color", "size")
		b := collection(t, e, "documents", "size", "color")
		if a != b {
			t.Fatal("stores are not equal")
		}
		insert(t, a, rich("doc_1"))
		same(t, "documents", get(t, b, "doc_1"), rich("doc_1"))
	}},
	{"collections do not see each other", func(t *testing.T, e docstore.Engine) {
		a, b := collection(t, e, "order"), collection(t, e, "order_due", "order")
		insert(t, a, &docstore.Record{ID: "doc_1", Due: start})
		_, err := b.Get(t.Context(), "doc_1")
		isError(t, err, docstore.ErrNotFound)
		insert(t, b, &docstore.Record{ID: "doc_1", Index: map[string]string{"order": "1"}})
		next, err := b.NextDue(t.Context())
		noError(t, err)
		same(t, "due times", next, time.Time{})
	}},
	{"an index declared later finds what is written from then on", func(t *testing.T, e docstore.Engine) {
		old := collection(t, e, "documents")
		insert(t, old, &docstore.Record{ID: "doc_1"}, &docstore.Record{ID: "doc_2"})
		s := collection(t, e, "documents", "color")
		blue := map[string]string{"color": "blue"}
		insert(t, s, &docstore.Record{ID: "doc_3", Index: blue})
		update(t, s, "doc_2", func(rec *docstore.Record) { rec.Index = blue })
		page, err := s.Find(t.Context(), docstore.Query{AllTenants: true, Index: "color", Equal: "blue", Limit: 9})
		noError(t, err)
		same(t, "documents", ids(page.Records), []string{"doc_2", "doc_3"})
		same(t, "documents", get(t, old, "doc_1"), get(t, s, "doc_1"))
	}},
	{"names and records that no engine could keep are refused", func(t *testing.T, e docstore.Engine) {
		for _, spec := range []docstore.StoreSpec{
			{}, {Name: "Orders"}, {Name: `o"x`}, {Name: "orders", Indexes: []string{""}}, {Name: "orders", Indexes: []string{"e-mail"}},
		} {
			if _, err := e.Open(t.Context(), spec); err == nil {
				t.Errorf("collection %+v is accepted", spec)
			}
		}
		s := documents(t, e)
		insert(t, s, rich("doc_1"))
		for _, rec := range []*docstore.Record{
			{}, {ID: "a\x00b"}, {ID: "a\xff"}, {ID: "a", Tenant: "\xff"},
			{ID: "a", Index: map[string]string{"shape": "round"}}, {ID: "a", Index: map[string]string{"color": "\xff"}},
		} {
			if err := s.Insert(t.Context(), rec); err == nil {
				t.Errorf("record %+v is accepted", rec)
			}
			_, err := s.Update(t.Context(), "doc_1", func(r *docstore.Record) error {
				r.Body, r.Index = []byte("new"), rec.Index
				return nil
			})
			if rec.Index != nil && err == nil {
				t.Errorf("index %v is accepted", rec.Index)
			}
		}
		_, err := s.Get(t.Context(), "a")
		isError(t, err, docstore.ErrNotFound)
	}},
	{"a call with an ended context does nothing", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, rich("doc_1"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for name, call := range map[string]func() error{
			"insert": func() error { return s.Insert(ctx, rich("doc_2")) },
			"get":    func() error { _, err := s.Get(ctx, "doc_1"); return err },
			"update": func() error {
				_, err := s.Update(ctx, "doc_1", func(*docstore.Record) error { return nil })
				return err
			},
			"delete":      func() error { _, err := s.Delete(ctx, "doc_1", 1); return err },
			"find":        func() error { _, err := s.Find(ctx, docstore.Query{Limit: 1}); return err },
			"claim":       func() error { _, err := s.Claim(ctx, start.Add(time.Hour), time.Minute, 1); return err },
			"unpublished": func() error { _, err := s.Unpublished(ctx, start, 1); return err },
			"mark":        func() error { return s.MarkPublished(ctx, []docstore.Mark{{ID: "doc_1", Emitted: 3}}) },
			"next due":    func() error { _, err := s.NextDue(ctx); return err },
			"ping":        func() error { return e.Ping(ctx) },
		} {
			if err := call(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: error is %v", name, err)
			}
		}
		same(t, "documents", get(t, s, "doc_1"), rich("doc_1"))
		_, err := s.Get(t.Context(), "doc_2")
		isError(t, err, docstore.ErrNotFound)
	}},
	{"a context that ends ends the call, and change does not run after it", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, &docstore.Record{ID: "hot"})
		var certain, possible atomic.Int64
		crowd(16, func(int) {
			for i := range scaled(100) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
				runs := 0 // not synchronized: the race detector sees a late run
				_, err := s.Update(ctx, "hot", func(rec *docstore.Record) error {
					runs++
					rec.Emitted++
					return nil
				})
				cancel()
				switch {
				case err == nil:
					certain.Add(1)
				case errors.Is(err, context.DeadlineExceeded):
					possible.Add(int64(min(runs, 1)))
				default:
					t.Error(err)
				}
			}
		})
		rec := get(t, s, "hot")
		if n := rec.Version - 1; n != rec.Emitted || n < certain.Load() || n > certain.Load()+possible.Load() {
			t.Fatalf("%d updates were stored, %d were acknowledged and %d more tried", n, certain.Load(), possible.Load())
		}
	}},
	{"a closed engine refuses calls, after the ones under way", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		var refused atomic.Int64
		crowd(9, func(i int) {
			for n := range 200 {
				if i == 0 && n == 20 {
					if err := e.Close(); err != nil {
						t.Error(err)
					}
				}
				if err := s.Insert(t.Context(), &docstore.Record{ID: fmt.Sprintf("doc_%d_%d", i, n)}); err != nil {
					refused.Add(1)
					return
				}
			}
		})
		if refused.Load() == 0 {
			t.Fatal("nothing was refused")
		}
		if _, err := s.Get(t.Context(), "doc_0_0"); err == nil || errors.Is(err, docstore.ErrNotFound) {
			t.Fatalf("get on a closed engine: %v", err)
		}
		if e.Ping(t.Context()) == nil {
			t.Fatal("a closed engine answers a ping")
		}
		noError(t, e.Close())
	}},
}
