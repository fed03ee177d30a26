package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"quittance/pkg/id"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/standalone"
)

// screen is a device with a colour scheme.
type screen struct {
	device, scheme string
	width, height  int64
}

var screens = []screen{
	{"phone", "light", 390, 844}, {"phone", "dark", 390, 844}, {"desktop", "light", 1280, 860}, {"desktop", "dark", 1280, 860},
}

// on makes the browser a device.
func (s screen) on(ctx context.Context, t *testing.T) {
	t.Helper()
	do(ctx, t, "be a "+s.device, chromedp.EmulateViewport(s.width, s.height))
	s.as(ctx, t, "screen")
}

// as makes the browser show pages as the medium does, a screen or a printer.
func (s screen) as(ctx context.Context, t *testing.T, medium string) {
	t.Helper()
	do(ctx, t, "be a "+s.scheme+" "+medium, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Media: medium, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s.scheme}},
		})
		return err
	}))
}

// script switches the pages' own scripts on or off.
func script(ctx context.Context, t *testing.T, on bool) {
	t.Helper()
	do(ctx, t, "scripts", chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
		return err
	}))
}

// gallery are pages of every kind, by name: ways to get there by address alone.
func gallery(t *testing.T, w *world) map[string]string {
	t.Helper()
	pages := map[string]string{}
	at := func(o *orderv1.Order) (pay, order string) {
		return o.GetPayUrl(), strings.Replace(o.GetPayUrl(), "/pay/", "/orders/", 1)
	}
	unpaid := w.order(item("notepad", 2), item("backup", 1))
	pages["pay"], pages["order-unpaid"] = at(unpaid)
	_, order := at(unpaid)
	pages["confirmation"] = order + "/receipt"

	transfer := w.order(item("backup", 3))
	a := retried(w, w.payments.StartPayment, startOffline(transfer))
	pages["pay-under-way"], pages["order-transfer"] = at(transfer)
	pages["how-to-pay"] = transfer.GetPayUrl() + "/how/" + a.GetId()

	done := retried(w, w.orders.CreateOrder, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Prepaid: true, Items: []*orderv1.OrderItem{item("notepad", 2), item("handbook", 1)},
		Customer: &orderv1.Customer{Email: w.email, Name: "Ada Lovelace", Company: "Analytical Engines Ltd", VatId: "GB123456789", Address: "12 St James's Square\nLondon"},
	})
	w.awaitDelivered(done.GetId())
	_, pages["order-done"] = at(done)
	pages["receipt"] = pages["order-done"] + "/receipt"

	canceled := w.order(item("notepad", 1))
	if _, err := w.orders.CancelOrder(t.Context(), &orderv1.CancelOrderRequest{OrderId: canceled.GetId()}); err != nil {
		t.Fatal(err)
	}
	_, pages["order-canceled"] = at(canceled)
	pages["not-found"] = w.public + "/pay/" + id.Token()
	pages["bad-link"] = w.public + "/checkout/demo/notepad?quantity=0"
	pages["checkout"] = w.public + "/checkout/demo/notepad?quantity=2&add=backup&returnUrl=" + w.shop + "/shop/"
	pages["strange-names"] = w.public + "/checkout/demo/notepad?discount=NOPE&name=" + "%D8%B9%D8%B1%D8%A8%D9%8A%20%F0%9F%8E%89&email=ada@example.org&reference=" + strings.Repeat("W", 60)
	pages["shop"] = w.shop + "/shop/"
	return pages
}

// TestPagesOfEveryKind: each page on phone and desktop, light and dark, in both
// languages, fits its screen, weighs little, loads nothing from elsewhere and
// passes axe; what is to be printed looks like it. QUITTANCE_TEST_SCREENSHOTS names a directory for pictures of all.
func TestPagesOfEveryKind(t *testing.T) {
	ctx := browserFor(t, 8*patience)
	w := start(t, setup{})
	axe := axeSource(t)
	pages := gallery(t, w)
	for name, address := range pages {
		for _, s := range screens {
			for _, lang := range []string{"en", "de"} {
				s.on(ctx, t)
				do(ctx, t, name, chromedp.Navigate(withLang(address, lang)))
				inspect(ctx, t, w, fmt.Sprintf("%s-%s-%s-%s", name, s.device, s.scheme, lang))
				if axe != "" && (s.device == "phone") == (lang == "en") {
					accessible(ctx, t, axe, name+" "+s.scheme)
				}
			}
		}
	}
	for _, name := range []string{"receipt", "confirmation", "how-to-pay"} {
		printed(ctx, t, name, pages[name])
	}
}

