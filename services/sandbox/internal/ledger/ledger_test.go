package ledger_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"quittance/services/sandbox/internal/ledger"
)

func open(t *testing.T, path string) (*ledger.Ledger[int], []int) {
	t.Helper()
	var entries []int
	l, err := ledger.Open(path, func(n int) error { entries = append(entries, n); return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, entries
}

func TestEntriesSurvive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "book.jsonl")
	l, entries := open(t, path)
	if len(entries) != 0 {
		t.Fatalf("a new ledger has %v", entries)
	}
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if err := l.Append(n); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// Not closed: a killed process doesn't, either.
	_, entries = open(t, path)
	slices.Sort(entries)
	if len(entries) != 20 || entries[0] != 0 || entries[19] != 19 {
		t.Errorf("reopened ledger has %v", entries)
	}
}

func TestUnfinishedLineIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book.jsonl")
	if err := os.WriteFile(path, []byte("1\n2\n3"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, entries := open(t, path)
	if !slices.Equal(entries, []int{1, 2}) {
		t.Fatalf("entries %v, want 1 and 2", entries)
	}
	if err := l.Append(4); err != nil {
		t.Fatal(err)
	}
	if _, entries = open(t, path); !slices.Equal(entries, []int{1, 2, 4}) {
		t.Errorf("entries %v, want 1, 2 and 4", entries)
	}
}

func TestOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book.jsonl")
	if err := os.WriteFile(path, []byte("1\nx\n2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(path, func(int) error { return nil }); err == nil {
		t.Error("an unreadable line passes")
	}
	wrong := errors.New("wrong entry")
	if _, err := ledger.Open(path, func(int) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("error %v, want that of replay", err)
	}
	if _, err := ledger.Open(filepath.Join(path, "below-a-file"), func(int) error { return nil }); err == nil {
		t.Error("a file passes for a directory")
	}
}

func TestAppendRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book.jsonl")
	l, err := ledger.Open(path, func(any) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(func() {}); err == nil {
		t.Error("a function passes for an entry")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(1); err == nil {
		t.Error("a closed ledger takes entries")
	}
}
