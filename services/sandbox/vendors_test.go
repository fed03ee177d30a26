package sandbox_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/provider"
	"quittance/pkg/provider/kontocloud"
	"quittance/pkg/provider/resurs"
	"quittance/pkg/seal"
	"quittance/pkg/testkit"
	"quittance/services/sandbox/client"
)

// The adapters of production against the simulated vendors, over HTTP.

const (
	store   = "11111111-2222-4333-8444-555555555555"
	later   = "aaaaaaaa-1111-4222-8333-444444444444"
	accno   = "MERCHANT-DE4321"
	backURL = "https://shop.example/return/pay_1"
)

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }

func (w *world) wallet() provider.Account {
	w.t.Helper()
	if err := w.client.PutVendorShop(w.t.Context(), client.KontoCloud, accno, map[string]string{"user": "u", "password": "p"}); err != nil {
		w.t.Fatal(err)
	}
	return provider.Account{ID: "wallet", Settings: map[string]string{
		"portal_url": w.sandbox.URL() + "/kontocloud", "base_url": w.sandbox.URL() + "/kontocloud/api", "merchant_accno": accno, "user_id": "u",
		"status.failed": "DECLINED", "status.refunded": "REFUNDED",
	}, Secrets: map[string]seal.Secret{"password": "p"}}
}

// portal posts an attempt's form as a browser with a locale does, and presses a button on the page.
func (w *world) portal(acc provider.Account, a provider.Attempt, language, action string) (status int) {
	w.t.Helper()
	to, err := kontocloud.New(http.DefaultClient).Redirect(acc, a)
	if err != nil {
		w.t.Fatal(err)
	}
	form := url.Values{}
	for name, value := range to.Fields {
		form.Set(name, value)
	}
	w.post(to.URL, form, language)
	p, err := w.client.Payment(w.t.Context(), client.KontoCloud, a.Reference)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.post(w.sandbox.URL()+"/kontocloud/pay", url.Values{"token": {p.Token}, "action": {action}}, language)
}

func (w *world) post(address string, form url.Values, language string) int {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept-Language", language)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestKontoCloudAgainstItsAdapter(t *testing.T) {
	w := newWorld(t)
	acc, p := w.wallet(), kontocloud.New(http.DefaultClient)
	a := provider.Attempt{Reference: "pay_1", Amount: eur(2500), ReturnURL: backURL, BrowserLocale: "de-DE"}
	w.portal(acc, a, "de-DE,de;q=0.9", "pay")
	booked, err := w.client.Payment(t.Context(), client.KontoCloud, "pay_1")
	if err != nil || booked.Amount != eur(2500) {
		t.Fatalf("%+v, %v", booked, err)
	}
	query := provider.StatusQuery{Reference: "pay_1", ProviderReference: booked.ID}
	if got, err := p.Status(t.Context(), acc, query); err != nil || got.State != provider.Paid || got.Amount != eur(2500) || got.Reference != "pay_1" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := w.client.Act(t.Context(), client.KontoCloud, client.Order{Reference: "pay_1", Action: client.Refund}); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Status(t.Context(), acc, query); err != nil || got.State != provider.Refunded {
		t.Errorf("after the refund: %+v, %v", got, err)
	}
	if got, err := p.Status(t.Context(), acc, provider.StatusQuery{Reference: "pay_1", ProviderReference: "PT-unknown"}); err == nil {
		t.Errorf("an unknown reference: %+v", got)
	}
	// A number in the way of another locale than the browser's is another amount, which the status tells.
	a.Reference = "pay_2"
	w.portal(acc, a, "en-US", "pay")
	if booked, err := w.client.Payment(t.Context(), client.KontoCloud, "pay_2"); err != nil || booked.Amount != eur(250000) {
		t.Errorf("25,00 read in English: %+v, %v", booked, err)
	}
}

