package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/testkit"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openTest(t *testing.T, opts Options) *Engine {
	t.Helper()
	e, err := Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), opts)
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	return e
}

func openStore(t *testing.T, e *Engine, indexes ...string) docstore.Store {
	t.Helper()
	s, err := e.Open(t.Context(), docstore.StoreSpec{Name: "documents", Indexes: indexes})
	must(t, err)
	return s
}

// locked takes the write lock as another process would, and returns what
// gives it back.
func locked(t *testing.T, e *Engine) func() {
	t.Helper()
	c, err := dial(e.path, e.pragmas()...)
	must(t, err)
	must(t, c.script("BEGIN IMMEDIATE"))
	return sync.OnceFunc(func() { must(t, c.close()) })
}

func TestFileIsItsOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a?b#c%20 d.db")
	e, err := Open(t.Context(), path, Options{})
	must(t, err)
	openStore(t, e)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", suffix, info.Mode())
		}
	}
	must(t, e.Close())
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the log is still there: %v", err)
	}
}

func TestConnectionsSyncEveryCommitAndLeaveCheckpointsToOne(t *testing.T) {
	e := openTest(t, Options{Readers: 1})
	settings := func(c *conn) error {
		for pragma, want := range map[string]driver.Value{"synchronous": int64(2), "journal_mode": "wal", "wal_autocheckpoint": int64(0)} {
			err := c.query(func(v []driver.Value) error {
				if v[0] != want {
					t.Errorf("%s is %v", pragma, v[0])
				}
				return nil
			}, "PRAGMA "+pragma)
			if err != nil {
				return err
			}
		}
		return nil
	}
	_, err := read(t.Context(), e, func(c *conn) (any, error) { return nil, settings(c) })
	must(t, err)
	must(t, e.submit(t.Context(), func(w *conn, _ *op) error { return settings(w) }))
}

func TestDatabaseThatCannotBeUsedIsRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(t.Context(), filepath.Join(dir, "missing", "test.db"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "text.db"), []byte(strings.Repeat("no database ", 1000)), 0o600))
	if _, err := Open(t.Context(), filepath.Join(dir, "text.db"), Options{}); err == nil {
		t.Error("a text file is opened")
	}
	path := filepath.Join(dir, "test.db")
	e, err := Open(t.Context(), path, Options{})
	must(t, err)
	must(t, e.submit(t.Context(), func(w *conn, _ *op) error { return w.script("PRAGMA user_version = 99") }))
	must(t, e.Close())
	if _, err := Open(t.Context(), path, Options{}); err == nil || !strings.Contains(err.Error(), "layout 99") {
		t.Errorf("layout of the future: %v", err)
	}
}

func TestIndexDeclaredLaterOnAFileWithDocuments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	for generation, indexes := range [][]string{nil, {"color"}, {"size", "color"}, {"size"}} {
		e, err := Open(t.Context(), path, Options{})
		must(t, err)
		s := openStore(t, e, indexes...)
		rec := &docstore.Record{ID: fmt.Sprintf("doc_%d", generation), Index: map[string]string{}}
		for _, index := range indexes {
			rec.Index[index] = "1"
		}
		must(t, s.Insert(t.Context(), rec))
		for _, index := range indexes {
			page, err := s.Find(t.Context(), docstore.Query{Index: index, Equal: "1", Limit: 9})
			must(t, err)
			want := map[string]int{"color": generation, "size": generation - 1}[index]
			if len(page.Records) != want {
				t.Errorf("generation %d finds %d documents by %s", generation, len(page.Records), index)
			}
		}
		must(t, e.Close())
	}
}

// TestFailureOfTheDatabaseHitsItsOperationAlone puts operations that fail in
// the database into one batch with others.
func TestFailureOfTheDatabaseHitsItsOperationAlone(t *testing.T) {
	e := openTest(t, Options{})
	s := openStore(t, e)
	release := locked(t, e) // the first operation waits, the others queue up
	results := make([]error, 60)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			if i%20 != 7 {
				results[i] = s.Insert(t.Context(), &docstore.Record{ID: fmt.Sprint(i)})
				return
			}
			results[i] = e.submit(t.Context(), func(w *conn, _ *op) error {
				if _, err := w.exec(s.(*store).sql.delete, "0", int64(1)); err != nil {
					return err
				}
				return w.script("INSERT INTO nowhere VALUES (1)")
			})
		})
	}
	release()
	wg.Wait()
	for i, err := range results {
		if failed := i%20 == 7; failed != (err != nil) {
			t.Errorf("operation %d: %v", i, err)
		}
		if i%20 != 7 {
			_, err := s.Get(t.Context(), fmt.Sprint(i))
			must(t, err)
		}
	}
}

func TestFailedCommitFailsTheBatchAndTheWriterGoesOn(t *testing.T) {
	e := openTest(t, Options{})
	s := openStore(t, e)
	err := e.submit(t.Context(), func(w *conn, _ *op) error {
		return w.script("ROLLBACK") // so that there is nothing to commit
	})
	if err == nil {
		t.Fatal("no error")
	}
	must(t, s.Insert(t.Context(), &docstore.Record{ID: "doc_1"}))
}

