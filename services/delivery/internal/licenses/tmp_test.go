package licenses

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/sqlite"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	"quittance/services/delivery/internal/delivery"
)

func TestTmp(t *testing.T) {
	ctx := t.Context()
	for _, size := range []int{1000, 20000} {
		e, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "x.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		k, _ := seal.ParseKeyring(seal.Generate())
		ls, err := Open(ctx, &service.Base{Deps: service.Deps{Engine: e, Keyring: k, Now: time.Now}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for i := 0; i < size; i += 1000 {
			var ks []string
			for j := range 1000 {
				ks = append(ks, fmt.Sprintf("K-%d", i+j))
			}
			if _, err := ls.Import(ctx, "acme", "tool", ks); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("import %d: %.0f/s", size, float64(size)/time.Since(start).Seconds())
		order := 0
		for _, w := range []int{1, 8, 64} {
			n := 300
			var next atomic.Int64
			var wg sync.WaitGroup
			start := time.Now()
			order++
			for range w {
				wg.Go(func() {
					for {
						i := next.Add(1)
						if int(i) > n {
							return
						}
						got, err := ls.Claim(ctx, "acme", "tool", []delivery.Unit{{Order: fmt.Sprint("ord", order), Line: 1, Number: int(i)}})
						if err != nil || len(got) != 1 {
							t.Error(err, got)
						}
					}
				})
			}
			wg.Wait()
			claims := float64(n) / time.Since(start).Seconds()
			docs, _, _ := ls.For("acme").Find(ctx, docstore.Query{Index: "pool", Equal: "tool/held", Limit: 1000})
			next.Store(0)
			start = time.Now()
			for range w {
				wg.Go(func() {
					for {
						i := next.Add(1)
						if int(i) > n {
							return
						}
						_, err := ls.For("acme").Update(ctx, docs[int(i)%len(docs)].ID, func(l *delivery.License, _ *docstore.Change) error { return nil })
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			raw := float64(n) / time.Since(start).Seconds()
			t.Logf("pool %d workers %d: %.0f claims/s, raw %.0f/s, ratio %.2f", size, w, claims, raw, claims/raw)
		}
		_ = e.Close()
	}
}
