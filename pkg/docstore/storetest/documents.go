package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"quittance/pkg/docstore"
)

var documentCases = []testCase{
	{"an inserted document is read back whole with version 1", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		rec := rich("doc_1")
		rec.Version = 7 // the engine's to decide
		insert(t, s, rec, &docstore.Record{ID: "doc_2"})
		same(t, "documents", get(t, s, "doc_1"), rich("doc_1"))
		same(t, "documents", get(t, s, "doc_2"), &docstore.Record{ID: "doc_2", Version: 1})
	}},
	{"inserting a taken id is refused and changes nothing", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, rich("doc_1"))
		isError(t, s.Insert(t.Context(), &docstore.Record{ID: "doc_1", Tenant: "mer_2", Body: []byte("other")}), docstore.ErrExists)
		same(t, "documents", get(t, s, "doc_1"), rich("doc_1"))
	}},
	{"a document that is not there is not found", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		_, err := s.Get(t.Context(), "doc_1")
		isError(t, err, docstore.ErrNotFound)
		_, err = s.Update(t.Context(), "doc_1", func(*docstore.Record) error {
			t.Error("change was called")
			return nil
		})
		isError(t, err, docstore.ErrNotFound)
		deleted, err := s.Delete(t.Context(), "doc_1", 1)
		noError(t, err)
		same(t, "deletions", deleted, false)
	}},
	{"an update returns what it stored and grows the version by one", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, rich("doc_1"))
		stored := update(t, s, "doc_1", func(rec *docstore.Record) {
			same(t, "documents", rec, rich("doc_1"))
			rec.Body = []byte("new")
			rec.Index = map[string]string{"color": "blue", "size": ""}
			rec.Due, rec.Lease, rec.LeaseUntil = start.Add(time.Hour), 0, time.Time{}
			emit(rec)
		})
		want := rich("doc_1")
		want.Version, want.Body, want.Index = 2, []byte("new"), map[string]string{"color": "blue"}
		want.Due, want.Lease, want.LeaseUntil = start.Add(time.Hour), 0, time.Time{}
		emit(want)
		same(t, "documents", stored, want)
		same(t, "documents", get(t, s, "doc_1"), want)

		stored = update(t, s, "doc_1", func(rec *docstore.Record) {
			*rec = docstore.Record{ID: rec.ID, Tenant: rec.Tenant}
		})
		want = &docstore.Record{ID: "doc_1", Tenant: "mer_1", Version: 3}
		same(t, "documents", stored, want)
		same(t, "documents", get(t, s, "doc_1"), want)
	}},
	{"an update cannot change id, tenant or version", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, rich("doc_1"))
		stored := update(t, s, "doc_1", func(rec *docstore.Record) {
			rec.ID, rec.Tenant, rec.Version = "doc_2", "mer_2", 40
		})
		want := rich("doc_1")
		want.Version = 2
		same(t, "documents", stored, want)
		same(t, "documents", get(t, s, "doc_1"), want)
	}},
	{"an error of change comes back as it is and nothing is stored", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, rich("doc_1"))
		refusal := errors.New("no")
		_, err := s.Update(t.Context(), "doc_1", func(rec *docstore.Record) error {
			rec.Body[0], rec.Index["color"] = 'x', "blue"
			emit(rec)
			return refusal
		})
		if err != refusal { //nolint:errorlint // not even wrapped
			t.Fatalf("error is %v, want %v", err, refusal)
		}
		same(t, "documents", get(t, s, "doc_1"), rich("doc_1"))
	}},
	{"a panic of change is an error and nothing is stored", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, rich("doc_1"))
		_, err := s.Update(t.Context(), "doc_1", func(rec *docstore.Record) error {
			rec.Body[0] = 'x'
			panic("out of order")
		})
		if err == nil {
			t.Fatal("no error")
		}
		same(t, "documents", get(t, s, "doc_1"), rich("doc_1"))
		update(t, s, "doc_1", func(*docstore.Record) {})
	}},
	{"times are rounded up to milliseconds", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		local := time.FixedZone("east", 3600)
		rec := rich("doc_1")
		rec.Due = start.Add(1).In(local)
		rec.LeaseUntil = start.Add(time.Millisecond).In(local)
		rec.RelayAt = start.Add(time.Millisecond + 1).In(local)
		insert(t, s, rec)
		got := get(t, s, "doc_1")
		same(t, "times", []time.Time{got.Due, got.LeaseUntil, got.RelayAt},
			[]time.Time{start.Add(time.Millisecond), start.Add(time.Millisecond), start.Add(2 * time.Millisecond)})
		stored := update(t, s, "doc_1", func(rec *docstore.Record) { rec.Due = start.Add(time.Second + 1) })
		same(t, "times", stored.Due, start.Add(time.Second+time.Millisecond))
		same(t, "documents", get(t, s, "doc_1"), stored)
	}},
	{"a document is deleted at the given version only", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, rich("doc_1"), rich("doc_2"))
		update(t, s, "doc_1", func(*docstore.Record) {})
		for version, want := range []bool{false, false, true, false} {
			deleted, err := s.Delete(t.Context(), "doc_1", int64(version))
			noError(t, err)
			same(t, "deletions", deleted, want)
		}
		_, err := s.Get(t.Context(), "doc_1")
		isError(t, err, docstore.ErrNotFound)
		same(t, "documents", get(t, s, "doc_2"), rich("doc_2"))
		insert(t, s, rich("doc_1"))
		same(t, "documents", get(t, s, "doc_1"), rich("doc_1"))
	}},
	{"caller and store share no memory", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		kept := rich("doc_1")
		insert(t, s, kept)
		spoil(kept)
		spoil(get(t, s, "doc_1"))
		same(t, "documents after reading", get(t, s, "doc_1"), rich("doc_1"))

		stored, err := s.Update(t.Context(), "doc_1", func(rec *docstore.Record) error {
			kept = rec
			return nil
		})
		noError(t, err)
		want := rich("doc_1")
		want.Version = 2
		spoil(kept)
		spoil(stored)
		same(t, "documents after updating", get(t, s, "doc_1"), want)

		refusal := errors.New("no")
		_, err = s.Update(t.Context(), "doc_1", func(rec *docstore.Record) error {
			spoil(rec)
			return refusal
		})
		isError(t, err, refusal)
		page, err := s.Find(t.Context(), docstore.Query{AllTenants: true, Limit: 1})
		noError(t, err)
		spoil(page.Records[0])
		left, err := s.Unpublished(t.Context(), start.Add(time.Hour), 1)
		noError(t, err)
		spoil(left[0])
		same(t, "documents after finding", get(t, s, "doc_1"), want)

		claimed, err := s.Claim(t.Context(), start.Add(time.Hour), time.Minute, 1)
		noError(t, err)
		want.Version, want.Lease, want.LeaseUntil = 3, 3, start.Add(time.Hour+time.Minute)
		same(t, "claims", claimed, []*docstore.Record{want})
		spoil(claimed[0])
		want = rich("doc_1")
		want.Version, want.Lease, want.LeaseUntil = 3, 3, start.Add(time.Hour+time.Minute)
		same(t, "documents after claiming", get(t, s, "doc_1"), want)
	}},
}

// spoil overwrites everything that a record points to.
func spoil(rec *docstore.Record) {
	clear(rec.Body)
	rec.Index["color"] = "spoilt"
	for _, e := range rec.Outbox {
		clear(e.Event.Data)
	}
	clear(rec.Outbox)
	slices.Reverse(rec.Outbox)
}
