package e2e

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"quittance/pkg/event"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	"quittance/services/bench"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// TestAnOrderCostsFewWrites: one order of one product, one unit, with one
// endpoint that subscribes to the four events of the mission (three of them
// happen), costs at most 22 document writes and 10 messages over all services: 20,
// and two for the mail with the receipt.
func TestAnOrderCostsFewWrites(t *testing.T) {
	var mu sync.Mutex
	var detail []string
	counted := &bench.Tally{Detail: func(text string) {
		mu.Lock()
		defer mu.Unlock()
		detail = append(detail, text)
	}}
	w := start(t, setup{options: standalone.Options{Engine: counted.Engine, Bus: counted.Bus}})
	if _, err := w.notifications.PutEndpoint(t.Context(), &notificationv1.PutEndpointRequest{Endpoint: &notificationv1.Endpoint{
		Id: standalone.DemoEndpoint, Url: w.webhookURL,
		EventTypes: []string{event.OrderCreated, event.PaymentSucceeded, event.PaymentFailed, event.ProductDelivered},
	}}); err != nil {
		t.Fatal(err)
	}
	settle := func() { // until nothing is written for as long as batches take
		for {
			before := counted.Counts().Sum().Done()
			timer := time.NewTimer(4 * time.Second)
			<-timer.C
			if counted.Counts().Sum().Done() == before {
				return
			}
		}
	}
	w.order(item("notepad", 1)) // everything is known everywhere
	settle()
	before := counted.Counts()
	mu.Lock()
	detail = nil
	mu.Unlock()

	o := w.order(item("notepad", 1))
	if visit := w.pay(o, client.Pay{}); visit.FulfillmentStatus() != "success" {
		t.Fatal(visit.Last.URL)
	}
	w.awaitDelivered(o.GetId())
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered)
	settle()

	counts := counted.Counts().Since(before)
	sum := counts.Sum()
	t.Logf("%-14s %7s %7s %7s %9s", "service", "reads", "writes", "marks", "messages")
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		c := counts[name]
		t.Logf("%-14s %7d %7d %7d %9d", name, c.Reads(), c.Writes(), c.Marks, c.Messages)
	}
	t.Logf("%-14s %7d %7d %7d %9d", "all", sum.Reads(), sum.Writes(), sum.Marks, sum.Messages)
	if n := sum.Writes(); n > 22 {
		t.Errorf("%d writes", n)
	}
	if n := sum.Messages; n > 10 {
		t.Errorf("%d messages", n)
	}
	if t.Failed() || testing.Verbose() {
		mu.Lock()
		defer mu.Unlock()
		for i, d := range detail {
			t.Logf("%2d %s", i+1, d)
		}
	}
}
