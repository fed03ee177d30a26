package kontocloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/provider"
)

// official is the answer of the vendor's documentation, field by field, but for values that the documents leave open.
const official = `{"uniqueReference":"PT-1","partnerReference":"pay_1","initiatorAccno":"I-1","initiatorName":"Shop","accno":"MERCHANT-DE4321",
"presentationAmount":80.00,"presentationCurrCode":"EUR","presentationUsage":"x","customerFullName":"Ada Lovelace","addr1":"Main Street","houseNumber":1,
"city":"Berlin","state":"BE","country":"DE","postCode":"10115","statusCode":"CAPTURED","statusReason":"","localDate":"2026-11-22","localTime":"101010",
"sysDate":"2026-11-22","sysTime":"091010","responseCode":"0000","responseDescription":"Successful execution",
"additionalInformation":{"internalTransactionsPendingSettlement":[],"requestId":"r"}}`

// vendor is an API that behaves; handlers change how.
type vendor struct {
	t      *testing.T
	url    string
	issued atomic.Int64
	asked  atomic.Int64
	// validFor is how long tokens live; answer is the status API's, if the token is good.
	validFor time.Duration
	answer   func(w http.ResponseWriter, r *http.Request)
	// refuse says whether a good token is refused all the same.
	refuse func() bool
}

func newVendor(t *testing.T) *vendor {
	v := &vendor{t: t, validFor: time.Hour, answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, official) }, refuse: func() bool { return false }}
	server := httptest.NewServer(http.HandlerFunc(v.serve))
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

func (v *vendor) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/user/api-user/issue" {
		var body struct{ Password string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != http.MethodPost || body.Password != password.Reveal() {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprintf(w, `{"token":"token-%d","validUntil":%q}`, v.issued.Add(1), time.Now().Add(v.validFor).UTC().Format("2006-01-02T15:04:05.000Z"))
		return
	}
	v.asked.Add(1)
	if r.Header.Get("X-Auth-Token") != fmt.Sprintf("token-%d", v.issued.Load()) || v.refuse() {
		http.Error(w, "expired", http.StatusUnauthorized)
		return
	}
	v.answer(w, r)
}

func (v *vendor) account(pairs ...string) provider.Account {
	return account(append([]string{"base_url", v.url}, pairs...)...)
}

var query = provider.StatusQuery{Reference: "pay_1", ProviderReference: "PT-1"}

func TestStatusOfficialExample(t *testing.T) {
	v := newVendor(t)
	v.answer = func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.Method != http.MethodGet || r.URL.Path != "/payment/PT-1/status" || q.Get("partnerReference") != "pay_1" ||
			len(q.Get("localDate")) != len("YYYY-MM-DD") || len(q.Get("localTime")) != len("HHMMSS") ||
			r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Accept-Language") != "en-US" {
			t.Errorf("asked %s %s %v", r.Method, r.URL, r.Header)
		}
		_, _ = io.WriteString(w, official)
	}
	got, err := New(http.DefaultClient).Status(t.Context(), v.account(), query)
	want := provider.Report{
		State: provider.Paid, Reference: "pay_1", TransactionID: "PT-1", Amount: money.Amount{Minor: 8000, Currency: "EUR"}, Raw: "CAPTURED",
		Payer: provider.Payer{Name: "Ada Lovelace", AddressLine1: "Main Street 1", PostalCode: "10115", City: "Berlin", Region: "BE", CountryISO: "DE"},
	}
	if err != nil || got != want {
		t.Errorf("\n got %+v\nwant %+v\n%v", got, want, err)
	}
}

