package flexpay

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"quittance/pkg/money"
	"quittance/pkg/provider"
)

// TestOneClick: a token of an earlier card sale goes with the order, unsigned, and
// makes the method CC; what cards are not offered for takes none.
func TestOneClick(t *testing.T) {
	p := New(http.DefaultClient)
	for _, tt := range []struct {
		settings []string
		accepted bool
	}{
		{nil, true}, {[]string{"payment_method", "CC"}, true}, {[]string{"payment_methods", "DDEU,CC"}, true},
		{[]string{"payment_method", "IDEAL"}, false}, {[]string{"payment_methods", "DDEU,IDEAL"}, false},
	} {
		plain, err := p.Redirect(account("payment_method", "CC"), attempt())
		if err != nil {
			t.Fatal(err)
		}
		a := attempt()
		a.OneClickToken = "tok+en/1="
		got, err := p.Redirect(account(tt.settings...), a)
		if (err == nil) != tt.accepted {
			t.Errorf("%v: %v", tt.settings, err)
		}
		if !tt.accepted {
			continue
		}
		with, err := url.Parse(got.URL)
		if err != nil {
			t.Fatal(err)
		}
		query := with.Query()
		if query.Get("oneClickToken") != "tok+en/1=" || query.Get("paymentMethod") != "CC" {
			t.Errorf("%v leads to %s", tt.settings, got.URL)
		}
		without, err := url.Parse(plain.URL)
		if err != nil || query.Get("signature") != without.Query().Get("signature") {
			t.Errorf("%v: the token is signed: %s", tt.settings, got.URL)
		}
	}
}

func TestOneClickTokenComesFromStatusAndPostback(t *testing.T) {
	for line, want := range map[string]string{
		"": "", "oneClickToken: tok_1\n": "tok_1", "oneClickToken: 'a b'\n": "", "oneClickToken: " + strings.Repeat("x", 256) + "\n": "",
	} {
		acc := server(t, answer(paidYAML+line))
		r, err := New(http.DefaultClient).Status(t.Context(), acc, provider.StatusQuery{Reference: "pay_1"})
		if err != nil || r.OneClickToken.Reveal() != want {
			t.Errorf("%q: %q, %v", line, r.OneClickToken.Reveal(), err)
		}
	}
	acc := account()
	signed := SignData(acc.Secrets["signature_key"], Params{
		"shopID": acc.Settings["shop_id"], "saleID": "1", "referenceID": "pay_1", "type": "purchase", "oneClickToken": "tok_1",
	})
	query, err := url.ParseQuery(signed.Query())
	if err != nil {
		t.Fatal(err)
	}
	cb, err := New(http.DefaultClient).ParseCallback(acc, provider.Request{Method: http.MethodGet, Query: query})
	if err != nil || cb.OneClickToken.Reveal() != "tok_1" {
		t.Errorf("%+v, %v", cb, err)
	}
	query.Set("oneClickToken", "tok_2")
	if cb, err := New(http.DefaultClient).ParseCallback(acc, provider.Request{Method: http.MethodGet, Query: query}); err == nil {
		t.Errorf("forged: %+v", cb)
	}
}

func TestMethodsPerAttempt(t *testing.T) {
	p := New(http.DefaultClient)
	acc := account("payment_methods", "CC, DDEU,IDEAL")
	var ids []string
	for _, m := range p.Methods(acc) {
		if m.Name == "" || m.Icon == "" {
			t.Errorf("%+v", m)
		}
		ids = append(ids, m.ID)
	}
	if strings.Join(ids, " ") != "CC DDEU IDEAL" || len(p.Methods(account())) != 0 {
		t.Errorf("methods %v, without the setting %v", ids, p.Methods(account()))
	}
	for method, ok := range map[string]map[string]bool{
		"CC": {"EUR": true, "USD": true}, "DDEU": {"EUR": true, "USD": false}, "": {"EUR": true},
		"YOURSAFE_DIRECT": {"EUR": false}, "BTC": {"EUR": false}, "cc": {"EUR": false},
	} {
		for currency, accepted := range ok {
			a := attempt()
			a.Method, a.Amount = method, money.Amount{Minor: 999, Currency: currency}
			got, err := p.Redirect(acc, a)
			if (err == nil) != accepted {
				t.Errorf("%q in %s: %v", method, currency, err)
				continue
			}
			if u, parsed := url.Parse(got.URL); accepted && (parsed != nil || u.Query().Get("paymentMethod") != method) {
				t.Errorf("%q in %s leads to %s", method, currency, got.URL)
			}
		}
	}
	for _, bad := range [][]string{
		{"payment_methods", "CC,BTC"}, {"payment_methods", "CC,CC"}, {"payment_methods", "CC,"},
		{"payment_methods", "CC", "payment_method", "CC"}, {"payment_method", "BTC"},
	} {
		if err := p.CheckAccount(account(bad...)); err == nil || !strings.Contains(err.Error(), "setting payment_method") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
