package kontocloud

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/provider"
	"quittance/pkg/seal"
)

const password = seal.Secret("correct horse")

// account has the vendor's own example of a merchant; pairs set or, if empty, take settings away.
func account(pairs ...string) provider.Account {
	acc := provider.Account{ID: "wallet", Merchant: "acme", Provider: Name,
		Settings: map[string]string{
			"portal_url": "https://wallet.example", "base_url": "https://api.example/v1", "merchant_accno": "MERCHANT-DE4321", "user_id": "api-user",
		},
		Secrets: map[string]seal.Secret{"password": password, "notification_password": "np", "notification_token": "nt"},
	}
	for i := 0; i < len(pairs); i += 2 {
		acc.Settings[pairs[i]] = pairs[i+1]
		if pairs[i+1] == "" {
			delete(acc.Settings, pairs[i])
		}
	}
	return acc
}

func attempt() provider.Attempt {
	return provider.Attempt{ID: "pay_1", Reference: "CHECKOUT-Kl3n9Sdw54pf", OrderID: "ord_1", Amount: money.Amount{Minor: 8000, Currency: "EUR"},
		Description: "Ladies T-Shirt, Ladies Pants", ReturnURL: "http://example.com/Checkout/Confirmation"}
}

func TestCheckAccount(t *testing.T) {
	for name, acc := range map[string]provider.Account{
		"plain": account(), "block amount": account("payment_type", "BlockAmount"), "allow-list": account("notification_auth", "none", "callback_cidrs", "192.0.2.0/24"),
		"basic": account("notification_auth", "basic", "notification_user", "u"), "bearer": account("notification_auth", "bearer"),
		"locale": account("number_locale", "de-DE"), "words": account("status.failed", "DENIED,REJECTED"), "loopback": account("base_url", "http://127.0.0.1:1/k"),
	} {
		if err := New(http.DefaultClient).CheckAccount(acc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for named, acc := range map[string]provider.Account{
		"portal_url": account("portal_url", ""), "base_url": account("base_url", "http://api.example"), "merchant_accno": account("merchant_accno", " "),
		"user_id": account("user_id", ""), "payment_type": account("payment_type", "Other"), "number_locale": account("number_locale", "?"),
		"token_header": account("token_header", "Cookie"), "token_life": account("token_life", "-1s"), "account_field": account("account_field", "x"),
		"status.paid": account("status.failed", "CAPTURED"), "notification_auth": account("notification_auth", "maybe"),
		"callback_cidrs": account("notification_auth", "none"), "notification_user": account("notification_auth", "basic"), "timeout": account("timeout", "x"),
	} {
		err := New(http.DefaultClient).CheckAccount(acc)
		if named == "status.paid" {
			named = "status.failed"
		}
		if err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("%s: %v", named, err)
		}
	}
	for _, secret := range []string{"password", "notification_password", "notification_token"} {
		acc := account("notification_auth", map[string]string{"notification_password": "basic", "notification_token": "bearer"}[secret], "notification_user", "u")
		delete(acc.Secrets, secret)
		if err := New(http.DefaultClient).CheckAccount(acc); err == nil || !strings.Contains(err.Error(), secret) {
			t.Errorf("without %s: %v", secret, err)
		}
	}
	long := account()
	long.Secrets["password"] = seal.Secret(strings.Repeat("x", 129))
	if New(http.DefaultClient).CheckAccount(long) == nil {
		t.Error("a password longer than the vendor's 128 characters passes")
	}
}

func TestTheClientTimeoutIsTheVendorsMinimum(t *testing.T) {
	if got := New(http.DefaultClient).Schedule(account()).Timeout; got < 90*time.Second {
		t.Errorf("%v, the vendor recommends at least 90 s", got)
	}
}

// TestRedirectOfficialExample: the hidden inputs of the vendor's documentation, by name and form.
func TestRedirectOfficialExample(t *testing.T) {
	a := attempt()
	a.BrowserLocale = "de-DE"
	got, err := New(http.DefaultClient).Redirect(account(), a)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"callBackUrl": "http://example.com/Checkout/Confirmation", "merchantTransactionId": "CHECKOUT-Kl3n9Sdw54pf", "paymentType": "Standard",
		"merchantAccno": "MERCHANT-DE4321", "currencyCode": "EUR", "orderItems[0].description": "Ladies T-Shirt, Ladies Pants",
		"orderItems[0].price": "80,00", "orderItems[0].count": "1",
	}
	if got.Method != http.MethodPost || got.URL != "https://wallet.example/Payment" || fmt.Sprint(got.Fields) != fmt.Sprint(want) {
		t.Errorf("%s %s\n got %v\nwant %v", got.Method, got.URL, got.Fields, want)
	}
}