func TestStatusWords(t *testing.T) {
	answer := func(changes ...string) string { return strings.NewReplacer(changes...).Replace(official) }
	for name, c := range map[string]struct {
		acc     []string
		answer  string
		state   provider.State
		amount  int64
		unknown bool
	}{
		"captured":                    {nil, official, provider.Paid, 8000, false},
		"captured another amount":     {nil, answer("80.00", "79.99"), provider.Paid, 7999, false},
		"authorized, Standard":        {nil, answer("CAPTURED", "AUTHORIZED"), provider.Pending, 8000, false},
		"S19 authorized, BlockAmount": {[]string{"payment_type", "BlockAmount"}, answer("CAPTURED", "AUTHORIZED"), provider.Authorized, 8000, false},
		"S19 authorized less":         {[]string{"payment_type", "BlockAmount"}, answer("CAPTURED", "AUTHORIZED", "80.00", "8.00"), provider.Authorized, 800, false},
		"captured, BlockAmount":       {[]string{"payment_type", "BlockAmount"}, official, provider.Paid, 8000, false},
		"a word nobody knows":         {nil, answer("CAPTURED", "SUCCESSFUL"), provider.Pending, 8000, true},
		"another case":                {nil, answer("CAPTURED", "captured"), provider.Pending, 8000, true},
		"no word":                     {nil, answer(`"CAPTURED"`, "null"), provider.Pending, 8000, true},
		"a word of the account's":     {[]string{"status.failed", "DENIED"}, answer("CAPTURED", "DENIED"), provider.Failed, 8000, false},
	} {
		v := newVendor(t)
		v.answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.answer) }
		got, err := New(http.DefaultClient).Status(t.Context(), v.account(c.acc...), query)
		if err != nil || got.State != c.state || got.Amount.Minor != c.amount || got.Unknown != c.unknown {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestP1LyingAnswersAreNoEvidence: each of these servers says CAPTURED.
func TestP1LyingAnswersAreNoEvidence(t *testing.T) {
	for name, changes := range map[string][]string{
		"that names no payment of ours": {`"pay_1"`, `""`}, "whose payment is null": {`"pay_1"`, `null`},
		"about another transaction": {`"PT-1"`, `"PT-2"`}, "about none": {`"PT-1"`, `null`}, "without an amount": {"80.00", "null"},
		"with an exponent": {"80.00", "8e1"}, "with a fraction of a cent": {"80.00", "80.001"}, "with a negative amount": {"80.00", "-80.00"},
		"without a currency": {`"EUR"`, `""`}, "with a currency of its own": {`"EUR"`, `"eur"`}, "with an error code": {"0000", "4711"},
		"cut off": {`"requestId":"r"}}`, ""}, "with the amount as an object": {"80.00", "{}"},
	} {
		v := newVendor(t)
		v.answer = func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.NewReplacer(changes...).Replace(official))
		}
		if got, err := New(http.DefaultClient).Status(t.Context(), v.account("account_field", "accno"), query); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"500":       func(w http.ResponseWriter, _ *http.Request) { http.Error(w, official, http.StatusInternalServerError) },
		"elsewhere": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) },
		"page":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>CAPTURED</html>") },
		"hang up":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		v := newVendor(t)
		v.answer = handler
		if got, err := New(http.DefaultClient).Status(t.Context(), v.account(), query); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestAnotherAccountsTransactionIsNamed: whose it is, is for verification to judge.
func TestAnotherAccountsTransactionIsNamed(t *testing.T) {
	for field, account := range map[string]string{"": "", "accno": "", "initiatorAccno": "I-1"} {
		got, err := New(http.DefaultClient).Status(t.Context(), newVendor(t).account("account_field", field), query)
		if err != nil || got.Account != account {
			t.Errorf("account_field %q: %+v, %v", field, got, err)
		}
	}
}

// TestS4NobodyCanBeAskedWithoutTheReference: and the error says what is missing.
func TestS4NobodyCanBeAskedWithoutTheReference(t *testing.T) {
	v := newVendor(t)
	_, err := New(http.DefaultClient).Status(t.Context(), v.account(), provider.StatusQuery{Reference: "pay_1"})
	if !errors.Is(err, provider.ErrReferenceMissing) || !strings.Contains(err.Error(), "uniqueReference") || v.asked.Load()+v.issued.Load() != 0 {
		t.Errorf("%v, %d asked", err, v.asked.Load())
	}
}

