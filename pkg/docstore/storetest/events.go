package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/docstore"
)

var eventCases = []testCase{
	{"events are there if and only if the update that emitted them is", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, &docstore.Record{ID: "doc_1"})
		var acknowledged atomic.Int64
		crowd(16, func(i int) {
			for n := range scaled(200) / 10 {
				_, err := s.Update(t.Context(), "doc_1", func(rec *docstore.Record) error {
					emit(rec)
					if (i+n)%3 == 0 {
						return errTaken
					}
					return increment(rec)
				})
				switch {
				case err == nil:
					acknowledged.Add(1)
				case !errors.Is(err, errTaken):
					t.Error(err)
				}
			}
		})
		rec := get(t, s, "doc_1")
		n := int(acknowledged.Load())
		same(t, "sums", []int{number(rec), int(rec.Emitted), len(rec.Outbox)}, []int{n, n, n})
		for i, entry := range rec.Outbox {
			same(t, "entries", entry, docstore.Entry{Seq: int64(i + 1), Event: announcement("doc_1", i+1)})
		}
	}},
	{"an outbox is stored as it is left, also if it shrinks or changes in place", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, &docstore.Record{ID: "doc_1"})
		for _, step := range []struct {
			name   string
			change func(*docstore.Record)
		}{
			{"one more", emit},
			{"a re-send", func(rec *docstore.Record) {
				rec.Emitted++
				rec.Outbox[0].Seq = rec.Emitted
				rec.Outbox[0].Event.Resend++
			}},
			{"other data in place", func(rec *docstore.Record) { rec.Outbox[0].Event.Data[0]++ }},
			{"odd characters", func(rec *docstore.Record) { rec.Outbox[0].Event.Key = "a\"\\\n<&>\u2028ü" }},
			{"one less", func(rec *docstore.Record) { rec.Outbox = rec.Outbox[1:] }},
			{"another order", func(rec *docstore.Record) { rec.Outbox[0], rec.Outbox[1] = rec.Outbox[1], rec.Outbox[0] }},
			{"empty fields", func(rec *docstore.Record) { rec.Outbox[0].Event.Data, rec.Outbox[0].Event.Type = nil, "" }},
		} {
			update(t, s, "doc_1", emit)
			update(t, s, "doc_1", emit)
			stored := update(t, s, "doc_1", step.change)
			same(t, "documents after "+step.name, get(t, s, "doc_1"), stored)
		}
		same(t, "documents", update(t, s, "doc_1", func(rec *docstore.Record) { rec.Outbox = nil }), get(t, s, "doc_1"))
	}},
	{"marking raises the published emission, never lowers it, and writes nothing else", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, rich("doc_1")) // 3 emitted, 2 published
		want := rich("doc_1")
		for _, m := range []struct {
			emitted, published int64
			done               bool
		}{{1, 2, false}, {2, 2, false}, {3, 3, true}, {1, 3, true}, {9, 3, true}} {
			mark(t, s, docstore.Mark{ID: "doc_1", Emitted: m.emitted})
			if want.Published = m.published; m.done {
				want.RelayAt = time.Time{}
			}
			same(t, "documents", get(t, s, "doc_1"), want)
		}
		// A document that had nothing left to publish stops being looked after.
		insert(t, s, &docstore.Record{ID: "doc_2", Emitted: 3, Published: 3, RelayAt: start})
		mark(t, s, docstore.Mark{ID: "doc_2", Emitted: 1})
		same(t, "documents", get(t, s, "doc_2"), &docstore.Record{ID: "doc_2", Version: 1, Emitted: 3, Published: 3})
	}},
	{"a relay time is cleared only when the latest emission is marked", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, &docstore.Record{ID: "doc_1"})
		update(t, s, "doc_1", func(rec *docstore.Record) { emit(rec); emit(rec) })
		mark(t, s, docstore.Mark{ID: "doc_1", Emitted: 1})
		rec := get(t, s, "doc_1")
		same(t, "relay times", rec.RelayAt, start)
		same(t, "pending events", rec.Pending(), rec.Pending()[:1])
		same(t, "unpublished", ids(unpublished(t, s, start, 9)), []string{"doc_1"})
		mark(t, s, docstore.Mark{ID: "doc_1", Emitted: 2})
		same(t, "relay times", get(t, s, "doc_1").RelayAt, time.Time{})
		same(t, "unpublished", ids(unpublished(t, s, start, 9)), []string{})
	}},
	{"all marks of a call are applied, those of missing documents ignored", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		mark(t, s)
		marks := []docstore.Mark{{ID: "gone", Emitted: 1}}
		for i := range 50 {
			id := fmt.Sprintf("doc_%d", i)
			insert(t, s, &docstore.Record{ID: id, Emitted: 2, Published: 1, RelayAt: start})
			marks = append(marks, docstore.Mark{ID: id, Emitted: 2}, docstore.Mark{ID: id, Emitted: 1})
		}
		mark(t, s, marks...)
		for i := range 50 {
			id := fmt.Sprintf("doc_%d", i)
			same(t, "documents", get(t, s, id), &docstore.Record{ID: id, Version: 1, Emitted: 2, Published: 2})
		}
	}},
	{"marks and concurrent updates lose nothing of each other", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, &docstore.Record{ID: "doc_1"})
		rounds := scaled(300)
		var emitted, marked atomic.Int64
		crowd(4, func(who int) {
			for range rounds {
				if who == 0 {
					n := emitted.Load()
					if err := s.MarkPublished(t.Context(), []docstore.Mark{{ID: "doc_1", Emitted: n}}); err != nil {
						t.Error(err)
					}
					marked.Store(n)
					continue
				}
				floor := marked.Load()
				stored, err := s.Update(t.Context(), "doc_1", func(rec *docstore.Record) error {
					if rec.Published < floor {
						t.Errorf("published fell to %d after %d was marked", rec.Published, floor)
					}
					if pending := rec.Emitted > rec.Published; pending == rec.RelayAt.IsZero() {
						t.Errorf("%d emitted, %d published, relay at %s", rec.Emitted, rec.Published, rec.RelayAt)
					}
					if who == 1 {
						emit(rec)
					}
					return increment(rec)
				})
				if err != nil {
					t.Error(err)
					return
				}
				if who == 1 {
					emitted.Store(stored.Emitted)
				}
			}
		})
		mark(t, s, docstore.Mark{ID: "doc_1", Emitted: emitted.Load()})
		rec := get(t, s, "doc_1")
		same(t, "sums", number(rec), 3*rounds)
		same(t, "emissions", []int64{rec.Emitted, rec.Published}, []int64{int64(rounds), int64(rounds)})
		same(t, "relay times", rec.RelayAt, time.Time{})
	}},
	{"unpublished documents come oldest first, when it is time, and no more than asked for", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		for i, id := range []string{"c", "a", "d", "b"} {
			rec := rich(id)
			rec.RelayAt = start.Add(time.Duration(i/2) * time.Second)
			insert(t, s, rec)
		}
		insert(t, s, &docstore.Record{ID: "nothing to publish"})
		same(t, "documents", ids(unpublished(t, s, start.Add(-1), 9)), []string{})
		same(t, "documents", ids(unpublished(t, s, start, 9)), []string{"a", "c"})
		same(t, "documents", ids(unpublished(t, s, start.Add(time.Hour), 3)), []string{"a", "c", "b"})
		found := unpublished(t, s, start.Add(time.Hour), 9)
		same(t, "documents", ids(found), []string{"a", "c", "b", "d"})
		same(t, "documents", found[3], get(t, s, "d"))
	}},
}

func mark(t *testing.T, s docstore.Store, marks ...docstore.Mark) {
	t.Helper()
	noError(t, s.MarkPublished(t.Context(), marks))
}

func unpublished(t *testing.T, s docstore.Store, now time.Time, limit int) []*docstore.Record {
	t.Helper()
	found, err := s.Unpublished(t.Context(), now, limit)
	noError(t, err)
	return found
}
