package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"quittance/pkg/testkit"
)

// visitor is a customer with a window of the browser, and with an address, of
// their own.
type visitor struct {
	*world
	ctx    context.Context
	name   string
	script bool
	// test is the one whose story is told.
	test *testing.T
}

// visitors are four customers of one system: on a phone or a desktop, with script
// or without.
func (w *world) visitors(t *testing.T) []*visitor {
	t.Helper()
	var all []*visitor
	for _, s := range []screen{screens[0], screens[2]} {
		for _, on := range []bool{true, false} {
			v := &visitor{ctx: browserFor(t, 6*patience), name: s.device + " with script", script: on}
			if !on {
				v.name = s.device + " without script"
			}
			own := *w
			own.email = strings.ReplaceAll(v.name, " ", "-") + "." + w.email
			v.world = &own
			s.on(v.ctx, t)
			script(v.ctx, t, on)
			all = append(all, v)
		}
	}
	return all
}

// everywhere tells a story of each of four customers, all at once.
func (w *world) everywhere(t *testing.T, story func(*visitor)) {
	t.Helper()
	together(t, w.visitors(t), "on a", story)
}

// together has all customers do the same at once, and waits for them.
func together(t *testing.T, all []*visitor, what string, story func(*visitor)) {
	t.Helper()
	var wg sync.WaitGroup
	for _, v := range all {
		wg.Go(func() {
			t.Run(what+" "+v.name, func(t *testing.T) {
				v.t, v.test = t, t
				story(v)
			})
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func (v *visitor) does(step string, a chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	do(v.ctx, v.test, step, a)
}

// opens goes to an address; where the page before is about to lead somewhere
// itself, again.
func (v *visitor) opens(address string) {
	v.t.Helper()
	testkit.Eventually(v.test, patience, func() error {
		_, err := chromedp.Run(v.ctx, chromedp.Navigate(address))
		if err != nil && !strings.Contains(err.Error(), "net::ERR_ABORTED") {
			v.test.Fatalf("open %s: %v", address, err)
		}
		return err
	})
}

// opensFor opens an address and gives the status of the answer.
func (v *visitor) opensFor(address string) int {
	v.t.Helper()
	return int(do(v.ctx, v.test, "open "+address, chromedp.NavigateResponse(address)).Status)
}

func (v *visitor) clicks(selector string) {
	v.t.Helper()
	v.does("click "+selector, chromedp.Click(selector))
}

func (v *visitor) fills(selector, value string) {
	v.t.Helper()
	v.does("fill "+selector, chromedp.SetValue(selector, value))
}

func (v *visitor) sees(selector string) {
	v.t.Helper()
	v.does("see "+selector, chromedp.WaitVisible(selector))
}

func (v *visitor) reads(words ...string) {
	v.t.Helper()
	for _, s := range words {
		reads(v.ctx, v.test, s)
	}
}

// readsNot asserts that the page as it stands does not say something.
func (v *visitor) readsNot(words ...string) {
	v.t.Helper()
	text := do(v.ctx, v.test, "read all", chromedp.Text("body"))
	for _, s := range words {
		if strings.Contains(text, s) {
			v.t.Fatalf("%q is in %s", s, text)
		}
	}
}

// arrives waits until the address of the page has a part.
func (v *visitor) arrives(part string) (address string) {
	v.t.Helper()
	testkit.Eventually(v.t, patience, func() (err error) {
		if address, err = chromedp.Run(v.ctx, chromedp.Location()); err == nil && !strings.Contains(address, part) {
			err = fmt.Errorf("at %s, not at %s", address, part)
		}
		return err
	})
	return address
}

// paysByCard walks from the pay page through the provider's.
func (v *visitor) paysByCard() {
	v.t.Helper()
	v.toProvider()
	v.clicks(`button[value="pay"]`)
}

// toProvider walks from the pay page to the provider's, and gives its address.
func (v *visitor) toProvider() string {
	v.t.Helper()
	v.clicks(`input[value^="demo-cards"]`)
	v.clicks(`main form button`)
	v.sees(`button[value="pay"]`)
	return do(v.ctx, v.test, "where", chromedp.Location())
}

// readsKeys waits until the page shows all licence keys of an order.
func (v *visitor) readsKeys(orderID string) {
	v.t.Helper()
	for _, keys := range v.keys(orderID) {
		v.reads(keys...)
	}
}

// isTrue asserts what a script finds in the page as it stands.
func (v *visitor) isTrue(what, script string) {
	v.t.Helper()
	if !do(v.ctx, v.test, what, chromedp.Evaluate[bool](script)) {
		v.t.Errorf("not so: %s", what)
	}
}

// tab is the same customer with another tab.
func (v *visitor) tab() *visitor {
	v.t.Helper()
	second := *v
	ctx, stop := chromedp.NewContext(v.ctx)
	v.test.Cleanup(stop)
	second.ctx = ctx
	open(ctx, v.test)
	script(ctx, v.test, v.script)
	return &second
}

// triesUntil presses "try again" as often as a page has it, until one says
// something.
func (v *visitor) triesUntil(words string) {
	v.t.Helper()
	v.clicks("main .button")
	testkit.Eventually(v.t, patience, func() error {
		text, err := chromedp.Run(v.ctx, chromedp.Text("body"))
		if err == nil && !strings.Contains(text, words) {
			if err = fmt.Errorf("no %q in %s", words, text); strings.Contains(text, "Try again") {
				v.clicks("main .button")
			}
		}
		return err
	})
}
