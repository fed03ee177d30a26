package sandbox_test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"quittance/pkg/mail"
	"quittance/pkg/provider"
	"quittance/pkg/testkit"
	"quittance/pkg/webhook"
	"quittance/services/sandbox"
	"quittance/services/sandbox/client"
	"quittance/services/sandbox/internal/shop/shoptest"
)

// TestMain lets no sandbox leave anything running.
func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); code == 0 && err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}

func TestBuyLikeACustomer(t *testing.T) {
	w := newWorld(t)
	if err := w.client.SetAPIKey(t.Context(), shoptest.Key); err != nil {
		t.Fatal(err)
	}
	browser, err := client.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	payURL := w.order(browser)
	visit, err := browser.Pay(t.Context(), payURL, client.Pay{Method: "acc"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"pay", "pay", "flexpay/startorder", "flexpay/pay", "return", "return", "shop/return"}
	if got := paths(w, visit.URLs); !slices.Equal(got, want) || !visit.Ordered || visit.FulfillmentStatus() != "success" {
		t.Errorf("visited %v, want %v; %+v", got, want, visit)
	}
	if !strings.Contains(visit.Last.Body, "Thank you for your order") {
		t.Errorf("back at the shop:\n%s", visit.Last.Body)
	}
	reference := w.api.Orders()[0]
	sale, err := w.client.Sale(t.Context(), reference)
	if err != nil || sale.State != client.Approved || !sale.Acknowledged || sale.Amount.Minor != 999 {
		t.Errorf("sale %+v, %v", sale, err)
	}
	report, err := w.client.Refund(t.Context(), client.RefundOrder{Reference: reference})
	if err != nil || report.Sale.State != client.Refunded || !report.Attempts[0].OK {
		t.Errorf("refund %+v, %v", report, err)
	}
	if report, err = w.client.Postback(t.Context(), client.PostbackOrder{Reference: reference, Times: 20}); err != nil || len(report.Attempts) != 20 {
		t.Errorf("postbacks %+v, %v", report, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.claims) != 22 || w.claims[0] != provider.ClaimPaid || w.claims[1] != provider.ClaimRefunded {
		t.Errorf("claims %v", w.claims)
	}
}

func TestDeclineLikeACustomer(t *testing.T) {
	w := newWorld(t)
	if err := w.client.SetAPIKey(t.Context(), shoptest.Key); err != nil {
		t.Fatal(err)
	}
	browser, err := client.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	visit, err := client.PayLikeABrowser(t.Context(), w.order(browser), client.Pay{Action: "decline", Method: "acc"})
	if err != nil || visit.FulfillmentStatus() != "error" {
		t.Errorf("visited %v: %v", visit.URLs, err)
	}
	visit, err = client.PayLikeABrowser(t.Context(), w.order(browser), client.Pay{Method: "bank"})
	if err != nil || visit.Ordered || !strings.Contains(visit.Last.Body, "pay by bank") {
		t.Errorf("another method led to %v: %v", visit.URLs, err)
	}
}

func TestFaultMenu(t *testing.T) {
	w := newWorld(t)
	if err := w.client.SetAPIKey(t.Context(), shoptest.Key); err != nil {
		t.Fatal(err)
	}
	browser, err := client.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	payURL := w.order(browser)
	visit, err := browser.Pay(t.Context(), payURL, client.Pay{Method: "acc", Fields: map[string]string{
		"method": "IDEAL", "fault.skipRedirect": "on", "fault.status": "amount"}})
	if err != nil || !visit.Ordered || !strings.Contains(visit.Last.Body, "closed the window") {
		t.Fatalf("visited %v: %v", visit.URLs, err)
	}
	reference := w.api.Orders()[0]
	got, err := w.adapter.Status(t.Context(), w.account(), provider.StatusQuery{Reference: reference})
	if err != nil || got.State != provider.Paid || got.Amount.Minor != 998 || got.AckOrRefund {
		t.Errorf("status %+v, %v", got, err)
	}
	if err := w.client.SetFault(t.Context(), reference, client.Faults{Status: client.StatusDown}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.adapter.Status(t.Context(), w.account(), provider.StatusQuery{Reference: reference}); err == nil {
		t.Errorf("status %+v of a server that is down", got)
	}
	if err := w.client.ClearFaults(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := w.adapter.Status(t.Context(), w.account(), provider.StatusQuery{Reference: reference}); err != nil || got.Amount.Minor != 999 {
		t.Errorf("status %+v, %v", got, err)
	}
	if err := w.client.SetFault(t.Context(), "", client.Faults{Copies: -1}); err == nil || !strings.Contains(err.Error(), "copies") {
		t.Errorf("a nonsensical fault: %v", err)
	}
	if _, err := w.client.Sale(t.Context(), "none"); !errors.Is(err, client.ErrNoSale) {
		t.Errorf("no sale: %v", err)
	}
}

// TestEverythingIsRemembered stops the sandbox and starts another one on the same directory.
func TestEverythingIsRemembered(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	secret := webhook.NewSecret()
	for _, err := range []error{
		w.client.SetAPIKey(ctx, shoptest.Key),
		w.client.PutWebhook(ctx, "merchant", secret),
		w.client.PutShop(ctx, client.Shop{ID: "1002", SignatureKey: "k"}),
		w.client.AnswerWebhooks(ctx, "merchant", http.StatusServiceUnavailable, 1),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.hook(secret, "evt_1", http.StatusServiceUnavailable)
	w.hook(secret, "evt_1", http.StatusNoContent)
	if err := w.client.RefuseMails(ctx, 451, 1); err != nil {
		t.Fatal(err)
	}
	if err := w.mail("first"); err == nil || mail.IsPermanent(err) {
		t.Errorf("refused mail: %v", err)
	}
	if err := w.mail("second"); err != nil {
		t.Error(err)
	}
	browser, err := client.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := browser.Pay(ctx, w.order(browser), client.Pay{Method: "acc"}); err != nil {
		t.Fatal(err)
	}

	w.stop()
	w.start()

	hooks, err := w.client.Webhooks(ctx, "merchant")
	if err != nil || len(hooks) != 2 || hooks[0].Answered != 503 || hooks[1].Repeat != 1 {
		t.Errorf("webhooks %+v, %v", hooks, err)
	}
	w.hook(secret, "evt_2", http.StatusNoContent)
	mails, err := w.client.Mails(ctx, "jo@example.org")
	if err != nil || len(mails) != 1 || mails[0].Subject != "second" {
		t.Errorf("mails %+v, %v", mails, err)
	}
	book, err := w.client.Book(ctx)
	if err != nil || len(book.Sales) != 1 || book.Totals[0].Captured.Minor != 999 {
		t.Errorf("book %+v, %v", book, err)
	}
	if status, err := w.client.ShopStatus(ctx); err != nil || !status.HasAPIKey {
		t.Errorf("shop %+v, %v", status, err)
	}
}

// hook sends a signed webhook as the system does.
func (w *world) hook(secret, eventID string, want int) {
	w.t.Helper()
	body := `{"type":"order.created"}`
	header, err := webhook.Headers([]string{secret}, eventID, time.Now(), []byte(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.sandbox.URL()+"/webhooks/merchant", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != want {
		w.t.Errorf("webhook %s: %d, want %d", eventID, resp.StatusCode, want)
	}
}

func (w *world) mail(subject string) error {
	w.t.Helper()
	host, port, err := net.SplitHostPort(w.sandbox.SMTPAddr())
	if err != nil {
		w.t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		w.t.Fatal(err)
	}
	sender, err := mail.NewSMTP(mail.Config{Host: host, Port: number, TLS: mail.TLSNone})
	if err != nil {
		w.t.Fatal(err)
	}
	return sender.Send(w.t.Context(), mail.Message{ID: "m", From: "shop@example.com", To: "jo@example.org", Subject: subject, Text: "x"})
}

func TestPagesAndHealth(t *testing.T) {
	w := newWorld(t)
	testkit.Eventually(t, 5*time.Second, func() error {
		resp, err := http.Get(w.sandbox.URL() + "/readyz")
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	browser, err := client.NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	for path, word := range map[string]string{
		"/": w.sandbox.SMTPAddr(), "/flexpay/": "68849", "/mails": "No mail", "/webhooks/": "None", "/healthz": "ok", "/style.css": ":root",
	} {
		page, err := browser.Open(t.Context(), w.sandbox.URL()+path)
		if err != nil || page.Status != http.StatusOK || !strings.Contains(page.Body, word) {
			t.Errorf("%s: %+v, %v", path, page, err)
			continue
		}
		if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]sandbox.Config{
		"shop without key":   {ShopID: "1"},
		"relative URL":       {PublicURL: "sandbox"},
		"negative pause":     {PostbackPause: -1},
		"address in use":     {Addr: taken.Addr().String()},
		"SMTP port in use":   {SMTPAddr: taken.Addr().String()},
		"directory a file":   {DataDir: file},
		"relative postbacks": {DataDir: t.TempDir(), ShopID: "1", SignatureKey: "k", PostbackURL: "callback"},
	} {
		if _, err := sandbox.New(config); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}
