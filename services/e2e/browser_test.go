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
	open(ctx, t)
	return ctx
}

// open opens the window of a context, which lives as long as that.
func open(ctx context.Context, t *testing.T) {
	t.Helper()
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a window: %v", err)
	}
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
		// Pages that come back from there, not from the server, are none that chromedp knows.
		chromedp.Flag("disable-features", "Translate,BackForwardCache"),
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
	within, cancel := context.WithTimeout(ctx, patience/2)
	defer cancel()
	value, err := chromedp.Run(within, action)
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
	w := start(t, setup{})
	w.everywhere(t, func(v *visitor) {
		v.opens(v.shop + "/shop/")
		v.fills(`input[name="q.notepad"]`, "2")
		v.fills(`input[name="q.handbook"]`, "1")
		v.fills(`input[name="email"]`, v.email)
		v.clicks(`form button`)
		v.paysByCard()
		v.arrives("fulfillmentStatus=success")
		o := v.awaitDelivered(v.only().GetId())
		v.checkMails(v.keys(o.GetId()))
		v.opens(o.GetPayUrl())
		v.reads("Your order is complete")
		for _, m := range v.mails() {
			v.opens(fmt.Sprintf("%s/mails/%d", v.shop, m.Number))
			text := do(v.ctx, v.test, "read it", chromedp.Text(`main`))
			for _, k := range v.keys(o.GetId())[1] {
				if strings.Contains(m.Text, k) && !strings.Contains(text, k) {
					v.t.Fatalf("the page of a mail lacks its key: %s", text)
				}
			}
		}
	})
}