func TestNumbersAreWrittenInTheWayOfTheLocale(t *testing.T) {
	eur := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }
	for _, c := range []struct {
		locale string
		amount money.Amount
		want   string
	}{
		{"en-US", eur(2500), "25.00"}, {"de-DE", eur(2500), "25,00"}, {"de-CH", eur(2500), "25.00"}, {"de_DE", eur(123456789), "1234567,89"},
		{"fr", eur(5), "0,05"}, {"es-MX", eur(5), "0.05"}, {"ar", eur(2500), "25.00"}, {"xx-nonsense!", eur(2500), "25.00"},
		{"de-DE", money.Amount{Minor: 1000, Currency: "JPY"}, "1000"}, {"de-DE", eur(9007199254740993), "90071992547409,93"},
	} {
		if got := Localized(c.amount, c.locale); got != c.want {
			t.Errorf("%s in %s: %q, want %q", c.amount, c.locale, got, c.want)
		}
	}
	price := func(acc provider.Account, browser, order string) string {
		a := attempt()
		a.BrowserLocale, a.Locale = browser, order
		r, err := New(http.DefaultClient).Redirect(acc, a)
		if err != nil {
			t.Fatal(err)
		}
		return r.Fields["orderItems[0].price"]
	}
	if got := price(account("number_locale", "de-DE"), "en-US", "en-US"); got != "80,00" {
		t.Errorf("the setting does not count: %q", got)
	}
	if got := price(account(), "en-US", "de-DE"); got != "80.00" {
		t.Errorf("the browser's locale does not count before the order's: %q", got)
	}
	if got := price(account(), "", "de-DE"); got != "80,00" {
		t.Errorf("the order's locale does not count: %q", got)
	}
	if got := price(account(), "", ""); got != "80.00" {
		t.Errorf("without any locale: %q", got)
	}
}