func TestFullDatabaseRefusesWritesUntilThereIsRoom(t *testing.T) {
	e := openTest(t, Options{})
	s := openStore(t, e)
	limit := func(pages int) {
		must(t, e.submit(t.Context(), func(w *conn, _ *op) error {
			return w.script(fmt.Sprintf("PRAGMA max_page_count = %d", pages))
		}))
	}
	limit(1)
	big := &docstore.Record{ID: "doc_1", Body: make([]byte, 1<<20)}
	if err := s.Insert(t.Context(), big); err == nil {
		t.Fatal("no error")
	}
	if _, err := s.Get(t.Context(), "doc_1"); !errors.Is(err, docstore.ErrNotFound) {
		t.Fatal(err)
	}
	limit(1 << 30)
	must(t, s.Insert(t.Context(), big))
}

func TestBusyFileIsWaitedFor(t *testing.T) {
	e := openTest(t, Options{})
	s := openStore(t, e)
	release := locked(t, e)
	time.AfterFunc(50*time.Millisecond, release)
	must(t, s.Insert(t.Context(), &docstore.Record{ID: "doc_1"}))
}

func TestFileThatStaysBusyIsAnError(t *testing.T) {
	e := openTest(t, Options{BusyTimeout: 20 * time.Millisecond})
	s := openStore(t, e)
	release := locked(t, e)
	if err := s.Insert(t.Context(), &docstore.Record{ID: "doc_1"}); !busy(err) {
		t.Fatalf("error is %v", err)
	}
	release()
	must(t, s.Insert(t.Context(), &docstore.Record{ID: "doc_1"}))
}

func TestCancelledCallReturnsWhileTheFileIsBusy(t *testing.T) {
	e := openTest(t, Options{Batch: 4})
	s := openStore(t, e)
	must(t, s.Insert(t.Context(), &docstore.Record{ID: "hot"}))
	release := locked(t, e)
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 20 { // more than fit into the batch and the queue
		wg.Go(func() {
			err := s.Insert(ctx, &docstore.Record{ID: fmt.Sprint(i)})
			if i%2 == 0 {
				_, err = s.Update(ctx, "hot", func(*docstore.Record) error { return nil })
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := s.Get(t.Context(), "hot"); err != nil {
		t.Fatalf("reading is blocked too: %v", err)
	}
}

// TestChangeThatEndsItsGoroutine is what a failed assertion in change does.
func TestChangeThatEndsItsGoroutine(t *testing.T) {
	e := openTest(t, Options{})
	s := openStore(t, e)
	must(t, s.Insert(t.Context(), &docstore.Record{ID: "hot"}))
	runs := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = s.Update(t.Context(), "hot", func(*docstore.Record) error {
			if runs++; runs == 2 { // within the writer's transaction
				runtime.Goexit()
			}
			_, err := s.Update(t.Context(), "hot", func(*docstore.Record) error { return nil })
			return err
		})
		t.Error("the goroutine goes on")
	})
	wg.Wait()
	if runs != 2 {
		t.Fatalf("change ran %d times", runs)
	}
	rec, err := s.Get(t.Context(), "hot")
	must(t, err)
	if rec.Version != 2 {
		t.Fatalf("version is %d", rec.Version)
	}
	must(t, s.Insert(t.Context(), &docstore.Record{ID: "doc_1"}))
}

// TestLogStaysShort writes without pause much more than the log may hold.
func TestLogStaysShort(t *testing.T) {
	const threshold = 256 << 10
	e := openTest(t, Options{CheckpointBytes: threshold})
	s := openStore(t, e)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 500 {
				rec := &docstore.Record{ID: fmt.Sprintf("doc_%d_%d", w, i), Body: make([]byte, 8<<10)}
				if err := s.Insert(t.Context(), rec); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	info, err := os.Stat(e.path + "-wal")
	must(t, err)
	if most := int64(threshold * stallFactor * 3 / 2); info.Size() > most {
		t.Errorf("the log has %d bytes, more than %d", info.Size(), most)
	}
	must(t, e.Ping(t.Context()))
}

// What a document does not hold any more is in no file once the log was emptied,
// also while the engine goes on.
func TestErasedIsErasedFromTheFiles(t *testing.T) {
	e := openTest(t, Options{EmptyEvery: 20 * time.Millisecond})
	s := openStore(t, e, "email")
	const canary = "canary@example.com"
	for i := range 50 {
		must(t, s.Insert(t.Context(), &docstore.Record{
			ID: fmt.Sprint(i), Body: []byte(`"` + strings.Repeat(canary+" ", 1+i*10) + `"`), Index: map[string]string{"email": canary},
		}))
	}
	for i := range 50 {
		if i%5 == 0 {
			_, err := s.Delete(t.Context(), fmt.Sprint(i), 1)
			must(t, err)
			continue
		}
		_, err := s.Update(t.Context(), fmt.Sprint(i), func(rec *docstore.Record) error {
			rec.Body, rec.Index = []byte(`""`), nil
			return nil
		})
		must(t, err)
	}
	testkit.Eventually(t, 10*time.Second, func() error {
		for _, suffix := range []string{"", "-wal"} {
			raw, err := os.ReadFile(e.path + suffix)
			must(t, err)
			if strings.Contains(string(raw), canary) {
				return fmt.Errorf("test.db%s still has it", suffix)
			}
		}
		return nil
	})
	must(t, e.Ping(t.Context()))
}
