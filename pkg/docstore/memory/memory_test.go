package memory_test

import (
	"errors"
	"testing"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/docstore/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) docstore.Engine { return memory.New() })
}

// TestConformanceWithReruns holds when every change runs twice.
func TestConformanceWithReruns(t *testing.T) {
	rerun := memory.WithFaults(func(string, string, string) memory.Fault { return memory.Fault{Rerun: true} })
	storetest.Run(t, func(*testing.T) docstore.Engine { return memory.New(rerun) })
}

func open(t *testing.T, e *memory.Engine) docstore.Store {
	t.Helper()
	s, err := e.Open(t.Context(), docstore.StoreSpec{Name: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFaultBeforeDoesNothingFaultAfterHidesWhatWasDone(t *testing.T) {
	before, after := errors.New("before"), errors.New("after")
	var fault memory.Fault
	s := open(t, memory.New(memory.WithFaults(func(op, collection, id string) memory.Fault {
		if op == memory.OpInsert && collection == "orders" && id == "ord_1" || op == memory.OpUpdate {
			return fault
		}
		return memory.Fault{}
	})))
	insert := func() error { return s.Insert(t.Context(), &docstore.Record{ID: "ord_1"}) }
	update := func() error {
		_, err := s.Update(t.Context(), "ord_1", func(rec *docstore.Record) error { return nil })
		return err
	}
	for _, step := range []struct {
		fault   memory.Fault
		call    func() error
		err     error
		version int64
	}{
		{memory.Fault{Before: before}, insert, before, 0},
		{memory.Fault{After: after}, insert, after, 1},
		{memory.Fault{}, insert, docstore.ErrExists, 1},
		{memory.Fault{After: after}, insert, after, 1},
		{memory.Fault{Before: before}, update, before, 1},
		{memory.Fault{After: after}, update, after, 2},
		{memory.Fault{}, update, nil, 3},
	} {
		fault = step.fault
		if err := step.call(); !errors.Is(err, step.err) {
			t.Fatalf("%+v: error is %v", step.fault, err)
		}
		var version int64
		if rec, err := s.Get(t.Context(), "ord_1"); err == nil {
			version = rec.Version
		}
		if version != step.version {
			t.Fatalf("%+v: version is %d, want %d", step.fault, version, step.version)
		}
	}
}

func TestRerunCallsChangeTwiceAndStoresOnce(t *testing.T) {
	s := open(t, memory.New(memory.WithFaults(func(op, _, _ string) memory.Fault {
		return memory.Fault{Rerun: op == memory.OpUpdate}
	})))
	if err := s.Insert(t.Context(), &docstore.Record{ID: "ord_1"}); err != nil {
		t.Fatal(err)
	}
	runs := 0
	rec, err := s.Update(t.Context(), "ord_1", func(rec *docstore.Record) error {
		runs++
		rec.Emitted++
		return nil
	})
	if err != nil || runs != 2 || rec.Emitted != 1 || rec.Version != 2 {
		t.Fatalf("%d runs, %+v, %v", runs, rec, err)
	}
}

func TestRestartKeepsDocumentsAndShutsOutTheOldProcess(t *testing.T) {
	old := memory.New()
	before := open(t, old)
	if err := before.Insert(t.Context(), &docstore.Record{ID: "ord_1"}); err != nil {
		t.Fatal(err)
	}
	after := open(t, old.Restart())
	if _, err := before.Update(t.Context(), "ord_1", func(*docstore.Record) error { return nil }); err == nil {
		t.Fatal("the old process still writes")
	}
	if rec, err := after.Get(t.Context(), "ord_1"); err != nil || rec.Version != 1 {
		t.Fatalf("%+v, %v", rec, err)
	}
}

func TestTwoProcessesShareTheDocuments(t *testing.T) {
	one := memory.New()
	other := one.Connect()
	if err := open(t, one).Insert(t.Context(), &docstore.Record{ID: "ord_1"}); err != nil {
		t.Fatal(err)
	}
	s := open(t, other)
	if err := s.Insert(t.Context(), &docstore.Record{ID: "ord_1"}); !errors.Is(err, docstore.ErrExists) {
		t.Fatalf("the other process inserts it again: %v", err)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if rec, err := s.Get(t.Context(), "ord_1"); err != nil || rec.Version != 1 {
		t.Fatalf("%+v, %v", rec, err)
	}
}
