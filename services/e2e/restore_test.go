package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// TestP3RestoredDeliveryStore: delivery's database is lost and an older copy put
// in its place. Reconciled with the orders' records, it hands out no key again.
func TestP3RestoredDeliveryStore(t *testing.T) {
	w := startProcesses(t, config(""), setup{})
	delivery := w.fleet.services["delivery"][0]
	db := filepath.Join(w.fleet.dirs["delivery"], "delivery.db")
	if err := delivery.terminate(); err != nil {
		t.Fatal(err)
	}
	older, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	delivery.start()
	delivery.ready()

	buy := func(units int64) (keys []string) {
		t.Helper()
		o := w.order(item("notepad", units))
		w.payAtProvider(w.startCards(o), map[string]string{"fault.skipRedirect": "on"})
		w.awaitDelivered(o.GetId())
		return w.keys(o.GetId())[1]
	}
	given := map[string]bool{}
	for _, key := range buy(60) { // of the 100 that the pool has
		given[key] = true
	}
	delivery.kill()
	for _, suffix := range []string{"-wal", "-shm"} {
		_ = os.Remove(db + suffix) // if it is there
	}
	if err := os.WriteFile(db, older, 0o600); err != nil {
		t.Fatal(err)
	}
	delivery.env = append(delivery.env, "QUITTANCE_DELIVERY_RECONCILE=true")
	delivery.start()
	delivery.ready()

	again := buy(40)
	if len(given) != 60 || len(again) != 40 {
		t.Errorf("%d and %d keys", len(given), len(again))
	}
	for _, key := range again {
		if given[key] {
			t.Error("P3: a key that its customer had before the loss went out again")
		}
	}
}
