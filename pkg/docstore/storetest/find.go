package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"quittance/pkg/docstore"
)

var findCases = []testCase{
	{"a query finds exactly the documents it describes, in order, on pages of any size", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		all := population(t, s, 120)
		for _, q := range queries() {
			want := ids(expected(all, q))
			for _, limit := range []int{1, 7, 60, 1000} {
				if limit == 1 && len(want) > 20 {
					continue
				}
				q.Limit = limit
				got := ids(pages(t, s, q))
				if !slices.Equal(got, want) {
					t.Fatalf("query %+v\n found %v\nwanted %v", q, got, want)
				}
			}
		}
	}},
	{"the last page has no cursor, also if it is full", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		page, err := s.Find(t.Context(), docstore.Query{Limit: 2})
		noError(t, err)
		same(t, "pages", len(page.Records) == 0 && page.Next == "", true)
		for i := range 4 {
			insert(t, s, &docstore.Record{ID: fmt.Sprintf("doc_%d", i)})
		}
		page, err = s.Find(t.Context(), docstore.Query{Limit: 2})
		noError(t, err)
		same(t, "documents", ids(page.Records), []string{"doc_0", "doc_1"})
		page, err = s.Find(t.Context(), docstore.Query{Limit: 2, After: page.Next})
		noError(t, err)
		same(t, "documents", ids(page.Records), []string{"doc_2", "doc_3"})
		same(t, "cursors", page.Next, "")
	}},
	{"found documents are whole", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, rich("doc_1"))
		page, err := s.Find(t.Context(), docstore.Query{Tenant: "mer_1", Index: "color", Equal: "röd <&>", Limit: 9})
		noError(t, err)
		same(t, "documents", page.Records, []*docstore.Record{rich("doc_1")})
	}},
	{"a changed index value moves the document", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, rich("doc_1"))
		count := func(color string) int {
			return len(pages(t, s, docstore.Query{AllTenants: true, Index: "color", Equal: color, Limit: 9}))
		}
		update(t, s, "doc_1", func(rec *docstore.Record) { rec.Index["color"] = "blue" })
		same(t, "counts", []int{count("röd <&>"), count("blue")}, []int{0, 1})
		update(t, s, "doc_1", func(rec *docstore.Record) { delete(rec.Index, "color") })
		same(t, "counts", count("blue"), 0)
		same(t, "counts", len(pages(t, s, docstore.Query{AllTenants: true, Index: "color", Limit: 9})), 0)
	}},
	{"bad queries are refused with an error that names the fault", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		population(t, s, 20)
		page, err := s.Find(t.Context(), docstore.Query{AllTenants: true, Index: "color", Limit: 1})
		noError(t, err)
		for want, queries := range map[string][]docstore.Query{
			"limit": {{}, {Limit: -1}, {Limit: 1001}},
			"index": {{Index: "shape", Limit: 1}, {Index: "id", Limit: 1}, {Index: `color"`, Limit: 1}},
			"Equal": {{Index: "color", Equal: "red", From: "a", Limit: 1}, {Index: "color", Equal: "red", To: "z", Limit: 1}},
			"After": {
				{Limit: 1, After: "doc_1"}, {Limit: 1, After: "e30"}, {Limit: 1, After: page.Next},
				{Index: "size", Limit: 1, After: page.Next}, {Index: "color", Descending: true, Limit: 1, After: page.Next},
				{Index: "color", Equal: "~", AllTenants: true, Limit: 1, After: page.Next},
			},
		} {
			for _, q := range queries {
				_, err := s.Find(t.Context(), q)
				if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, docstore.ErrCursor) != (want == "After") {
					t.Errorf("query %+v: error is %v, want one about %s", q, err, want)
				}
			}
		}
	}},
	{"documents there from the first page to the last are seen exactly once", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		n := scaled(400)
		for i := range n {
			insert(t, s, &docstore.Record{ID: fmt.Sprintf("old_%04d", i*7919%n), Tenant: "mer_1", Index: map[string]string{"size": fmt.Sprint(i % 10)}})
		}
		var stop atomic.Bool
		crowd(2, func(who int) {
			if who == 0 { // writes between the pages, on both sides of them
				for i := 0; i < 2*n && !stop.Load(); i++ {
					id := fmt.Sprintf("%s_%04d_%d", []string{"new", "old", "zzz"}[i%3], rand.N(n), i)
					err := s.Insert(t.Context(), &docstore.Record{ID: id, Tenant: "mer_1", Index: map[string]string{"size": fmt.Sprint(rand.N(10))}})
					_, err2 := s.Update(t.Context(), fmt.Sprintf("old_%04d", rand.N(n)), func(*docstore.Record) error { return nil })
					if err := errors.Join(err, err2); err != nil {
						t.Error(err)
						return
					}
				}
				return
			}
			defer stop.Store(true)
			for _, q := range []docstore.Query{
				{AllTenants: true}, {AllTenants: true, Descending: true}, {Tenant: "mer_1", Descending: true},
				{AllTenants: true, Index: "size"}, {Tenant: "mer_1", Index: "size", Descending: true},
			} {
				q.Limit = 7
				seen := map[string]int{}
				for _, rec := range pages(t, s, q) {
					seen[rec.ID]++
				}
				for i := range n {
					if id := fmt.Sprintf("old_%04d", i); seen[id] != 1 {
						t.Errorf("query %+v: %s was seen %d times", q, id, seen[id])
					}
				}
			}
		})
	}},
}