func TestRedirectRefuses(t *testing.T) {
	for name, change := range map[string]func(*provider.Attempt){
		"no reference": func(a *provider.Attempt) { a.Reference = "" }, "nothing to pay": func(a *provider.Attempt) { a.Amount.Minor = 0 },
		"no return": func(a *provider.Attempt) { a.ReturnURL = "/return" }, "no currency": func(a *provider.Attempt) { a.Amount.Currency = "XXX" },
	} {
		a := attempt()
		change(&a)
		if _, err := New(http.DefaultClient).Redirect(account(), a); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestParseReturn(t *testing.T) {
	for name, c := range map[string]struct {
		values url.Values
		want   provider.Return
		err    bool
	}{
		"success, as the prose spells it":   {url.Values{"paymentResult": {"OK"}, "uniqueReference": {"PT-1"}, "merchantTransactionId": {"x"}}, provider.Return{ProviderReference: "PT-1"}, false},
		"success, as the examples spell it": {url.Values{"paymentResult": {"OK"}, "unqiueReference": {"PT-1"}}, provider.Return{ProviderReference: "PT-1"}, false},
		"both":                              {url.Values{"paymentResult": {"OK"}, "unqiueReference": {"PT-1"}, "uniqueReference": {"PT-1"}}, provider.Return{ProviderReference: "PT-1"}, false},
		"query and form alike":              {url.Values{"paymentResult": {"OK", "OK"}, "uniqueReference": {"PT-1", "PT-1"}}, provider.Return{ProviderReference: "PT-1"}, false},
		"an error description":              {url.Values{"paymentResult": {"Insufficient funds"}}, provider.Return{Failed: true}, false},
		"OK without a reference":            {url.Values{"paymentResult": {"OK"}}, provider.Return{}, false},
		"nothing":                           {url.Values{}, provider.Return{}, true},
		"two references":                    {url.Values{"paymentResult": {"OK"}, "uniqueReference": {"PT-1"}, "unqiueReference": {"PT-2"}}, provider.Return{}, true},
		"a way out of the path":             {url.Values{"paymentResult": {"OK"}, "uniqueReference": {"../../user"}}, provider.Return{}, true},
		"dots":                              {url.Values{"paymentResult": {"OK"}, "uniqueReference": {".."}}, provider.Return{}, true},
		"a query of its own":                {url.Values{"paymentResult": {"OK"}, "uniqueReference": {"a?b=c"}}, provider.Return{}, true},
	} {
		got, err := New(http.DefaultClient).ParseReturn(account(), c.values)
		if got != c.want || (err != nil) != c.err {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func notification(body string, header ...string) provider.Request {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return provider.Request{Method: http.MethodPost, Header: h, Body: []byte(body), Remote: "192.0.2.7"}
}

func TestNotificationsProveWhereTheyComeFrom(t *testing.T) {
	const body = `{"uniqueReference":"PT-1"}`
	basic := account("notification_auth", "basic", "notification_user", "u")
	bearer := account("notification_auth", "bearer")
	listed := account("notification_auth", "none", "callback_cidrs", "192.0.2.0/24")
	for name, c := range map[string]struct {
		acc provider.Account
		req provider.Request
		ok  bool
	}{
		"basic":               {basic, notification(body, "Authorization", "Basic dTpucA=="), true},
		"basic, wrong":        {basic, notification(body, "Authorization", "Basic dTpuUA=="), false},
		"basic, none":         {basic, notification(body), false},
		"bearer":              {bearer, notification(body, "Authorization", "Bearer nt"), true},
		"bearer, wrong":       {bearer, notification(body, "Authorization", "Bearer nT"), false},
		"bearer as basic":     {bearer, notification(body, "Authorization", "Basic nt"), false},
		"listed":              {listed, notification(body), true},
		"elsewhere":           {account("notification_auth", "none", "callback_cidrs", "198.51.100.0/24"), notification(body), false},
		"basic and elsewhere": {account("notification_auth", "basic", "notification_user", "u", "callback_cidrs", "198.51.100.0/24"), notification(body, "Authorization", "Basic dTpucA=="), false},
		"not set up":          {account(), notification(body), false},
		"not set up, bearer":  {account(), notification(body, "Authorization", "Bearer "), false},
	} {
		got, err := New(http.DefaultClient).ParseCallback(c.acc, c.req)
		if c.ok != (err == nil) || !c.ok && !errors.Is(err, provider.ErrUnauthentic) {
			t.Errorf("%s: %v", name, err)
		}
		if c.ok && (got.TransactionID != "PT-1" || got.Signed || got.Claim != provider.ClaimOther) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestNotificationsAreReadLeniently(t *testing.T) {
	acc := account("notification_auth", "bearer")
	parse := func(acc provider.Account, body string) (provider.Callback, error) {
		return New(http.DefaultClient).ParseCallback(acc, notification(body, "Authorization", "Bearer nt"))
	}
	for body, want := range map[string][2]string{
		`{"merchantTransactionId":"pay_1","uniqueReference":"PT-1","type":"Chargeback"}`: {"pay_1", "PT-1"},
		`{"unqiueReference":"PT-1"}`: {"", "PT-1"}, `{"uniqueReference":4711}`: {"", "4711"}, `{}`: {"", ""}, `{"uniqueReference":null}`: {"", ""},
	} {
		got, err := parse(acc, body)
		if err != nil || got.Reference != want[0] || got.TransactionID != want[1] {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	for _, body := range []string{``, `[]`, `null`, `"x"`, `{"uniqueReference":"../user"}`} {
		if got, err := parse(acc, body); err == nil || errors.Is(err, provider.ErrUnauthentic) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	own := account("notification_auth", "bearer", "notification_reference", "mtid", "notification_transaction", "ref")
	if got, err := parse(own, `{"mtid":"pay_2","ref":"PT-2"}`); err != nil || got.Reference != "pay_2" || got.TransactionID != "PT-2" {
		t.Errorf("own field names: %+v, %v", got, err)
	}
	a, _ := parse(acc, `{"uniqueReference":"PT-1"}`)
	b, _ := parse(acc, `{"uniqueReference":"PT-1"}`)
	c, _ := parse(acc, `{"uniqueReference":"PT-1","n":2}`)
	if a.DedupeKey != b.DedupeKey || a.DedupeKey == c.DedupeKey {
		t.Error("repeats and news are not told apart")
	}
	get := notification(`{}`, "Authorization", "Bearer nt")
	get.Method = http.MethodGet
	if _, err := New(http.DefaultClient).ParseCallback(acc, get); err == nil {
		t.Error("a GET is no notification")
	}
}

func TestAcknowledge(t *testing.T) {
	p := New(http.DefaultClient)
	for _, c := range []struct {
		answer  provider.Answer
		refusal error
		status  int
	}{
		{provider.Recorded, nil, 200}, {provider.Refused, provider.ErrUnauthentic, 401}, {provider.Refused, errors.New("x"), 400}, {provider.NotDurable, nil, 503},
	} {
		if got := p.Acknowledge(c.answer, c.refusal); got.Status != c.status {
			t.Errorf("%v, %v: %d, want %d", c.answer, c.refusal, got.Status, c.status)
		}
	}
}

func FuzzParseCallback(f *testing.F) {
	for _, body := range []string{`{"uniqueReference":"PT-1"}`, `{"merchantTransactionId":1e9}`, `[`, `{"uniqueReference":{"a":[]}}`, ``} {
		f.Add(body, "Bearer nt")
	}
	f.Add(`{}`, "Basic dTpucA==")
	acc := account("notification_auth", "bearer")
	f.Fuzz(func(t *testing.T, body, authorization string) {
		got, err := New(http.DefaultClient).ParseCallback(acc, notification(body, "Authorization", authorization))
		if err == nil && (got.DedupeKey == "" || got.Signed || got.TransactionID != "" && !plain(got.TransactionID)) {
			t.Errorf("%+v", got)
		}
	})
}

func FuzzParseReturn(f *testing.F) {
	for _, query := range []string{"paymentResult=OK&unqiueReference=PT-1", "paymentResult=&uniqueReference=%2e%2e", "paymentResult=OK&uniqueReference=a&uniqueReference=b"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, _ := url.ParseQuery(query)
		got, err := New(http.DefaultClient).ParseReturn(account(), values)
		if err == nil && got.ProviderReference != "" && !plain(got.ProviderReference) {
			t.Errorf("%+v", got)
		}
	})
}
