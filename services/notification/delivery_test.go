package notification_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
)

func TestP7EveryEventArrivesInSequence(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)
		w.expect("main", "ord_1", 1, 2, 3, 4)
		for _, d := range w.deliveries("ord_1") {
			if d.GetState() != notificationv1.WebhookState_WEBHOOK_STATE_DELIVERED || d.GetTries() != 1 || d.GetLastResult() != "200 OK" || d.GetDeliveredTime() == nil {
				t.Errorf("delivery %v", d)
			}
		}
		w.bring(w.happen("rival", "ord_2", event.OrderCreated))
		w.expect("main", "ord_2") // another merchant's
	})
}

func TestSequenceIsKeptUnderRetries(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", failing(2))
		w.endpoint("other", fine)
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded, event.OrderDelivered)
		w.emit("ord_2", event.OrderCreated) // fails too, then goes its own way
		w.pass(time.Second)
		w.expect("main", "ord_1", 1)
		w.expect("other", "ord_1", 1, 2, 3) // does not wait for main
		w.pass(time.Hour)
		w.expect("main", "ord_1", 1, 1, 1, 2, 3)
		w.expect("main", "ord_2", 1, 1, 1)
		bodies := map[string]string{}
		for _, g := range w.at("main") {
			if before, again := bodies[g.ID]; again && before != g.Body {
				t.Errorf("the body of %s differs at a retry", g.ID)
			}
			bodies[g.ID] = g.Body
		}
	})
}

func TestDoubledEventsAreOneWebhook(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		e := w.happen("acme", "ord_1", event.OrderCreated)
		w.bring(e)
		e.Resend = 1
		w.bring(e)
		w.pass(10 * time.Second)
		e.Resend = 2
		w.bring(e)
		w.pass(5 * time.Minute)
		w.expect("main", "ord_1", 1)
	})
}

func TestDeadEndpointDelaysNobody(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("dead", silent)
		w.endpoint("main", slow(100*time.Millisecond))
		const n, every = 800, 40 * time.Millisecond
		for i := range n {
			w.emit(fmt.Sprintf("ord_%d", i), event.OrderCreated)
			w.pass(every)
		}
		w.pass(time.Second)
		if got := len(w.at("main")); got != n {
			t.Fatalf("main got %d of %d", got, n)
		}
		for i, g := range w.at("main") {
			if late := g.At - time.Duration(i)*every; late > 200*time.Millisecond {
				t.Fatalf("main got the %dth %v late", i, late)
			}
		}
		if tries := len(w.at("dead")); tries > 200 {
			t.Errorf("the dead endpoint was tried %d times in 32 s", tries)
		}
	}, func(w *world) { w.cfg.Workers = 160 })
}

func TestExhaustedEventBlocksNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("80 hours of virtual time take some seconds")
	}
	inWorld(t, func(w *world) {
		w.endpoint("main", failing(10))
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded)
		w.pass(60 * time.Hour)
		if d := w.deliveries("ord_1"); d[1].GetState() != notificationv1.WebhookState_WEBHOOK_STATE_PENDING || d[1].GetNextTryTime() == nil || d[0].GetNextTryTime() != nil {
			t.Errorf("after 60 hours %v", d)
		}
		w.pass(40 * time.Hour)
		w.expect("main", "ord_1", 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2)
		d := w.deliveries("ord_1")
		if d[1].GetState() != notificationv1.WebhookState_WEBHOOK_STATE_EXHAUSTED || d[1].GetTries() != 10 || d[1].GetLastResult() != "500 Internal Server Error" ||
			d[0].GetState() != notificationv1.WebhookState_WEBHOOK_STATE_DELIVERED {
			t.Errorf("deliveries %v", d)
		}
		// What failed for good can be replayed.
		if _, err := w.api.Replay(w.as("acme"), &notificationv1.ReplayRequest{EndpointId: "main", OrderId: "ord_1"}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		if got := w.sequences("main", "ord_1")[11:]; fmt.Sprint(got) != "[1 2]" {
			t.Errorf("replayed %v", got)
		}
	}, func(w *world) { w.cfg.CatchUp, w.cfg.DisableAfter = 24*time.Hour, 1000*time.Hour })
}

func TestRetryAfterOfTheReceiver(t *testing.T) {
	inWorld(t, func(w *world) {
		first := atomic.Bool{}
		w.endpoint("main", func(_ got, h http.Header) int {
			if first.CompareAndSwap(false, true) {
				h.Set("Retry-After", "600")
				return http.StatusTooManyRequests
			}
			return http.StatusOK
		})
		w.emit("ord_1", event.OrderCreated)
		w.pass(9 * time.Minute)
		w.expect("main", "ord_1", 1)
		w.pass(2 * time.Minute)
		w.expect("main", "ord_1", 1, 1)
	})
}

