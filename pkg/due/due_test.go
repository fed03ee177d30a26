package due_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/due"
)

type job struct {
	At   time.Time `json:"at,omitzero"`
	Done int       `json:"done"`
}

func open(t *testing.T, e docstore.Engine) *docstore.Collection[job] {
	t.Helper()
	c, err := docstore.Open(t.Context(), e, docstore.Spec[job]{Name: "jobs", NextDue: func(j *job) time.Time { return j.At }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func options(workers int) due.Options {
	return due.Options{Workers: workers, Log: slog.New(slog.DiscardHandler)}
}

func finish(ctx context.Context, doc *due.Leased[job]) error {
	return doc.Finish(ctx, func(j *job, _ *docstore.Change) error {
		j.At = time.Time{}
		j.Done++
		return nil
	})
}

func run(t *testing.T, loops ...interface{ Run(context.Context) error }) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, l := range loops {
		wg.Go(func() {
			if err := l.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// TestWorkIsDoneInItsTime: on the second it is due, once, by whichever of two
// replicas takes it, and with more documents than places.
func TestWorkIsDoneInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := memory.New()
		colls := []*docstore.Collection[job]{open(t, engine), open(t, engine)}
		var calls atomic.Int64
		work := func(ctx context.Context, doc *due.Leased[job]) error {
			calls.Add(1)
			if late := time.Since(doc.Body.At); late < 0 || late > 3*time.Second {
				t.Errorf("%s worked on %v after its time", doc.ID, late)
			}
			time.Sleep(100 * time.Millisecond) // virtual
			return finish(ctx, doc)
		}
		stop := run(t, due.New(colls[0], work, options(4)), due.New(colls[1], work, options(4)))
		defer stop()
		const n = 50
		for i := range n {
			at := time.Now().Add(time.Duration(i%5) * time.Second)
			if _, err := colls[i%2].Insert(t.Context(), fmt.Sprint("j", i), "", &job{At: at}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * time.Second)
		for i := range n {
			doc, err := colls[0].Get(t.Context(), fmt.Sprint("j", i))
			if err != nil || doc.Body.Done != 1 {
				t.Fatalf("%+v %v", doc, err)
			}
		}
		if calls.Load() != n {
			t.Fatalf("%d calls for %d documents", calls.Load(), n)
		}
	})
}

// TestFailedWorkIsTriedAgainAfterItsLease: an error or a panic leaves the
// document alone until the lease ends, and then somebody works on it again.
func TestFailedWorkIsTriedAgainAfterItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coll := open(t, memory.New())
		var calls atomic.Int64
		stop := run(t, due.New(coll, func(ctx context.Context, doc *due.Leased[job]) error {
			switch calls.Add(1) {
			case 1:
				return errors.New("store is away")
			case 2:
				panic("bug")
			}
			return finish(ctx, doc)
		}, options(1)))
		defer stop()
		synctest.Wait()
		if _, err := coll.Insert(t.Context(), "j", "", &job{At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Second)
		if n := calls.Load(); n != 1 {
			t.Fatalf("%d calls within the first lease", n)
		}
		time.Sleep(40 * time.Second)
		if doc, err := coll.Get(t.Context(), "j"); err != nil || doc.Body.Done != 1 || calls.Load() != 3 {
			t.Fatalf("%+v %v after %d calls", doc, err, calls.Load())
		}
	})
}

// TestAStaleHolderStoresNothing: whoever worked longer than the lease finds
// that somebody else took over.
func TestAStaleHolderStoresNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := memory.New()
		slow, fast := open(t, engine), open(t, engine)
		stale := make(chan error, 1)
		stopSlow := run(t, due.New(slow, func(ctx context.Context, doc *due.Leased[job]) error {
			time.Sleep(time.Minute)
			err := finish(context.WithoutCancel(ctx), doc)
			stale <- err
			return err
		}, options(1)))
		synctest.Wait()
		if _, err := slow.Insert(t.Context(), "j", "", &job{At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		stopFast := run(t, due.New(fast, finish, options(1)))
		if err := <-stale; !errors.Is(err, docstore.ErrLeaseLost) {
			t.Fatal(err)
		}
		stopSlow()
		stopFast()
		if doc, err := fast.Get(t.Context(), "j"); err != nil || doc.Body.Done != 1 {
			t.Fatalf("%+v %v", doc, err)
		}
	})
}

// TestStopLetsWorkEnd: work under way is finished and stored before Run returns.
func TestStopLetsWorkEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coll := open(t, memory.New())
		stop := run(t, due.New(coll, func(ctx context.Context, doc *due.Leased[job]) error {
			time.Sleep(5 * time.Second)
			return finish(ctx, doc)
		}, options(2)))
		synctest.Wait()
		if _, err := coll.Insert(t.Context(), "j", "", &job{At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stop()
		if doc, err := coll.Get(t.Context(), "j"); err != nil || doc.Body.Done != 1 {
			t.Fatalf("%+v %v", doc, err)
		}
	})
}
