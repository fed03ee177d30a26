package flexpay

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"quittance/pkg/money"
	"quittance/pkg/provider"
)

func TestRedirect(t *testing.T) {
	got, err := New(http.DefaultClient).Redirect(account("payment_method", "CC"), attempt())
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodGet || got.Fields != nil || got.Instructions != "" {
		t.Errorf("redirect %+v, want a bare GET", got)
	}
	address, query, _ := strings.Cut(got.URL, "?")
	if address != "https://secure.verotel.com/startorder" {
		t.Errorf("address %s", address)
	}
	if i := strings.LastIndex(query, "&"); !strings.HasPrefix(query[i:], "&signature=") {
		t.Error("the signature isn't the last parameter")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	params, err := ParamsOf(values)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyRequest(testKey, params); err != nil {
		t.Error(err)
	}
	delete(params, "signature")
	want := Params{"version": "4", "shopID": "68849", "type": "purchase", "priceAmount": "9.99", "priceCurrency": "EUR",
		"paymentMethod": "CC", "description": "Two licences", "referenceID": "pay_1", "email": "jo@example.org",
		"successURL": "https://pay.example.org/return/pay_1", "declineURL": "https://pay.example.org/return/pay_1"}
	if len(params) != len(want) {
		t.Errorf("parameters %v, want %v", params, want)
	}
	for name, value := range want {
		if params[name] != value {
			t.Errorf("%s = %q, want %q", name, params[name], value)
		}
	}
}

func TestRedirectLeavesOutWhatDoesNotFit(t *testing.T) {
	long := attempt()
	long.Email = strings.Repeat("a", 90) + "@example.org"
	long.DeclineURL = ""
	got, err := New(http.DefaultClient).Redirect(account(), long)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"email", "declineURL", "paymentMethod"} {
		if strings.Contains(got.URL, name+"=") {
			t.Errorf("%s is sent: %s", name, got.URL)
		}
	}
}

func TestRedirectRefuses(t *testing.T) {
	tests := map[string]func(*provider.Attempt){
		"no reference":            func(a *provider.Attempt) { a.Reference = "" },
		"reference with colon":    func(a *provider.Attempt) { a.Reference = "a:b" },
		"zero amount":             func(a *provider.Attempt) { a.Amount.Minor = 0 },
		"negative amount":         func(a *provider.Attempt) { a.Amount.Minor = -1 },
		"currency JPY":            func(a *provider.Attempt) { a.Amount = money.Amount{Minor: 9, Currency: "JPY"} },
		"no return URL":           func(a *provider.Attempt) { a.ReturnURL = "" },
		"relative return URL":     func(a *provider.Attempt) { a.ReturnURL = "/return/pay_1" },
		"return URL with query":   func(a *provider.Attempt) { a.ReturnURL += "?a=1" },
		"return URL with ?":       func(a *provider.Attempt) { a.ReturnURL += "?" },
		"return URL, fragment":    func(a *provider.Attempt) { a.ReturnURL += "#a" },
		"return URL of 256":       func(a *provider.Attempt) { a.ReturnURL += strings.Repeat("x", 256-len(a.ReturnURL)) },
		"decline URL of 256":      func(a *provider.Attempt) { a.DeclineURL += strings.Repeat("x", 256-len(a.DeclineURL)) },
		"decline URL, javascript": func(a *provider.Attempt) { a.DeclineURL = "javascript:alert(1)" },
	}
	for name, spoil := range tests {
		a := attempt()
		spoil(&a)
		if got, err := New(http.DefaultClient).Redirect(account(), a); err == nil {
			t.Errorf("%s passes: %s", name, got.URL)
		}
	}
	if _, err := New(http.DefaultClient).Redirect(account("shop_id", "x"), attempt()); err == nil {
		t.Error("an unusable account passes")
	}
	dollars := attempt()
	dollars.Amount.Currency = "USD"
	if _, err := New(http.DefaultClient).Redirect(account("payment_method", "DDEU"), dollars); err == nil {
		t.Error("direct debit in USD passes")
	}
}

func TestDescription(t *testing.T) {
	tests := []struct{ in, want string }{
		{"Two licences", "Two licences"},
		{"a\r\nb\tc\x00d", "a b c d"},
		{"  spaced \u00a0 out ", "spaced out"},
		{"bad\xffbytes", "badbytes"},
		{"Dščřčřřěřě&?=blah123", "Dščřčřřěřě&?=blah123"},
		{strings.Repeat("ž", 101), strings.Repeat("ž", 100)},
		{strings.Repeat("🦊", 200), strings.Repeat("🦊", 100)},
		{strings.Repeat("x", 99) + " y", strings.Repeat("x", 99)},
		{"", "pay_1"},
		{"\n", "pay_1"},
	}
	for _, tt := range tests {
		a := attempt()
		a.Description = tt.in
		redirect, err := New(http.DefaultClient).Redirect(account(), a)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := url.Parse(redirect.URL)
		if err != nil {
			t.Fatal(err)
		}
		got := parsed.Query().Get("description")
		if got != tt.want || utf8.RuneCountInString(got) > 100 || !utf8.ValidString(got) {
			t.Errorf("description of %.20q is %q, want %q", tt.in, got, tt.want)
		}
	}
}
