package notification_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
)

// version is how often the queue of an order at main was written.
func (w *world) version(order string) int64 {
	w.t.Helper()
	store, err := w.engine.Open(w.t.Context(), docstore.StoreSpec{Name: "queues", Indexes: []string{"latest", "paused", "single"}})
	if err != nil {
		w.t.Fatal(err)
	}
	page, err := store.Find(w.t.Context(), docstore.Query{AllTenants: true, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, rec := range page.Records {
		if rec.Tenant == "acme" && contains(rec.Body, `"order":"`+order+`"`) {
			return rec.Version
		}
	}
	return 0
}

// TestWrites: four events within two seconds of each other need five writes,
// one each and one for all results.
func TestWrites(t *testing.T) {
	for name, tc := range map[string]struct {
		hold  time.Duration
		types []string
		want  int64
	}{
		"an order's usual story": {
			types: []string{event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered}, want: 5,
		},
		"a story that goes on": {
			types: []string{event.OrderCreated, event.PaymentFailed, event.PaymentFailed, event.PaymentSucceeded}, want: 5,
		},
		"one event": {types: []string{event.OrderCreated}, want: 2},
		"without holding": {
			hold: -1, types: []string{event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered}, want: 8,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.endpoint("main", slow(100*time.Millisecond))
				want := []int64{}
				for i, typ := range tc.types {
					w.emit("ord_1", typ)
					w.pass(1900 * time.Millisecond)
					want = append(want, int64(i+1))
					w.expect("main", "ord_1", want...)
				}
				w.pass(5 * time.Second)
				if got := w.version("ord_1"); got != tc.want {
					t.Errorf("%d writes, want %d", got, tc.want)
				}
				w.pass(10 * time.Minute)
				w.expect("main", "ord_1", want...)
				if got := w.version("ord_1"); got != tc.want {
					t.Errorf("%d writes later, want %d", got, tc.want)
				}
			}, func(w *world) { w.cfg.Hold = tc.hold })
		})
	}
}

// TestSkippedEventsCostNothingInHand: an event that is not for the endpoint is
// written with the results of those around it, and is no gap for anybody.
func TestSkippedEventsCostNothingInHand(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine, event.OrderCreated, event.ProductDelivered)
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)
		w.expect("main", "ord_1", 1, 3)
		w.pass(3 * time.Second)
		if got := w.version("ord_1"); got != 3 {
			t.Errorf("%d writes, want 3", got)
		}
		w.emit("ord_1", event.PaymentDuplicate) // nothing is in hand any more
		if got := w.version("ord_1"); got != 4 {
			t.Errorf("%d writes, want 4", got)
		}
		w.emit("ord_2", event.OrderCreated, event.PaymentSucceeded)
		w.kill() // 2 is lost: a gap, closed by the order service
		w.pass(time.Minute)
		w.emit("ord_2", event.ProductDelivered)
		w.pass(4 * time.Second)
		w.expect("main", "ord_2", 1, 1, 3)
	}, func(w *world) { w.cfg.CatchUp = time.Hour })
}

// TestLastEventIsWrittenAtOnce: after an event that usually ends an order's
// story nothing is held back.
func TestLastEventIsWrittenAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		w.emit("ord_1", event.OrderCreated, event.OrderCanceled)
		if got := w.version("ord_1"); got != 3 {
			t.Errorf("%d writes, want 3", got)
		}
		w.kill()
		w.pass(time.Minute)
		w.expect("main", "ord_1", 1, 2)
	})
}

// TestHoldingStarvesNobody: when most workers are busy, nothing is held.
func TestHoldingStarvesNobody(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		for i := range 50 {
			w.emit(fmt.Sprintf("ord_%d", i), event.OrderCreated)
		}
		if got := len(w.at("main")); got != 50 {
			t.Errorf("%d of 50 arrived at once", got)
		}
	}, func(w *world) { w.cfg.Workers = 4 })
}

func TestStoppingLetsGo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		w.emit("ord_1", event.OrderCreated)
		start := time.Now()
		w.stop()
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("stopping took %v", took)
		}
		w.start()
		w.pass(time.Minute)
		w.expect("main", "ord_1", 1)
	})
}

// TestKilledWhileHolding: what was sent and not written is sent again, with the
// same id, and nothing else is.
func TestKilledWhileHolding(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered)
		w.expect("main", "ord_1", 1, 2, 3)
		w.kill()
		w.pass(time.Minute)
		// The result of 1 and 2 went along with the writes of 2 and 3.
		w.expect("main", "ord_1", 1, 2, 3, 3)
		sameIDs(t, w.at("main"))
	})
}

