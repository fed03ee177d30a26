package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// chromium is the one browser of a test run, started when it is first needed.
// Each customer gets a window that shares nothing with others.
var chromium = struct {
	sync.Mutex
	ctx  context.Context
	stop func()
}{stop: func() {}}

// browser is a window of a real headless Chromium, or skips the test if there is
// none.
func browser(t *testing.T) context.Context {
	t.Helper()
	return browserFor(t, 2*patience)
}

// browserFor is a window for a walk that may take so long. Not with -short: the
// race detector, for which that is, sees what scripted walks show it.
func browserFor(t *testing.T, longest time.Duration) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("real browsers: not with -short")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium on this machine: the walk through real pages is not taken")
	}
	all, err := startChromium(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := chromedp.NewContext(all, chromedp.WithNewBrowserContext())
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, longest)
	t.Cleanup(stop)
	return ctx
}

// startChromium starts the browser unless it is there. It outlives the test that
// needed it first; TestMain ends it.
func startChromium(path string) (context.Context, error) {
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.ctx != nil && chromium.ctx.Err() == nil {
		return chromium.ctx, nil
	}
	chromium.stop()
	dir, err := os.MkdirTemp("", "quittance-chromium-")
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(dir),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.WindowSize(1000, 900))
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closed := chromedp.NewContext(allocator)
	chromium.stop = func() {
		closed()
		end()
		_ = os.RemoveAll(dir)
	}
	if err := chromedp.Do(ctx); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	chromium.ctx = ctx
	return ctx, nil
}

// do runs a step in the browser and returns its value.
func do[T any](ctx context.Context, t *testing.T, step string, action chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		at, _ := chromedp.Run(ctx, chromedp.Location())
		t.Fatalf("%s: %v, at %s", step, err, at)
	}
	return value
}

// shot takes a picture into the directory QUITTANCE_TEST_SCREENSHOTS, if set.
func shot(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	if dir := os.Getenv("QUITTANCE_TEST_SCREENSHOTS"); dir != "" {
		png := do(ctx, t, name, chromedp.FullScreenshot(100))
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAPersonClicksFromTheShopToTheLicence: shop, pay page, provider, back to
// the shop, mail, in a real browser that enforces our content security policy.
func TestAPersonClicksFromTheShopToTheLicence(t *testing.T) {
	ctx := browser(t)
	w := start(t, setup{})
	shop := w.shop

	do(ctx, t, "open the shop", chromedp.Navigate(shop+"/shop/"))
	do(ctx, t, "see the shop", chromedp.WaitVisible(`input[name="q.notepad"]`))
	shot(ctx, t, "1-shop")
	do(ctx, t, "two of the first", chromedp.SetValue(`input[name="q.notepad"]`, "2"))
	do(ctx, t, "one of the other", chromedp.SetValue(`input[name="q.handbook"]`, "1"))
	do(ctx, t, "address", chromedp.SetValue(`input[name="email"]`, w.email))
	do(ctx, t, "buy", chromedp.Click(`form button`))
	do(ctx, t, "see the pay page", chromedp.WaitVisible(`input[name="method"]`))
	shot(ctx, t, "2-pay")
	do(ctx, t, "choose cards", chromedp.Click(`input[value="demo-cards"]`))
	do(ctx, t, "continue", chromedp.Click(`form button`))
	do(ctx, t, "see the provider", chromedp.WaitVisible(`button[value="pay"]`))
	shot(ctx, t, "3-provider")
	do(ctx, t, "pay", chromedp.Click(`button[value="pay"]`))
	testkit.Eventually(t, patience, func() error {
		at, err := chromedp.Run(ctx, chromedp.Location())
		if err == nil && !strings.Contains(at, "fulfillmentStatus=success") {
			err = fmt.Errorf("not back, but at %s", at)
		}
		return err
	})
	do(ctx, t, "see the shop again", chromedp.WaitVisible(`main`))
	shot(ctx, t, "4-back")

	list, err := w.orders.ListOrders(t.Context(), &orderv1.ListOrdersRequest{})
	if err != nil || len(list.GetOrders()) != 1 {
		t.Fatal(list, err)
	}
	o := w.awaitDelivered(list.GetOrders()[0].GetId())
	w.checkMails(w.keys(o.GetId()))
	do(ctx, t, "open the order", chromedp.Navigate(o.GetPayUrl()))
	do(ctx, t, "see the order", chromedp.WaitVisible(`main`))
	shot(ctx, t, "5-order")
	for i, m := range w.mails() {
		do(ctx, t, "open a mail", chromedp.Navigate(fmt.Sprintf("%s/mails/%d", shop, m.Number)))
		text := do(ctx, t, "read it", chromedp.Text(`main`))
		shot(ctx, t, fmt.Sprintf("6-mail-%d", i))
		for _, k := range w.keys(o.GetId())[1] {
			if strings.Contains(m.Text, k) && !strings.Contains(text, k) {
				t.Fatalf("the page of a mail lacks its key: %s", text)
			}
		}
	}
}
