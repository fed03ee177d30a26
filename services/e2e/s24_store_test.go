package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"quittance/pkg/testkit"
	callbackv1 "quittance/proto/gen/go/quittance/callback/v1"
	"quittance/services/sandbox/client"
)

// lockStore makes a SQLite database unusable for the program that has it open,
// as a disk does that no longer answers: it takes the locks of SQLite's shared
// memory, which readers and writers need (sqlite.org/walformat.html, "WAL
// Locks": bytes 120 to 127).
func lockStore(t testing.TB, db string) (unlock func()) {
	t.Helper()
	f, err := os.OpenFile(db+"-shm", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for b := int64(120); b < 128; b++ {
		lock := &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: b, Len: 1}
		testkit.Eventually(t, patience, func() error { return syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, lock) })
	}
	return func() { _ = f.Close() } // and with it all locks go
}

// TestS24CallbackStoreDown: callbacks are acknowledged while the store of
// callback-ingest is down, their orders are delivered, and nothing is lost. P2.
func TestS24CallbackStoreDown(t *testing.T) {
	waits(t)
	w := startProcesses(t, config(""), setup{fleet: fleetSetup{env: func(string, int) []string {
		return []string{"QUITTANCE_STORE_WAIT=500ms"}
	}}})
	w.awaitDelivered(w.inFlight(1)[0])

	unlock := lockStore(t, filepath.Join(w.fleet.dirs["callback-ingest"], "callback.db"))
	ctx := t.Context()
	var orders []string
	for range 3 {
		o := w.order(item("notepad", 1))
		orders = append(orders, o.GetId())
		a := w.startCards(o)
		w.payAtProvider(a, map[string]string{"fault.skipRedirect": "on"})
		testkit.Eventually(t, patience, func() error {
			report, err := w.sandbox.Postback(ctx, client.PostbackOrder{Reference: a.GetReference()})
			if err != nil {
				return err
			}
			if last := report.Attempts[len(report.Attempts)-1]; last.Body != "OK" {
				return fmt.Errorf("answered %d %q %s", last.Status, last.Body, last.Error)
			}
			return nil
		})
	}
	short, err := w.callbacks.ListCallbacks(ctx, &callbackv1.ListCallbacksRequest{})
	if err == nil {
		t.Fatalf("the store is not down: %d callbacks are listed", len(short.GetCallbacks()))
	}
	timer := time.NewTimer(time.Duration(setting(t, "QUITTANCE_TEST_OUTAGE", 5)) * time.Second)
	<-timer.C
	unlock()

	for _, orderID := range orders {
		w.awaitDelivered(orderID)
	}
	testkit.Eventually(t, patience, func() error {
		list, err := w.callbacks.ListCallbacks(ctx, &callbackv1.ListCallbacksRequest{})
		if err != nil {
			return err
		}
		if n := len(list.GetCallbacks()); n != 1+len(orders) {
			return fmt.Errorf("%d callbacks are on record, %d were acknowledged", n, 1+len(orders))
		}
		return nil
	})
	if book, err := w.sandbox.Book(ctx); err != nil || len(book.Sales) != 1+len(orders) {
		t.Fatal(errors.Join(err, fmt.Errorf("%d sales", len(book.Sales))))
	} else {
		for _, sale := range book.Sales {
			if sale.State != client.Approved {
				t.Errorf("P2: the provider did not get its OK: %s", sale.State)
			}
		}
	}
}