func TestSlowReceiverOutlastsNoLease(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", slow(9*time.Second))
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded, event.PaymentFailed, event.OrderOnHold, event.OrderDelivered)
		w.pass(5 * time.Minute)
		w.expect("main", "ord_1", 1, 2, 3, 4, 5)
	})
}

func TestGapIsFilledFromTheOrderService(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		w.emit("ord_1", event.OrderCreated)
		w.happen("acme", "ord_1", event.PaymentSucceeded) // lost by the bus
		w.emit("ord_1", event.OrderDelivered)
		w.pass(2 * time.Second)
		w.expect("main", "ord_1", 1)
		w.pass(2 * time.Second)
		w.expect("main", "ord_1", 1, 2, 3)
		w.pass(time.Hour)
		w.expect("main", "ord_1", 1, 2, 3)
	}, func(w *world) { w.cfg.CatchUp = 24 * time.Hour })
}

func TestGapWaitsForTheOrderService(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		w.happen("acme", "ord_1", event.OrderCreated)
		w.orders.set(true)
		w.emit("ord_1", event.PaymentSucceeded)
		w.pass(time.Minute)
		w.expect("main", "ord_1")
		w.orders.mu.Lock()
		asked := len(w.orders.asked)
		w.orders.mu.Unlock()
		if asked < 3 || asked > 20 {
			t.Errorf("asked %d times in a minute", asked)
		}
		w.orders.set(false)
		w.pass(10 * time.Minute)
		w.expect("main", "ord_1", 1, 2)
	}, func(w *world) { w.cfg.CatchUp = 24 * time.Hour })
}

func TestFilteredEventsLeaveNoGap(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine, event.PaymentSucceeded, event.OrderDelivered)
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)
		w.expect("main", "ord_1", 2, 4)
		if d := w.deliveries("ord_1"); len(d) != 2 {
			t.Errorf("deliveries %v", d)
		}
	})
}

func TestP7CatchUpFindsLostEvents(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		for i := range 10 { // several pages
			w.happen("acme", fmt.Sprintf("ord_%d", i), event.OrderCreated)
			w.happen("acme", fmt.Sprintf("ord_%d", i), event.PaymentSucceeded)
		}
		w.pass(61 * time.Second)
		for i := range 10 {
			w.expect("main", fmt.Sprintf("ord_%d", i), 1, 2)
		}
		w.happen("acme", "ord_late", event.OrderCreated)
		w.orders.set(true) // may be away when it is asked
		w.pass(2 * time.Minute)
		w.orders.set(false)
		w.pass(time.Minute)
		w.expect("main", "ord_late", 1)
	})
}

func TestCatchUpAtStart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		w.pass(10 * time.Second)
		w.stop()
		w.happen("acme", "ord_1", event.OrderCreated)
		w.start()
		w.pass(time.Second)
		w.expect("main", "ord_1", 1)
	}, func(w *world) { w.cfg.CatchUp = time.Hour })
}

// TestBacklogOfADeadEndpointRests: thousands of orders behind an endpoint that
// never answers cost few tries and few writes, and all of them come once it
// answers.
func TestBacklogOfADeadEndpointRests(t *testing.T) {
	inWorld(t, func(w *world) {
		alive := atomic.Bool{}
		w.endpoint("dead", func(got, http.Header) int {
			if alive.Load() {
				return http.StatusOK
			}
			return 0
		})
		const n = 250
		for i := range n {
			w.emit(fmt.Sprintf("ord_%03d", i), event.OrderCreated)
			w.pass(100 * time.Millisecond)
		}
		w.pass(15 * time.Minute)
		before, tries := w.writes(), len(w.at("dead"))
		w.pass(30 * time.Minute)
		if got := w.writes() - before; got > 2*n {
			t.Errorf("%d writes in half an hour for a backlog of %d", got, n)
		}
		if got := len(w.at("dead")) - tries; got > 200 || got == 0 {
			t.Errorf("%d tries in half an hour", got)
		}
		alive.Store(true)
		w.pass(10 * time.Minute)
		// Those that have had tries wait for their next one, unless they are asked for.
		if _, err := w.api.ReplayRange(w.as("acme"), &notificationv1.ReplayRangeRequest{
			IdempotencyKey: "k", EndpointId: "dead", StartTime: timestamppb.New(w.began), FailedOnly: true,
		}); err != nil {
			t.Fatal(err)
		}
		w.pass(5 * time.Minute)
		for i := range n {
			w.expectLast("dead", fmt.Sprintf("ord_%03d", i), 1)
		}
		for _, d := range w.deliveries("") {
			if d.GetState() != notificationv1.WebhookState_WEBHOOK_STATE_DELIVERED {
				t.Errorf("left behind: %v", d)
			}
		}
		sameIDs(t, w.at("dead"))
	}, func(w *world) { w.cfg.CatchUp = 24 * time.Hour })
}
