package delivery_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/docstore/sqlite"
	"quittance/pkg/event"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

const crowd = 64

// rush gives the events to the replicas all at once, each event to all of them
// again and again until there are as many handlers as the crowd is large; what
// fails is repeated, as the bus does.
func (s *shop) rush(ctx context.Context, facts []*eventv1.OrderEvent) {
	var wg sync.WaitGroup
	for i := range max(crowd, 2*len(facts)) {
		f := facts[i%len(facts)]
		r := s.replica(i / len(facts))
		wg.Go(func() {
			e := fact(event.PaymentSucceeded, f.GetOrder().GetId(), f)
			for r.handle(ctx, e) != nil {
				<-time.After(50 * time.Millisecond)
			}
		})
	}
	wg.Wait()
}

func (s *shop) settled(ctx context.Context, orders int) error {
	b, err := s.audit(ctx)
	if err != nil {
		return err
	}
	if left := b.undelivered(); len(left) > 0 || len(b.deliveries) != orders {
		return fmt.Errorf("%d deliveries, not delivered: %v", len(b.deliveries), left)
	}
	if strays := b.strays(); len(strays) > 0 {
		return fmt.Errorf("strays: %v", strays)
	}
	return nil
}

func crowdOrders(n int, units int64) []*eventv1.OrderEvent {
	var out []*eventv1.OrderEvent
	for i := range n {
		out = append(out, paid(fmt.Sprint("ord_", i), line{product: "tool", quantity: units}))
	}
	return out
}

func twoReplicas(t *testing.T, first, second docstore.Engine) *shop {
	t.Helper()
	s, err := newShop(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []docstore.Engine{first, second} {
		s.engine = e
		if _, err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// P3: 64 handlers of one order in two replicas: one delivery, one mail, and
// what the losers claimed is free again.
func TestCrowdOnOneOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := memory.New()
		s := twoReplicas(t, engine, engine)
		fill(t, s, "tool", keys("K", 100)...)
		s.rush(t.Context(), crowdOrders(1, 3))
		wait(time.Minute)
		if err := s.settled(t.Context(), 1); err != nil {
			t.Error(err)
		}
		if free, held := pool(t, s, "tool"); free != 97 || held != 3 {
			t.Errorf("%d free, %d held", free, held)
		}
		if n := len(s.relay.mails()); n != 1 {
			t.Errorf("%d mails", n)
		}
	})
}

// P3: 64 orders, each told twice at once, and not a key too many.
func TestCrowdOnOnePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := memory.New()
		s := twoReplicas(t, engine, engine)
		fill(t, s, "tool", keys("K", crowd)...)
		s.rush(t.Context(), crowdOrders(crowd, 1))
		wait(10 * time.Minute)
		if err := s.settled(t.Context(), crowd); err != nil {
			t.Error(err)
		}
		if free, held := pool(t, s, "tool"); free != 0 || held != crowd {
			t.Errorf("%d free, %d held", free, held)
		}
	})
}

// P3: the same with two processes' engines on one file.
func TestCrowdOnOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delivery.db")
	var engines []docstore.Engine
	for range 2 {
		e, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		engines = append(engines, e)
	}
	s := twoReplicas(t, engines[0], engines[1])
	fill(t, s, "tool", keys("K", 3*crowd)...)
	s.rush(t.Context(), crowdOrders(crowd, 1))
	testkit.Eventually(t, time.Minute, func() error { return s.settled(t.Context(), crowd) })
	if free, held := pool(t, s, "tool"); free != 2*crowd || held != crowd {
		t.Errorf("%d free, %d held", free, held)
	}
}