func sameIDs(t *testing.T, all []got) {
	t.Helper()
	ids := map[string]string{}
	for _, g := range all {
		key := fmt.Sprint(g.Order, "/", g.Sequence)
		if before, again := ids[key]; again && before != g.ID {
			t.Errorf("%s came as %s and as %s", key, before, g.ID)
		}
		ids[key] = g.ID
	}
}

var errDown = errors.New("disk full")

// TestCrashBetweenSendAndWrite: the process dies after the receiver's 2xx and
// before anything is written.
func TestCrashBetweenSendAndWrite(t *testing.T) {
	var down, crashed atomic.Bool
	inWorld(t, func(w *world) {
		w.endpoint("main", func(got, http.Header) int {
			down.Store(!crashed.Load()) // from now on no write gets through
			return http.StatusOK
		})
		w.emit("ord_1", event.OrderCanceled)
		w.expect("main", "ord_1", 1)
		w.pass(5 * time.Second)
		w.kill()
		crashed.Store(true)
		down.Store(false)
		w.pass(time.Minute)
		w.expect("main", "ord_1", 1, 1)
		sameIDs(t, w.at("main"))
	}, func(w *world) {
		w.engine = memory.New(memory.WithFaults(func(op, collection, _ string) memory.Fault {
			if collection == "queues" && op == memory.OpUpdate && down.Load() {
				return memory.Fault{Before: errDown}
			}
			return memory.Fault{}
		}))
	})
}

// TestStoreThatIsAwayForAWhile: without a crash nothing is sent twice.
func TestStoreThatIsAwayForAWhile(t *testing.T) {
	var fails atomic.Int64
	inWorld(t, func(w *world) {
		w.endpoint("main", func(got, http.Header) int {
			fails.Store(5)
			return http.StatusOK
		})
		w.emit("ord_1", event.OrderCanceled)
		w.pass(10 * time.Minute)
		w.expect("main", "ord_1", 1)
		if d := w.deliveries("ord_1"); len(d) != 1 || d[0].GetDeliveredTime() == nil {
			t.Errorf("deliveries %v", d)
		}
	}, func(w *world) {
		w.engine = memory.New(memory.WithFaults(func(op, collection, _ string) memory.Fault {
			if collection == "queues" && op == memory.OpUpdate && fails.Add(-1) >= 0 {
				return memory.Fault{Before: errDown}
			}
			return memory.Fault{}
		}))
	})
}

// TestWorseStore: every write may fail before or after, or run twice; every
// event still arrives, in sequence but for repeats with the same id.
func TestWorseStore(t *testing.T) {
	var n atomic.Int64
	inWorld(t, func(w *world) {
		w.endpoint("main", failing(1))
		n.Store(1) // faults begin
		for i := range 20 {
			w.emit(fmt.Sprintf("ord_%d", i), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)
		}
		w.pass(2 * time.Hour)
		for i := range 20 {
			order := fmt.Sprintf("ord_%d", i)
			seen := int64(0)
			for _, s := range w.sequences("main", order) {
				if s > seen+1 {
					t.Errorf("%s: %v", order, w.sequences("main", order))
				}
				seen = max(seen, s)
			}
			if seen != 4 {
				t.Errorf("%s: %v", order, w.sequences("main", order))
			}
		}
		sameIDs(t, w.at("main"))
		synctest.Wait()
	}, func(w *world) {
		w.engine = memory.New(memory.WithFaults(func(op, collection, _ string) memory.Fault {
			if n.Load() == 0 || collection != "queues" {
				return memory.Fault{}
			}
			switch n.Add(1) % 7 {
			case 0:
				return memory.Fault{Before: errDown}
			case 3:
				return memory.Fault{After: errDown}
			case 5:
				return memory.Fault{Rerun: true}
			}
			return memory.Fault{}
		}))
	})
}

// writes is how often all queues together were written.
func (w *world) writes() int64 {
	w.t.Helper()
	store, err := w.engine.Open(w.t.Context(), docstore.StoreSpec{Name: "queues", Indexes: []string{"latest", "paused", "single"}})
	if err != nil {
		w.t.Fatal(err)
	}
	sum := int64(0)
	for after := ""; ; {
		page, err := store.Find(w.t.Context(), docstore.Query{AllTenants: true, Limit: 1000, After: after})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, rec := range page.Records {
			sum += rec.Version
		}
		if after = page.Next; after == "" {
			return sum
		}
	}
}
