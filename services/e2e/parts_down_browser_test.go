package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"quittance/pkg/testkit"
)

// TestPartsDownInTheBrowser: customers order and pay while payment-redirect's
// database, then the order service, then verification don't answer. They are told
// so, nothing that they have entered is lost, and trying again neither orders nor
// pays twice. P1.
func TestPartsDownInTheBrowser(t *testing.T) {
	waits(t)
	browser(t) // without one, no processes
	cfg := config("")
	cfg.ReturnWait = time.Second
	w := startProcesses(t, cfg, setup{})
	all := w.visitors(t)
	database := filepath.Join(w.fleet.dirs["payment-redirect"], "payment.db")
	orders, verification := w.fleet.services["order"][0], w.fleet.services["verification"][0]

	together(t, all, "checkout on a", func(v *visitor) {
		v.opens(v.public + "/checkout/demo/notepad?lang=en&quantity=2")
		v.fills("#email", v.email)
		v.fills("#name", "Ada Lovelace")
		v.clicks(`input[value^="demo-cards"]`)
		v.clicks("#consent")
	})
	unlock := lockStore(t, database)
	together(t, all, "order without a database on a", func(v *visitor) {
		v.clicks(`button[value="place"]`)
		v.reads("Nothing is lost: please try again")
	})
	orders.kill()
	unlock()
	together(t, all, "order without the order service on a", func(v *visitor) {
		v.clicks("main .button")
		v.reads("What you entered is kept, nothing was charged, and trying again can't order twice.")
	})
	orders.start()
	orders.ready()
	together(t, all, "order in the end on a", func(v *visitor) {
		v.triesUntil("Pay your order")
		v.reads("€39.98")
		if o := v.only(); o.GetCustomer().GetName() != "Ada Lovelace" || o.GetConsent().GetTermsVersion() == "" {
			v.t.Errorf("order %v", o)
		}
	})

	unlock = lockStore(t, database)
	together(t, all, "choose without a database on a", func(v *visitor) {
		v.clicks("form button")
		v.reads("Nothing is lost: please try again")
	})
	unlock()
	together(t, all, "go to pay on a", func(v *visitor) {
		v.triesUntil("Pay your order")
		v.clicks(`input[value^="demo-cards"]`)
		v.clicks("form button")
		v.sees(`button[value="pay"]`)
	})

	verification.kill()
	together(t, all, "pay without verification on a", func(v *visitor) {
		v.clicks(`button[value="pay"]`)
		v.reads("Waiting for your payment", "the confirmation is on its way")
		v.untouched(v.only().GetId())
	})
	orders.kill()
	together(t, all, "look without the order service on a", func(v *visitor) {
		v.does("reload", chromedp.Reload())
		v.reads("Nothing is lost: please try again")
	})
	orders.start()
	verification.start()
	orders.ready()
	verification.ready()
	together(t, all, "wait on a", func(v *visitor) {
		v.triesUntil("Your order is complete") // by itself, once there is an answer
		o := v.awaitDelivered(v.only().GetId())
		for _, key := range v.keys(o.GetId())[1] {
			v.reads(key)
		}
		testkit.Eventually(v.t, patience, func() error {
			if goods, receipts := len(v.mails()), len(v.letters(receipt)); goods != 1 || receipts != 1 {
				return fmt.Errorf("%d mails with keys, %d receipts", goods, receipts)
			}
			return nil
		})
	})
	if book, err := w.sandbox.Book(t.Context()); err != nil || len(book.Sales) != len(all) {
		t.Errorf("%v: %d sales of %d orders", err, len(book.Sales), len(all))
	}
}
