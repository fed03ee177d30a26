package mongo

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"quittance/pkg/docstore"
)

// first makes the first n commands of a name go wrong.
func first(n int64, name string, m mishap) func(bson.Raw) mishap {
	var left atomic.Int64
	left.Store(n)
	return func(command bson.Raw) mishap {
		if _, err := command.LookupErr(name); err == nil && left.Add(-1) >= 0 {
			return m
		}
		return mishap{}
	}
}

func add(rec *docstore.Record) error {
	rec.Body = append(rec.Body, '1')
	return nil
}

// A write whose answer is lost is retried by the driver, and the server knows
// it again: it happens once and is acknowledged.
func TestALostAnswerIsAskedForAgain(t *testing.T) {
	f := newFake(t)
	s := f.openStore(t)
	f.mishap = first(1, "insert", mishap{after: true})
	must(t, s.Insert(t.Context(), &docstore.Record{ID: "doc"}))
	for _, m := range []mishap{{before: true}, {after: true}} {
		f.mishap = first(1, "update", m)
		_, err := s.Update(t.Context(), "doc", add)
		must(t, err)
	}
	rec, err := s.Get(t.Context(), "doc")
	must(t, err)
	if string(rec.Body) != "11" || rec.Version != 3 {
		t.Fatalf("body %q, version %d", rec.Body, rec.Version)
	}
	f.mishap = first(1, "delete", mishap{after: true})
	deleted, err := s.Delete(t.Context(), "doc", 3)
	if must(t, err); !deleted {
		t.Fatal("the deletion is reported as not done")
	}
}

// What is left open after the retries is neither done nor refused: the caller
// hears of an error of the infrastructure, whichever it was.
func TestWhatIsLeftOpenIsAnErrorOfTheInfrastructure(t *testing.T) {
	for name, m := range map[string]mishap{
		"nothing is carried out":    {before: true},
		"all answers are lost":      {after: true},
		"durability is not known":   {concern: true},
		"no answer until the limit": {stall: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			s := f.openStore(t, func(c *Config) { c.Timeout = 200 * time.Millisecond })
			for _, id := range []string{"updated", "deleted", "marked", "due"} {
				rec := &docstore.Record{ID: id, Emitted: 1}
				if id == "due" {
					rec.Due = time.UnixMilli(1)
				}
				must(t, s.Insert(t.Context(), rec))
			}
			f.mishap = func(command bson.Raw) mishap {
				if _, err := command.LookupErr("find"); err == nil {
					return mishap{}
				}
				return m
			}
			for call, do := range map[string]func() error{
				"insert": func() error { return s.Insert(t.Context(), &docstore.Record{ID: "other"}) },
				"update": func() error { _, err := s.Update(t.Context(), "updated", add); return err },
				"delete": func() error { _, err := s.Delete(t.Context(), "deleted", 1); return err },
				"claim": func() error {
					_, err := s.Claim(t.Context(), time.UnixMilli(1), time.Minute, 1)
					return err
				},
				"mark": func() error { return s.MarkPublished(t.Context(), []docstore.Mark{{ID: "marked", Emitted: 1}}) },
			} {
				if err := do(); err == nil || errors.Is(err, docstore.ErrExists) || errors.Is(err, docstore.ErrNotFound) {
					t.Errorf("%s: error is %v", call, err)
				}
			}
		})
	}
}

// A taken id counts only if it stays taken.
func TestATakenIDOfUnknownDurabilityIsNotAnAnswer(t *testing.T) {
	f := newFake(t)
	s := f.openStore(t)
	must(t, s.Insert(t.Context(), &docstore.Record{ID: "doc"}))
	f.mishap = first(1, "insert", mishap{concern: true})
	if err := s.Insert(t.Context(), &docstore.Record{ID: "doc"}); err == nil || errors.Is(err, docstore.ErrExists) {
		t.Fatalf("error is %v", err)
	}
	if err := s.Insert(t.Context(), &docstore.Record{ID: "doc"}); !errors.Is(err, docstore.ErrExists) {
		t.Fatalf("error is %v", err)
	}
}

func TestACallEndsWithItsContextAndAtTheLimit(t *testing.T) {
	f := newFake(t)
	s := f.openStore(t, func(c *Config) { c.Timeout = 100 * time.Millisecond })
	f.mishap = func(bson.Raw) mishap { return mishap{stall: true} }
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.Get(ctx, "doc"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	if _, err := s.Get(t.Context(), "doc"); err == nil || errors.Is(err, docstore.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the calls took %s", took)
	}
}

// Concerns and retries are not the URI's to weaken.
func TestWritesAreDurableWhateverTheURISays(t *testing.T) {
	f := newFake(t)
	writes := 0
	s := f.openStore(t, func(c *Config) { c.URI += "&w=1&journal=false&retryWrites=false&readConcernLevel=available" })
	f.seen = func(command bson.Raw) {
		if _, err := command.LookupErr("find"); err == nil {
			return
		}
		writes++
		concern := command.Lookup("writeConcern").String()
		if want := `{"w": "majority","j": true}`; concern != want {
			t.Errorf("write concern is %s", concern)
		}
		if command.Lookup("txnNumber").IsZero() {
			t.Error("a write cannot be retried")
		}
	}
	rec := &docstore.Record{ID: "doc", Due: time.UnixMilli(1), Emitted: 1, RelayAt: time.UnixMilli(1)}
	must(t, s.Insert(t.Context(), rec))
	_, err := s.Update(t.Context(), "doc", add)
	must(t, err)
	_, err = s.Claim(t.Context(), time.UnixMilli(1), time.Minute, 1)
	must(t, err)
	must(t, s.MarkPublished(t.Context(), []docstore.Mark{{ID: "doc", Emitted: 1}}))
	_, err = s.Delete(t.Context(), "doc", 3)
	must(t, err)
	if writes != 5 {
		t.Fatalf("%d writes, want 5: all marks are one", writes)
	}
	f.seen = func(command bson.Raw) {
		if level := command.Lookup("readConcern", "level").StringValue(); level != "majority" {
			t.Errorf("read concern is %s", level)
		}
	}
	_, err = s.Unpublished(t.Context(), time.UnixMilli(1), 1)
	must(t, err)
}
