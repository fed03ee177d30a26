package due_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/due"
)

// TestOneSlowKeyHoldsUpNobody: hundreds of documents of a provider that takes
// its time are due before those of others, with fewer places than documents.
// The others are done on the second; the slow ones two at a time, each once.
func TestOneSlowKeyHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := memory.New()
		coll := openKeyed(t, engine)
		var slowNow, slowMost, slowDone atomic.Int64
		opt := options(8)
		opt.Lease, opt.Longest = 40*time.Second, 2*time.Minute
		loop := due.New(coll, func(ctx context.Context, doc *due.Leased[keyed]) error {
			if doc.Body.Key == "slow" {
				slowMost.Store(max(slowMost.Load(), slowNow.Add(1)))
				time.Sleep(20 * time.Second)
				slowNow.Add(-1)
				slowDone.Add(1)
			} else if late := time.Since(doc.Body.At); late > 2*time.Second {
				t.Errorf("%s worked on %v after its time", doc.ID, late)
			}
			return doc.Finish(ctx, func(k *keyed, _ *docstore.Change) error {
				k.At = time.Time{}
				k.Done++
				return nil
			})
		}, opt).Lanes(2, func(k *keyed) string { return k.Key })
		const slow = 300
		insert := func(key string, i int, at time.Time) {
			if _, err := coll.Insert(t.Context(), fmt.Sprint(key, "-", i), "", &keyed{At: at, Key: key}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range slow {
			insert("slow", i, time.Now().Add(-time.Minute))
		}
		stop := run(t, loop)
		defer stop()
		for i := range 200 {
			insert("fast", i, time.Now().Add(time.Duration(i%50)*time.Second))
		}
		time.Sleep(10 * time.Minute)
		if n := slowMost.Load(); n != 2 {
			t.Fatalf("%d places for the slow key at once", n)
		}
		time.Sleep(3 * time.Hour)
		docs, _, err := coll.Find(t.Context(), docstore.Query{AllTenants: true, Limit: 1000})
		if err != nil || len(docs) != slow+200 {
			t.Fatal(len(docs), err)
		}
		for _, d := range docs {
			if d.Body.Done != 1 {
				t.Fatalf("%s done %d times", d.ID, d.Body.Done)
			}
		}
		if n := slowDone.Load(); n != slow {
			t.Fatalf("%d pieces of slow work for %d documents", n, slow)
		}
	})
}

// TestWorkLongerThanTheLeaseKeepsIt: a call of 90 seconds under a lease of 40 is
// made once, though another replica looks for work, and its outcome counts.
// A note kept meanwhile is there at once.
func TestWorkLongerThanTheLeaseKeepsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := memory.New()
		slow, rival := open(t, engine), open(t, engine)
		var calls atomic.Int64
		work := func(ctx context.Context, doc *due.Leased[job]) error {
			calls.Add(1)
			if err := doc.Keep(ctx, func(j *job, _ *docstore.Change) error { j.Done = 10; return nil }); err != nil {
				return err
			}
			if kept, err := rival.Get(ctx, doc.ID); err != nil || kept.Body.Done != 10 || doc.Body.Done != 10 {
				t.Errorf("%+v %v", kept, err)
			}
			time.Sleep(90 * time.Second)
			return finish(ctx, doc)
		}
		opt := options(2)
		opt.Lease, opt.Longest = 40*time.Second, 100*time.Second
		stop := run(t, due.New(slow, work, opt), due.New(rival, work, opt))
		defer stop()
		synctest.Wait()
		if _, err := slow.Insert(t.Context(), "j", "", &job{At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if doc, err := slow.Get(t.Context(), "j"); err != nil || doc.Body.Done != 11 || calls.Load() != 1 {
			t.Fatalf("%+v %v after %d calls", doc, err, calls.Load())
		}
	})
}

type keyed struct {
	At   time.Time `json:"at,omitzero"`
	Key  string    `json:"key"`
	Done int       `json:"done"`
}

func openKeyed(t *testing.T, e docstore.Engine) *docstore.Collection[keyed] {
	t.Helper()
	name := strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))
	c, err := docstore.Open(t.Context(), e, docstore.Spec[keyed]{Name: name, NextDue: func(k *keyed) time.Time { return k.At }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
