package licenses_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/sqlite"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	"quittance/services/delivery/internal/delivery"
	"quittance/services/delivery/internal/licenses"
)

const (
	merchant = "acme"
	// claims is how many licences each measurement claims.
	claims = 1000
)

// BenchmarkClaim, on SQLite, claims licences from pools of 1,000 and 100,000 keys, and from
// one of 100,000 that is given away but for the last 1,000, with 1, 8 and 64
// workers. "share" is the rate as a share of bare compare-and-sets of the same
// engine by as many workers right before; "last" is the rate of the last quarter
// of the claims as a share of the first quarter's: what emptying costs.
//
//	go test -run '^$' -bench Claim -benchtime 1x -count 5 ./services/delivery/internal/licenses
func BenchmarkClaim(b *testing.B) {
	for _, pool := range []struct {
		name       string
		free, held int
	}{{"1000", 1000, 0}, {"100000", 100_000, 0}, {"100000-all-but-1000-given", 1000, 99_000}} {
		b.Run("pool="+pool.name, func(b *testing.B) {
			s := newStock(b)
			emptied := pool.free == claims
			if emptied {
				s.fill(b, 0, pool.held)
			} else {
				s.fill(b, pool.free, pool.held)
			}
			for _, workers := range []int{1, 8, 64} {
				b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
					for range b.N {
						if emptied {
							s.fill(b, claims, 0)
						}
						s.measure(b, workers)
					}
				})
			}
		})
	}
}

// stock is a collection of licences, and one of plain documents to compare with.
type stock struct {
	*licenses.Licenses
	plain *docstore.Collection[delivery.License]
	// filled and round count what was done.
	filled, round int
}

func newStock(b *testing.B) *stock {
	b.Helper()
	engine, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "bench.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = engine.Close() })
	keyring, err := seal.ParseKeyring(seal.Generate())
	if err != nil {
		b.Fatal(err)
	}
	base, err := service.New(b.Context(), "delivery", service.Deps{
		Engine: engine, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Tracer: tracenoop.NewTracerProvider(),
		Meter: metricnoop.NewMeterProvider(), Keyring: keyring, Now: time.Now,
	})
	if err != nil {
		b.Fatal(err)
	}
	ls, err := licenses.Open(b.Context(), base)
	if err != nil {
		b.Fatal(err)
	}
	plain, err := docstore.Open(b.Context(), engine, docstore.Spec[delivery.License]{Name: "plain"})
	if err != nil {
		b.Fatal(err)
	}
	s := &stock{Licenses: ls, plain: plain}
	for i := range claims {
		if _, err := plain.Insert(b.Context(), fmt.Sprint("doc_", i), merchant, s.license(i)); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

const product = "tool"

func (s *stock) license(i int) *delivery.License {
	return &delivery.License{
		Product: product, Sealed: "s1.key.0123456789012345678901234567890123456789012345678901234567890123", State: delivery.LicenseFree,
		Since: time.Now(), Imported: time.Now(), Salt: fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15),
	}
}

// fill puts more free and held licences into the pool.
func (s *stock) fill(b *testing.B, free, held int) {
	b.Helper()
	s.filled++
	err := crowd(64, free+held, func(i int) error {
		l := s.license(i)
		if i >= free {
			l.State, l.Unit = delivery.LicenseHeld, delivery.Unit{Order: fmt.Sprint("ord_", s.filled, "-", i), Line: 1, Number: 1}.String()
		}
		_, err := s.For(merchant).Insert(context.Background(), delivery.LicenseID(merchant, product, fmt.Sprint(s.filled, i)), l)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

// crowd does n things by so many workers and returns the first error.
func crowd(workers, n int, do func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, workers)
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// measure claims one licence after the other by so many workers.
func (s *stock) measure(b *testing.B, workers int) {
	b.Helper()
	s.round++
	bare := s.bare(b, workers)
	ends := make([]time.Duration, claims)
	begun := time.Now()
	err := crowd(workers, claims, func(i int) error {
		u := delivery.Unit{Order: fmt.Sprintf("ord_b%d-%d-%d", workers, s.round, i), Line: 1, Number: 1}
		got, err := s.Claim(b.Context(), merchant, product, []delivery.Unit{u})
		ends[i] = time.Since(begun)
		if err == nil && len(got) != 1 {
			err = fmt.Errorf("claim %d found nothing", i)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	rate := claims / time.Since(begun).Seconds()
	slices.Sort(ends)
	b.ReportMetric(rate, "claims/s")
	b.ReportMetric(rate/bare, "share")
	b.ReportMetric(ends[claims/4-1].Seconds()/(ends[claims-1]-ends[claims*3/4-1]).Seconds(), "last")
	b.ReportMetric(0, "ns/op")
}

// bare is how many compare-and-sets of plain documents there are in a second.
func (s *stock) bare(b *testing.B, workers int) float64 {
	begun := time.Now()
	if err := crowd(workers, claims, func(i int) error {
		_, err := s.plain.Update(b.Context(), fmt.Sprint("doc_", i), func(l *delivery.License, _ *docstore.Change) error {
			l.Salt = fmt.Sprintf("%016x", s.round)
			return nil
		})
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return claims / time.Since(begun).Seconds()
}