func TestKontoCloudFaults(t *testing.T) {
	w := newWorld(t)
	acc, p := w.wallet(), kontocloud.New(http.DefaultClient)
	w.portal(acc, provider.Attempt{Reference: "pay_1", Amount: eur(2500), ReturnURL: backURL}, "en-US", "pay")
	booked, err := w.client.Payment(t.Context(), client.KontoCloud, "pay_1")
	if err != nil {
		t.Fatal(err)
	}
	query := provider.StatusQuery{Reference: "pay_1", ProviderReference: booked.ID}
	for fault, good := range map[client.StatusFault]func(provider.Report, error) bool{
		client.StatusDown:     func(_ provider.Report, err error) bool { return err != nil },
		client.StatusError:    func(_ provider.Report, err error) bool { return err != nil },
		client.StatusGarbage:  func(_ provider.Report, err error) bool { return err != nil },
		client.StatusNotFound: func(_ provider.Report, err error) bool { return err != nil },
		client.StatusPending:  func(r provider.Report, err error) bool { return err == nil && r.State == provider.Pending },
		client.StatusAmount:   func(r provider.Report, err error) bool { return err == nil && r.Amount == eur(2499) },
		client.StatusCurrency: func(r provider.Report, err error) bool { return err == nil && r.Amount.Currency == "USD" },
		client.StatusSlow:     func(r provider.Report, err error) bool { return err == nil && r.State == provider.Paid },
	} {
		if err := w.client.SetVendorFault(t.Context(), client.KontoCloud, "pay_1", client.Faults{Status: fault, StatusTimes: 1, StatusMillis: 10}); err != nil {
			t.Fatal(err)
		}
		if got, err := p.Status(t.Context(), acc, query); !good(got, err) {
			t.Errorf("%s: %+v, %v", fault, got, err)
		}
		if got, err := p.Status(t.Context(), acc, query); err != nil || got.State != provider.Paid {
			t.Errorf("after %s: %+v, %v", fault, got, err)
		}
	}
	if err := w.client.SetVendorFault(t.Context(), client.KontoCloud, "", client.Faults{Freeze: "perhaps"}); err == nil {
		t.Error("an unknown freeze is taken")
	}
}

func (w *world) bank(settings ...string) provider.Account {
	w.t.Helper()
	if err := w.client.PutVendorShop(w.t.Context(), client.Resurs, store, map[string]string{
		"clientID": "c", "clientSecret": "s", "methods": later, "currency": "EUR",
	}); err != nil {
		w.t.Fatal(err)
	}
	acc := provider.Account{ID: "bank", Settings: map[string]string{
		"base_url": w.sandbox.URL() + "/resurs", "client_id": "c", "store_id": store, "payment_methods": later, "currency": "EUR",
	}, Secrets: map[string]seal.Secret{"client_secret": "s"}}
	for i := 0; i < len(settings); i += 2 {
		acc.Settings[settings[i]] = settings[i+1]
	}
	return acc
}

// created creates a payment of 25 euros and has its customer press a button.
func (w *world) created(acc provider.Account, reference, action string) provider.StatusQuery {
	w.t.Helper()
	created, err := resurs.New(http.DefaultClient).Create(w.t.Context(), acc, provider.Attempt{
		Reference: reference, Amount: eur(2500), ReturnURL: backURL, DeclineURL: backURL + "/declined", CallbackURL: w.sandbox.URL() + "/nowhere",
	})
	if err != nil || !strings.HasPrefix(created.Redirect.URL, w.sandbox.URL()+"/resurs/tasks/") {
		w.t.Fatalf("%+v, %v", created, err)
	}
	if action != "" {
		p, err := w.client.Payment(w.t.Context(), client.Resurs, reference)
		if err != nil {
			w.t.Fatal(err)
		}
		browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := browser.PostForm(w.sandbox.URL()+"/resurs/pay", url.Values{"token": {p.Token}, "action": {action}})
		if err != nil {
			w.t.Fatal(err)
		}
		_ = resp.Body.Close()
		want := map[string]string{"pay": backURL}[action]
		if want == "" {
			want = backURL + "/declined"
		}
		if got := resp.Header.Get("Location"); got != want {
			w.t.Errorf("%s: the browser is sent to %q, want %q", action, got, want)
		}
	}
	return provider.StatusQuery{Reference: reference, ProviderReference: created.ProviderReference}
}

