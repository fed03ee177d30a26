package flexpay

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"quittance/pkg/money"
)

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
