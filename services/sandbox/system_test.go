package sandbox_test

import (
	"context"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"quittance/pkg/money"
	"quittance/pkg/provider"
	"quittance/pkg/provider/flexpay"
	"quittance/pkg/seal"
	"quittance/services/sandbox"
	"quittance/services/sandbox/client"
	"quittance/services/sandbox/internal/shop/shoptest"
)

// world is a sandbox as a program and a stand-in for the system. Real: all of the sandbox, HTTP, gRPC, SMTP and the
// provider adapter. Doubled: the system's pages (this file) and its order API (shoptest).
type world struct {
	t       *testing.T
	config  sandbox.Config
	sandbox *sandbox.Sandbox
	client  *client.Client
	api     *shoptest.API
	edge    *httptest.Server
	adapter *flexpay.Provider
	stop    func()

	mu      sync.Mutex
	acc     provider.Account
	claims  []provider.Claim
	returns map[string]int
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, adapter: flexpay.New(http.DefaultClient), returns: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/pay/{order}", w.pay)
	mux.HandleFunc("GET /return/{order}", w.back)
	mux.HandleFunc("GET /callbacks/flexpay/acc", w.callback)
	w.edge = httptest.NewServer(mux)
	t.Cleanup(w.edge.Close)
	w.api = shoptest.Start(t, w.edge.URL+"/pay/", shoptest.Product("editor", "Editor", 999))
	w.config = sandbox.Config{
		DataDir: t.TempDir(), OrderTarget: w.api.Target, ShopID: "68849", SignatureKey: "aSecretKey",
		PostbackURL: w.edge.URL + "/callbacks/flexpay/acc", PostbackPause: 1, Logger: slog.New(slog.DiscardHandler),
	}
	w.start()
	return w
}

func (w *world) start() {
	w.t.Helper()
	s, err := sandbox.New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	w.t.Cleanup(w.stop)
	w.sandbox, w.client = s, client.New(s.URL())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acc = provider.Account{
		Settings: map[string]string{"shop_id": "68849", "base_url": s.URL() + "/flexpay"},
		Secrets:  map[string]seal.Secret{"signature_key": "aSecretKey"},
	}
}

func (w *world) account() provider.Account {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acc
}

// pay is the pay page: a choice of methods, then the provider.
func (w *world) pay(rw http.ResponseWriter, r *http.Request) {
	order := r.PathValue("order")
	if r.Method == http.MethodGet {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(rw, `<form method="post" action="%s"><input type="hidden" name="key" value="k">
			<input type="radio" name="method" value="bank" checked><input type="radio" name="method" value="acc">
			<button>Continue</button></form>`, html.EscapeString("/pay/"+order))
		return
	}
	if r.FormValue("method") != "acc" || r.FormValue("key") != "k" {
		http.Error(rw, "pay by bank", http.StatusOK)
		return
	}
	total := w.api.Order(order).GetTotal()
	redirect, err := w.adapter.Redirect(w.account(), provider.Attempt{
		Reference: order, Amount: money.Amount{Minor: total.GetMinor(), Currency: total.GetCurrency()}, Description: "Order",
		ReturnURL: w.edge.URL + "/return/" + order, DeclineURL: w.edge.URL + "/return/" + order,
	})
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(rw, r, redirect.URL, http.StatusSeeOther)
}

// back is the return page: it asks for a moment's patience once, then sends the browser to the shop.
func (w *world) back(rw http.ResponseWriter, r *http.Request) {
	order := r.PathValue("order")
	claim, err := w.adapter.ParseReturn(w.account(), r.URL.Query())
	if err != nil && r.URL.RawQuery != "" {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	w.returns[order]++
	visits := w.returns[order]
	w.mu.Unlock()
	if visits == 1 {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(rw, `<meta http-equiv="refresh" content="0; url=`+html.EscapeString(r.URL.String())+`"><p>One moment`)
		return
	}
	status := "success"
	if claim.Failed {
		status = "error"
	}
	http.Redirect(rw, r, w.api.Order(order).GetReturnUrl()+"&fulfillmentStatus="+status, http.StatusSeeOther)
}

func (w *world) callback(rw http.ResponseWriter, r *http.Request) {
	callback, err := w.adapter.ParseCallback(w.account(), provider.Request{Method: r.Method, Query: r.URL.Query()})
	answer := provider.Recorded
	if err != nil {
		answer = provider.Refused
	} else {
		w.mu.Lock()
		w.claims = append(w.claims, callback.Claim)
		w.mu.Unlock()
	}
	response := w.adapter.Acknowledge(answer, err)
	rw.WriteHeader(response.Status)
	_, _ = io.WriteString(rw, response.Body)
}

// order fills in the shop's form and returns the pay page's address.
func (w *world) order(browser *client.Browser) string {
	w.t.Helper()
	page, err := browser.Open(w.t.Context(), w.sandbox.URL()+"/shop/")
	if err != nil || len(page.Forms) != 1 {
		w.t.Fatalf("shop: %+v, %v", page, err)
	}
	form := page.Forms[0]
	form.Fields.Set("email", "jo@example.org")
	page, err = browser.Submit(w.t.Context(), form, form.Buttons[0])
	if err != nil || !strings.HasPrefix(page.URL.String(), w.edge.URL+"/pay/") {
		w.t.Fatalf("after the shop: %+v, %v", page, err)
	}
	return page.URL.String()
}

// paths shortens the addresses of a visit to their paths.
func paths(w *world, urls []string) []string {
	w.t.Helper()
	short := make([]string, len(urls))
	for i, address := range urls {
		u, err := url.Parse(address)
		if err != nil {
			w.t.Fatal(err)
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/ord_")
		short[i] = first
	}
	return short
}