func TestResursAgainstItsAdapter(t *testing.T) {
	w := newWorld(t)
	acc, p := w.bank(), resurs.New(http.DefaultClient)
	state := func(q provider.StatusQuery, want provider.State, captured, refunded int64) {
		t.Helper()
		got, err := p.Status(t.Context(), acc, q)
		if err != nil || got.State != want || got.Captured.Minor != captured || got.Refunded.Minor != refunded {
			t.Errorf("%+v, %v; want %s, %d taken, %d given back", got, err, want, captured, refunded)
		}
	}
	state(w.created(acc, "pay_open", ""), provider.Pending, 0, 0)
	state(w.created(acc, "pay_declined", "decline"), provider.Failed, 0, 0)
	state(w.created(acc, "pay_canceled", "cancel"), provider.Canceled, 0, 0)

	q := w.created(acc, "pay_1", "pay")
	state(q, provider.Authorized, 0, 0)
	op := func(minor int64) provider.Operation {
		return provider.Operation{ID: "op", StatusQuery: q, Amount: eur(minor)}
	}
	if err := p.Refund(t.Context(), acc, op(100)); !errors.Is(err, provider.ErrDeclined) {
		t.Errorf("refunded before it was captured: %v", err)
	}
	if err := p.Capture(t.Context(), acc, op(1000)); err != nil {
		t.Fatal(err)
	}
	state(q, provider.Authorized, 1000, 0)
	if err := p.Capture(t.Context(), acc, op(1500)); err != nil {
		t.Fatal(err)
	}
	state(q, provider.Paid, 2500, 0)
	if err := p.Refund(t.Context(), acc, op(500)); err != nil {
		t.Fatal(err)
	}
	state(q, provider.Paid, 2500, 500)
	if err := p.Refund(t.Context(), acc, provider.Operation{ID: "op", StatusQuery: q}); err != nil {
		t.Fatal(err)
	}
	state(q, provider.Refunded, 2500, 2500)

	q = w.created(acc, "pay_2", "pay")
	if err := p.Cancel(t.Context(), acc, provider.Operation{ID: "op", StatusQuery: q}); err != nil {
		t.Fatal(err)
	}
	state(q, provider.Canceled, 0, 0)

	state(w.created(w.bank("automatic_capture", "true"), "pay_3", "pay"), provider.Paid, 2500, 0)
}

// TestResursFreezesAndGivesBackByItself: what the fault menu promises for later happens, and is on the disk meanwhile.
func TestResursFreezesAndGivesBackByItself(t *testing.T) {
	w := newWorld(t)
	acc, p := w.bank(), resurs.New(http.DefaultClient)
	for reference, c := range map[string]struct {
		faults client.Faults
		want   provider.State
	}{
		"pay_accept": {client.Faults{Freeze: "accept", FreezeMillis: 50}, provider.Authorized},
		"pay_reject": {client.Faults{Freeze: "reject", FreezeMillis: 50}, provider.Failed},
	} {
		if err := w.client.SetVendorFault(t.Context(), client.Resurs, reference, c.faults); err != nil {
			t.Fatal(err)
		}
		q := w.created(acc, reference, "pay")
		testkit.Eventually(t, 20*time.Second, func() error {
			got, err := p.Status(t.Context(), acc, q)
			if err == nil && got.State != c.want {
				err = errors.New(reference + " is " + string(got.State))
			}
			return err
		})
	}
	if err := w.client.SetVendorFault(t.Context(), client.Resurs, "pay_back", client.Faults{RefundMillis: 50}); err != nil {
		t.Fatal(err)
	}
	w.created(w.bank("automatic_capture", "true"), "pay_back", "pay")
	testkit.Eventually(t, 20*time.Second, func() error {
		booked, err := w.client.Payment(t.Context(), client.Resurs, "pay_back")
		if err == nil && booked.Refunded != eur(2500) {
			err = errors.New("not given back yet")
		}
		return err
	})
}