// printed looks at a page as a printer gets it from a dark screen: black on white,
// and nothing that only a screen can use.
func printed(ctx context.Context, t *testing.T, name, address string) {
	t.Helper()
	screens[3].on(ctx, t)
	do(ctx, t, name, chromedp.Navigate(address))
	screens[3].as(ctx, t, "print")
	sheet := do(ctx, t, "look at the sheet", chromedp.Evaluate[struct {
		Back, Text, Says string
		Useless          []string
	}](`(() => {
		const look = getComputedStyle(document.body);
		const shown = [...document.querySelectorAll("button, .button, form, footer, nav")].filter(e => e.getClientRects().length > 0);
		return {Back: look.backgroundColor, Text: look.color, Says: document.body.innerText, Useless: shown.map(e => e.outerHTML.slice(0, 200))};
	})()`))
	if sheet.Back != "rgb(255, 255, 255)" || sheet.Text != "rgb(0, 0, 0)" || len(sheet.Useless) > 0 || !strings.Contains(sheet.Says, "€") {
		t.Errorf("%s is printed as %+v", name, sheet)
	}
	shot(ctx, t, name+"-printed")
}

// TestMailsInTheBrowser: each kind of mail, in both languages, fits a phone and a
// desktop, loads nothing from elsewhere and passes axe.
func TestMailsInTheBrowser(t *testing.T) {
	ctx := browserFor(t, 4*patience)
	w, forward := later(t)
	for _, lang := range []string{"en", "de"} {
		o := w.orderIn(lang, item("notepad", 2), item("handbook", 1))
		w.transferred(o, retried(w, w.payments.StartPayment, startOffline(o)).GetId())
		w.awaitDelivered(o.GetId())
		w.orderIn(lang, item("backup", 1))
	}
	w.awaitLetters(receipt, 2)
	forward(3*24*time.Hour + time.Hour)
	w.awaitLetters(reminder, 2)
	forward(88 * 24 * time.Hour)
	w.awaitLetters(expired, 2)
	axe := axeSource(t)
	for _, kind := range []string{instructions, receipt, reminder, expired} {
		for _, m := range w.letters(kind) {
			lang := "en"
			if strings.Contains(m.HTML, `lang="de"`) {
				lang = "de"
			}
			for _, s := range []screen{screens[0], screens[2]} {
				s.on(ctx, t)
				do(ctx, t, kind, chromedp.Navigate(fmt.Sprintf("%s/mails/%d/html", w.shop, m.Number)))
				name := fmt.Sprintf("mail-%s-%s-%s-%s", strings.TrimSuffix(kind, "_"), s.device, s.scheme, lang)
				inspect(ctx, t, w, name)
				if axe != "" && s.device == "phone" { // where scripts run
					do(ctx, t, kind, chromedp.Navigate("data:text/html;base64,"+base64.StdEncoding.EncodeToString([]byte(m.HTML))))
					accessible(ctx, t, axe, name)
				}
			}
		}
	}
}

func withLang(address, lang string) string {
	if strings.Contains(address, "?") {
		return address + "&lang=" + lang
	}
	return address + "?lang=" + lang
}

// inspect looks at the page as it stands, and takes its picture.
func inspect(ctx context.Context, t *testing.T, w *world, name string) {
	t.Helper()
	wide := do(ctx, t, "measure", chromedp.Evaluate[int]("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
	if wide > 0 {
		t.Errorf("%s is %d pixels wider than its screen", name, wide)
	}
	loaded := do(ctx, t, "weigh", chromedp.Evaluate[[]struct {
		Name string
		Size int `json:"decodedBodySize"`
	}](`[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")].map(e => ({Name: e.name, decodedBodySize: e.decodedBodySize}))`))
	weight := 0
	for _, l := range loaded {
		weight += l.Size
		if !strings.HasPrefix(l.Name, w.public+"/") && !strings.HasPrefix(l.Name, w.shop+"/") {
			t.Errorf("%s loads %s", name, l.Name)
		}
	}
	if weight == 0 || weight > 50<<10 {
		t.Errorf("%s weighs %d bytes", name, weight)
	}
	shot(ctx, t, name)
}

// axeSource is axe-core, if it is there: make .cache/axe.
func axeSource(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile(filepath.FromSlash("../../.cache/axe/node_modules/axe-core/axe.min.js"))
	if err != nil {
		t.Log("no axe-core in .cache/axe (make axe): accessibility is not checked")
		return ""
	}
	return string(source)
}

// accessible runs axe with the rules of WCAG 2.2 A and AA, and best practices.
func accessible(ctx context.Context, t *testing.T, axe, name string) {
	t.Helper()
	do(ctx, t, "load axe", chromedp.Evaluate[any](axe+";undefined"))
	found := do(ctx, t, "axe", chromedp.Evaluate[string](`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
		.then(r => JSON.stringify(r.violations.map(v => ({id: v.id, nodes: v.nodes.map(n => n.html + " " + n.failureSummary)}))))`, chromedp.EvalAwaitPromise))
	var violations []struct {
		ID    string
		Nodes []string
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Errorf("%s: axe %s:\n%s", name, v.ID, strings.Join(v.Nodes, "\n"))
	}
}

func startOffline(o *orderv1.Order) *paymentv1.StartPaymentRequest {
	return &paymentv1.StartPaymentRequest{IdempotencyKey: id.New("key"), OrderId: o.GetId(), AccountId: standalone.DemoOffline}
}
