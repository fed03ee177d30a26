package e2e

import (
	"fmt"
	"os"
	"testing"
	"time"

	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// inFlight pays n orders, whose events may not get far.
func (w *world) inFlight(n int) (orderIDs []string) {
	w.t.Helper()
	for range n {
		o := w.order(item("notepad", 1))
		orderIDs = append(orderIDs, o.GetId())
		w.payAtProvider(w.startCards(o), map[string]string{"fault.skipRedirect": "on"})
	}
	return orderIDs
}

// TestS23BusLostAndSetBack: JetStream's directory is replaced by an older copy,
// and then deleted, while orders are in flight. All are delivered, once, and
// every customer gets a receipt, or is told how to pay. P5.
func TestS23BusLostAndSetBack(t *testing.T) {
	w := startProcesses(t, config(""), setup{})
	bus := w.fleet.nats[0]
	stop := func() {
		t.Helper()
		if err := bus.terminate(); err != nil {
			t.Log("NATS ended: ", err) // it says so of a signal
		}
	}
	first := w.inFlight(2)
	for _, orderID := range first {
		w.awaitDelivered(orderID)
	}
	stop()
	older := t.TempDir()
	if err := os.CopyFS(older, os.DirFS(bus.dir)); err != nil {
		t.Fatal(err)
	}
	bus.start()
	bus.ready()

	orders := append(first, w.inFlight(3)...)
	bus.kill()
	orders = append(orders, w.inFlight(2)...)
	if err := os.RemoveAll(bus.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(bus.dir, os.DirFS(older)); err != nil {
		t.Fatal(err)
	}
	bus.start()
	bus.ready()

	orders = append(orders, w.inFlight(3)...)
	transfer := func() { retried(w, w.payments.StartPayment, startOffline(w.order(item("notepad", 1)))) }
	transfer()
	transfer()
	bus.kill()
	transfer()
	orders = append(orders, w.inFlight(2)...)
	if err := os.RemoveAll(bus.dir); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	bus.start()
	bus.ready()

	owner := map[string]string{}
	for _, orderID := range orders {
		w.awaitWithin(3*time.Minute, orderID, "paid and delivered", func(o *orderv1.Order) bool {
			return o.GetPaymentState() == paid && o.GetDeliveryState() == delivered
		})
		keys := w.keys(orderID)[1]
		if len(keys) != 1 || owner[keys[0]] != "" {
			t.Errorf("P3: %s has %d keys, one of which is that of %s", orderID, len(keys), owner[keys[0]])
			continue
		}
		owner[keys[0]] = orderID
	}
	t.Logf("%d orders delivered, the last one %s after the bus was empty", len(orders), time.Since(begun).Round(time.Second))
	// Mails have nobody who waits for them: notification reads on by itself, and the
	// cause of instructions is said again.
	distinct := func(kind string) int {
		ids := map[string]bool{}
		for _, m := range w.letters(kind) {
			ids[m.MessageID] = true
		}
		return len(ids)
	}
	testkit.Eventually(t, 3*time.Minute, func() error {
		if paid, open := distinct(receipt), distinct(instructions); paid != len(orders) || open != 3 {
			return fmt.Errorf("%d receipts of %d orders, %d mails with instructions of 3", paid, len(orders), open)
		}
		return nil
	})
}