func TestTokensAreReusedAndReplaced(t *testing.T) {
	v := newVendor(t)
	p := New(http.DefaultClient)
	ask := func(acc provider.Account) {
		t.Helper()
		if _, err := p.Status(t.Context(), acc, query); err != nil {
			t.Error(err)
		}
	}
	ask(v.account())
	ask(v.account())
	if v.issued.Load() != 1 {
		t.Fatalf("%d tokens for two questions", v.issued.Load())
	}
	refused := false
	v.refuse = func() bool { first := !refused; refused = true; return first }
	ask(v.account())
	if v.issued.Load() != 2 {
		t.Fatalf("%d tokens after a refusal, want 2", v.issued.Load())
	}
	other := v.account()
	other.ID = "other"
	ask(other)
	if v.issued.Load() != 3 {
		t.Fatal("two accounts share a token")
	}
	v.validFor = time.Second // less than the margin: never reused
	other.ID = "third"
	ask(other)
	ask(other)
	if v.issued.Load() != 5 {
		t.Fatalf("%d tokens, want 5", v.issued.Load())
	}
}

func TestATokenThatIsAlwaysRefusedIsIssuedOnceMoreOnly(t *testing.T) {
	v := newVendor(t)
	v.refuse = func() bool { return true }
	if _, err := New(http.DefaultClient).Status(t.Context(), v.account(), query); err == nil || v.issued.Load() != 2 || v.asked.Load() != 2 {
		t.Errorf("%v; %d issued, %d asked", err, v.issued.Load(), v.asked.Load())
	}
}

func TestManyQuestionsShareOneToken(t *testing.T) {
	v := newVendor(t)
	p := New(http.DefaultClient)
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			if _, err := p.Status(t.Context(), v.account(), query); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if v.issued.Load() != 1 {
		t.Errorf("%d tokens", v.issued.Load())
	}
}

func TestValidUntil(t *testing.T) {
	for text, ok := range map[string]bool{
		"2026-11-22T10:00:00Z": true, "2026-11-22T10:00:00.123456789Z": true, "2026-11-22T10:00:00.1234567": true, "2026-11-22T11:00:00+01:00": true,
		"2026-11-22 10:00:00": true, "soon": false, "": false,
	} {
		at, got := instant(text)
		if got != ok || ok && at.Truncate(time.Second).UTC() != time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) {
			t.Errorf("%q: %v, %v", text, at, got)
		}
	}
}

// TestP10NoSecretInErrors: password and token show nowhere, whatever the vendor does.
func TestP10NoSecretInErrors(t *testing.T) {
	v := newVendor(t)
	acc := v.account()
	check := func(err error) {
		t.Helper()
		if err == nil {
			t.Fatal("no error")
		}
		for _, secret := range []string{password.Reveal(), "token-"} {
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
				t.Errorf("%v", err)
			}
		}
	}
	p := New(http.DefaultClient)
	v.answer = func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.Header.Get("X-Auth-Token"), http.StatusTeapot)
	}
	_, err := p.Status(t.Context(), acc, query)
	check(err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Status(ctx, acc, query)
	check(err)
	acc.Secrets["password"] = password + "x"
	_, err = p.Status(t.Context(), acc, query)
	check(err)
	s, err := settingsOf(v.account())
	if err != nil || strings.Contains(fmt.Sprintf("%+v", s), password.Reveal()) {
		t.Errorf("settings show the password (%v)", err)
	}
}

func FuzzReport(f *testing.F) {
	f.Add(official)
	f.Add(`{"statusCode":"CAPTURED","uniqueReference":"PT-1","presentationAmount":"80.00","presentationCurrCode":"EUR"}`)
	f.Add(`{"presentationAmount":1E400}`)
	s, err := settingsOf(account())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var got transaction
		if json.Unmarshal([]byte(body), &got) != nil {
			return
		}
		report, err := s.report(got, query)
		if err == nil && report.State == provider.Paid && (report.TransactionID != "PT-1" || report.Reference == "" || report.Amount.Currency == "" || report.Amount.Minor < 0) {
			t.Errorf("%+v", report)
		}
	})
}
