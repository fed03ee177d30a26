package sqlite_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/sqlite"
	"quittance/pkg/event"
)

// The benchmarks write documents of the size of an order: a body of 1 KiB, one
// event, two index fields, a due time. Run them alone; the disk is the subject:
//
//	go test -run '^$' -bench . ./docstore/sqlite

var writers = []int{1, 16, 128}

func BenchmarkInsert(b *testing.B) {
	bench(b, func(b *testing.B, s docstore.Store, n int) func(worker, i int) error {
		return func(_, i int) error {
			return s.Insert(b.Context(), order(fmt.Sprintf("ord_%016x", i)))
		}
	})
}

// BenchmarkUpdate changes documents of which each writer has its own.
func BenchmarkUpdate(b *testing.B) {
	bench(b, func(b *testing.B, s docstore.Store, n int) func(worker, i int) error {
		for w := range n {
			if err := s.Insert(b.Context(), order(fmt.Sprintf("ord_%d", w))); err != nil {
				b.Fatal(err)
			}
		}
		return func(worker, i int) error {
			_, err := s.Update(b.Context(), fmt.Sprintf("ord_%d", worker), func(rec *docstore.Record) error {
				rec.Body[i%len(rec.Body)]++
				rec.Due = rec.Due.Add(time.Second)
				return nil
			})
			return err
		}
	})
}

// BenchmarkUpdateHot changes one document with all writers.
func BenchmarkUpdateHot(b *testing.B) {
	bench(b, func(b *testing.B, s docstore.Store, n int) func(worker, i int) error {
		if err := s.Insert(b.Context(), order("ord_1")); err != nil {
			b.Fatal(err)
		}
		return func(_, i int) error {
			_, err := s.Update(b.Context(), "ord_1", func(rec *docstore.Record) error {
				rec.Body[i%len(rec.Body)]++
				return nil
			})
			return err
		}
	})
}

func BenchmarkGet(b *testing.B) {
	s := open(b)
	if err := s.Insert(b.Context(), order("ord_1")); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Get(b.Context(), "ord_1"); err != nil {
			b.Fatal(err)
		}
	}
}

// bench measures an operation with each number of writers, and what sharing
// commits gains over one writer.
func bench(b *testing.B, prepare func(b *testing.B, s docstore.Store, n int) func(worker, i int) error) {
	rates := map[int]float64{}
	for _, n := range writers {
		b.Run(fmt.Sprintf("writers=%d", n), func(b *testing.B) {
			write := prepare(b, open(b), n)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for worker := range n {
				wg.Go(func() {
					for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
						if err := write(worker, i); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			rates[n] = float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(rates[n], "writes/s")
			if rates[1] > 0 {
				b.ReportMetric(rates[n]/rates[1], "times-1-writer")
			}
		})
	}
}

func open(b *testing.B) docstore.Store {
	b.Helper()
	e, err := sqlite.Open(context.Background(), filepath.Join(b.TempDir(), "bench.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	s, err := e.Open(context.Background(), docstore.StoreSpec{Name: "orders", Indexes: []string{"email", "status"}})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func order(id string) *docstore.Record {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &docstore.Record{
		ID: id, Tenant: "mer_1", Body: bytes.Repeat([]byte("0123456789abcdef"), 64),
		Index: map[string]string{"email": id + "@example.com", "status": "unpaid"},
		Due:   at, RelayAt: at, Emitted: 1,
		Outbox: []docstore.Entry{{Seq: 1, Event: event.Event{
			ID: "evt_" + id, Type: "order.created", Source: "order", Subject: id, Key: id, Merchant: "mer_1",
			Time: at, Data: bytes.Repeat([]byte("payload "), 32),
		}}},
	}
}
