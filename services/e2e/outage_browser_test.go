package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"quittance/pkg/testkit"
)

// tryAgain presses the button of the page that says so, until the page that it
// stands for is there.
func tryAgain(ctx context.Context, t *testing.T, words string) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		text, err := chromedp.Run(ctx, chromedp.Text("body"))
		if err != nil || strings.Contains(text, words) {
			return err
		}
		if strings.Contains(text, "Try again") {
			_, err = chromedp.RunResponse(ctx, chromedp.Click(`main form button`)) // a second press would cancel the first
		}
		return errors.Join(err, fmt.Errorf("no %q in %s", words, text))
	})
}

// TestTheCustomerMeetsEveryOutage: on the way from the link to the licence, the
// pages' own store, the order service and verification are down in turn. The
// customer is told each time, tries again with the button that is there, enters
// nothing twice, and has ordered and paid once. Without script.
func TestTheCustomerMeetsEveryOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("restarts processes: not with -short")
	}
	w := startProcesses(t, config(""), setup{fleet: fleetSetup{env: func(string) []string {
		return []string{"QUITTANCE_STORE_WAIT=500ms"}
	}}})
	ctx := browserFor(t, 4*patience)
	script(ctx, t, false)

	do(ctx, t, "open the link", chromedp.Navigate(w.public+"/checkout/demo/notepad?lang=en"))
	do(ctx, t, "address", chromedp.SetValue(`#email`, w.email))
	do(ctx, t, "name", chromedp.SetValue(`#name`, "Ada <عربي> 🎉"))
	do(ctx, t, "cards", chromedp.Click(`input[value^="demo-cards"]`))
	do(ctx, t, "agree", chromedp.Click(`#consent`))
	unlock := lockStore(t, filepath.Join(w.fleet.dirs["payment-redirect"], "payment.db"))
	do(ctx, t, "place it", chromedp.Click(`button[value="place"]`))
	reads(ctx, t, "Just a moment")
	shot(ctx, t, "outage-store")
	do(ctx, t, "try again, in vain", chromedp.Click(`main form button`))
	reads(ctx, t, "Nothing is lost")
	unlock()
	tryAgain(ctx, t, "Pay your order")
	o := w.only()
	if c := o.GetCustomer(); c.GetEmail() != w.email || c.GetName() != "Ada <عربي> 🎉" || o.GetConsent() == nil {
		t.Fatalf("ordered %v", o)
	}

	orders := w.fleet.services["order"][0]
	orders.kill()
	do(ctx, t, "continue", chromedp.Click(`form button`))
	reads(ctx, t, "Just a moment")
	orders.start()
	orders.ready()
	tryAgain(ctx, t, "Fault menu")
	do(ctx, t, "see the provider", chromedp.WaitVisible(`button[value="pay"]`))

	verification := w.fleet.services["verification"][0]
	verification.kill()
	do(ctx, t, "pay", chromedp.Click(`button[value="pay"]`))
	reads(ctx, t, "Waiting for your payment")
	w.untouched(o.GetId())
	verification.start()
	verification.ready()
	reads(ctx, t, "Your order is complete") // by itself
	if o := w.only(); len(w.keys(o.GetId())[1]) != 1 || len(w.mails()) != 1 {
		t.Fatalf("%v: %d mails", o, len(w.mails()))
	}
}
