package flexpay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/provider"
	wire "quittance/pkg/provider/flexpay"
	"quittance/pkg/seal"
	"quittance/pkg/testkit"
)

// world is a simulated vendor and a merchant that uses the real adapter. Real: HTTP both ways, the adapter, the ledger
// file. Doubled: the merchant's store (a list) and its acknowledgement, which a test may choose.
type world struct {
	t        *testing.T
	sim      *Simulator
	vendor   *httptest.Server
	merchant *httptest.Server
	adapter  *wire.Provider
	browser  *http.Client
	dir      string
	stop     func()

	mu        sync.Mutex
	acc       provider.Account // see account and setAccount
	callbacks []provider.Callback
	refused   []error
	answer    func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir()}
	w.merchant = httptest.NewServer(http.HandlerFunc(w.receive))
	t.Cleanup(w.merchant.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.browser = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	w.adapter = wire.New(http.DefaultClient)
	w.start()
	w.setAccount("1001", "aSecretKey")
	if err := w.adapter.CheckAccount(w.account()); err != nil {
		t.Fatal(err)
	}
	return w
}

// start opens the book in the world's directory and serves it; stop does what a kill does, but for the ports.
func (w *world) start() {
	w.t.Helper()
	sim, err := New(Config{
		Dir: w.dir, Shops: []Shop{{ID: "1001", SignatureKey: "aSecretKey", PostbackURL: w.merchant.URL + "/callback"}},
		Tries: 3, Pause: 10 * time.Millisecond, Timeout: 5 * time.Second, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	mux := http.NewServeMux()
	sim.Routes(mux)
	w.sim, w.vendor = sim, httptest.NewServer(mux)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- sim.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
		w.vendor.Close()
		if err := sim.Close(); err != nil {
			w.t.Errorf("Close: %v", err)
		}
	})
	w.t.Cleanup(func() { w.stop() })
}

func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
	w.setAccount("1001", "aSecretKey")
}

// setAccount makes the merchant use this account at the vendor's present address.
func (w *world) setAccount(shopID string, key seal.Secret) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acc = provider.Account{
		Settings: map[string]string{"shop_id": shopID, "base_url": w.vendor.URL + Prefix,
			"status.pending": "PENDING", "status.failed": "DECLINED", "status.refunded": "REFUNDED", "status.charged_back": "CHARGEBACK"},
		Secrets: map[string]seal.Secret{"signature_key": key},
	}
}

func (w *world) account() provider.Account {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acc
}

func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/callback") {
		_, _ = io.WriteString(rw, "welcome back")
		return
	}
	w.mu.Lock()
	answer := w.answer
	w.mu.Unlock()
	if answer != nil && answer(rw, r) {
		return
	}
	callback, err := w.adapter.ParseCallback(w.account(), provider.Request{Method: r.Method, Query: r.URL.Query()})
	verdict := provider.Recorded
	w.mu.Lock()
	if err != nil {
		verdict = provider.Refused
		w.refused = append(w.refused, err)
	} else {
		w.callbacks = append(w.callbacks, callback)
	}
	w.mu.Unlock()
	response := w.adapter.Acknowledge(verdict, err)
	rw.WriteHeader(response.Status)
	_, _ = io.WriteString(rw, response.Body)
}

// answering makes the merchant answer postbacks with this body and status until told otherwise.
func (w *world) answering(status int, body string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, body)
		return true
	}
}

func (w *world) received() (callbacks []provider.Callback, refused []error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]provider.Callback(nil), w.callbacks...), append([]error(nil), w.refused...)
}

func (w *world) attempt(reference string) provider.Attempt {
	return provider.Attempt{ID: reference, Reference: reference, Amount: money.Amount{Minor: 999, Currency: "EUR"},
		Description: "Two licences", Email: "jo@example.org",
		ReturnURL: w.merchant.URL + "/return/" + reference, DeclineURL: w.merchant.URL + "/return/" + reference}
}

// order opens the order page and returns its text.
func (w *world) order(attempt provider.Attempt) string {
	w.t.Helper()
	redirect, err := w.adapter.Redirect(w.account(), attempt)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, body := w.get(redirect.URL)
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("order page: %d %s", resp.StatusCode, body)
	}
	return body
}

// act submits the order page's form and returns where the browser is sent, "" if it stays.
func (w *world) act(pageText, action string, fields ...string) (*url.URL, string) {
	w.t.Helper()
	_, rest, ok := strings.Cut(pageText, `name="token" value="`)
	if !ok {
		w.t.Fatalf("no form in\n%s", pageText)
	}
	token, _, _ := strings.Cut(rest, `"`)
	form := url.Values{"token": {token}, "action": {action}, "method": {"CC"}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	resp, err := w.browser.PostForm(w.vendor.URL+Prefix+"/pay", form)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSeeOther {
		return nil, string(body)
	}
	location, err := resp.Location()
	if err != nil {
		w.t.Fatal(err)
	}
	return location, string(body)
}

func (w *world) get(address string) (*http.Response, string) {
	w.t.Helper()
	resp, err := w.browser.Get(address)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, string(body)
}

func (w *world) status(reference string) provider.Report {
	w.t.Helper()
	report, err := w.adapter.Status(w.t.Context(), w.account(), provider.StatusQuery{Reference: reference})
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

// control calls the control API and decodes the answer into out if the status is want.
func (w *world) control(method, path string, in, out any, want int) {
	w.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.vendor.URL+"/control/flexpay"+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		w.t.Fatalf("%s %s: %d %s, %v; want %d", method, path, resp.StatusCode, text, err, want)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) sale(reference string) Sale {
	w.t.Helper()
	var list List
	w.control(http.MethodGet, "/sales?reference="+reference, nil, &list, http.StatusOK)
	if len(list.Sales) != 1 {
		w.t.Fatalf("%d sales of reference %s", len(list.Sales), reference)
	}
	return list.Sales[0]
}

// eventually polls until the sale is as wanted.
func (w *world) eventually(reference, what string, good func(Sale) bool) Sale {
	w.t.Helper()
	var sale Sale
	testkit.Eventually(w.t, 10*time.Second, func() error {
		if sale = w.sale(reference); !good(sale) {
			return fmt.Errorf("sale is not %s: %s", what, describe(sale))
		}
		return nil
	})
	return sale
}

func describe(sale Sale) string {
	text, err := json.MarshalIndent(sale, "", " ")
	if err != nil {
		return fmt.Sprintf("%+v", sale)
	}
	return string(text)
}