// population inserts n documents of three tenants with values that collide,
// are prefixes of each other, or are missing.
func population(t *testing.T, s docstore.Store, n int) []*docstore.Record {
	t.Helper()
	colors := []string{"", "a", "ab", "abc", "b", "B", "ä", "~"}
	var all []*docstore.Record
	for i := range n {
		rec := &docstore.Record{
			ID:     fmt.Sprintf("%s%d", []string{"a", "é"}[i%2], i*37%n),
			Tenant: []string{"", "mer_1", "mer_2"}[i%3],
			Index:  map[string]string{"color": colors[i%len(colors)], "size": fmt.Sprint(i % 5)},
		}
		insert(t, s, rec)
		all = append(all, rec)
	}
	return all
}

// queries are all combinations of what a query can say.
func queries() []docstore.Query {
	var out []docstore.Query
	for _, index := range []string{"", "color", "size"} {
		for _, bounds := range []docstore.Query{
			{}, {Equal: "ab"}, {Equal: "3"}, {Equal: "a74"}, {From: "ab"}, {To: "b"}, {From: "a", To: "ab"}, {From: "1", To: "3"}, {From: "b", To: "a"},
		} {
			for _, tenant := range []docstore.Query{{AllTenants: true}, {}, {Tenant: "mer_1"}, {Tenant: "mer_9"}} {
				for _, descending := range []bool{false, true} {
					q := bounds
					q.Index, q.Descending = index, descending
					q.Tenant, q.AllTenants = tenant.Tenant, tenant.AllTenants
					out = append(out, q)
				}
			}
		}
	}
	return out
}

// expected is the plain meaning of a query.
func expected(all []*docstore.Record, q docstore.Query) []*docstore.Record {
	value := func(rec *docstore.Record) string {
		if q.Index == "" {
			return rec.ID
		}
		return rec.Index[q.Index]
	}
	var found []*docstore.Record
	for _, rec := range all {
		v := value(rec)
		if (q.AllTenants || rec.Tenant == q.Tenant) && v != "" && (q.Equal == "" || v == q.Equal) &&
			v >= q.From && (q.To == "" || v < q.To) {
			found = append(found, rec)
		}
	}
	slices.SortFunc(found, func(a, b *docstore.Record) int {
		return cmp.Or(cmp.Compare(value(a), value(b)), cmp.Compare(a.ID, b.ID))
	})
	if q.Descending {
		slices.Reverse(found)
	}
	return found
}

// pages reads all pages of a query.
func pages(t *testing.T, s docstore.Store, q docstore.Query) []*docstore.Record {
	t.Helper()
	var all []*docstore.Record
	for {
		page, err := s.Find(t.Context(), q)
		if err != nil {
			t.Errorf("find %+v: %v", q, err)
			return nil
		}
		if len(page.Records) > q.Limit || page.Next != "" && len(page.Records) < q.Limit {
			t.Errorf("find %+v: a page of %d documents, next %q", q, len(page.Records), page.Next)
		}
		all = append(all, page.Records...)
		if page.Next == "" {
			return all
		}
		q.After = page.Next
	}
}
