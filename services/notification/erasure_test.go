package notification_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/testkit"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
)

// TestErasedCustomersAreInNoWebhook: what waits for an endpoint goes out without
// personal data; late repeats bring none, also to endpoints that are new. P7: none
// is left out.
func TestErasedCustomersAreInNoWebhook(t *testing.T) {
	inWorld(t, func(w *world) {
		var up atomic.Bool
		w.endpoint("slow", func(got, http.Header) int {
			if up.Load() {
				return 200
			}
			return 503
		})
		w.sell("ord_1", map[string]string{"note": "canary"}, "tool")
		created, canceled := w.happen("acme", "ord_1", event.OrderCreated), w.happen("acme", "ord_1", event.OrderCanceled)
		w.bring(created, canceled)
		w.pass(time.Second)
		holding := func() []string { return testkit.Holding(t, w.engine, []string{"queues", "parked"}, "canary") }
		if found := holding(); len(found) != 1 {
			t.Fatalf("before: %v", found)
		}
		w.sold["ord_1"].Metadata = nil
		w.orders.mu.Lock()
		for _, e := range w.orders.events {
			e.GetOrder().Metadata = nil
		}
		w.orders.mu.Unlock()
		erased := w.happen("acme", "ord_1", event.CustomerErased)
		for range 2 {
			w.bring(erased)
			if found := holding(); len(found) > 0 {
				t.Errorf("found in %v", found)
			}
		}
		// The bus is set back, and there is another endpoint meanwhile.
		w.put(&notificationv1.Endpoint{Id: "new", Url: "https://new.example/in"})
		w.bring(created, canceled, erased)
		if found := holding(); len(found) > 0 {
			t.Errorf("after a rewind in %v", found)
		}
		before := len(w.at("slow"))
		up.Store(true)
		w.pass(24 * time.Hour)
		w.expect("slow", "ord_1", append(w.sequences("slow", "ord_1")[:before:before], 1, 2, 3)...)
		for _, g := range w.at("slow")[before:] {
			if strings.Contains(g.Body, "canary") {
				t.Errorf("sent %s", g.Body)
			}
		}
	})
}
