package resurs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/provider"
	"quittance/pkg/seal"
)

const (
	storeID   = "11111111-2222-3333-4444-555555555555"
	invoice   = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	partPay   = "aaaaaaaa-bbbb-cccc-dddd-ffffffffffff"
	paymentID = "6fa85f64-5997-45c2-b3fc-2c263f66afa6" // of the vendor's own fixture
	secret    = seal.Secret("client-secret")
)

func account(pairs ...string) provider.Account {
	acc := provider.Account{ID: "resurs", Merchant: "acme", Provider: Name,
		Settings: map[string]string{"client_id": "me", "store_id": storeID, "payment_methods": invoice + "=Invoice," + partPay + "=Part payment", "currency": "SEK"},
		Secrets:  map[string]seal.Secret{"client_secret": secret},
	}
	for i := 0; i < len(pairs); i += 2 {
		acc.Settings[pairs[i]] = pairs[i+1]
	}
	return acc
}

func attempt() provider.Attempt {
	return provider.Attempt{ID: "pay_1", Reference: "pay_0123456789abcdef0123456789abcdef", Amount: money.Amount{Minor: 25050, Currency: "SEK"},
		Description: "2 × Notepad", Email: "ada@example.com", ReturnURL: "https://shop.example/return/pay_1",
		DeclineURL: "https://shop.example/return/pay_1/declined", CallbackURL: "https://shop.example/callbacks/resurs/resurs"}
}

func TestCheckAccount(t *testing.T) {
	p := New(http.DefaultClient)
	for name, acc := range map[string]provider.Account{
		"plain": account(), "production": account("environment", "production"), "captured at once": account("automatic_capture", "true"),
		"a day": account("time_to_live", "24h"), "the vendor's limit": account("time_to_live", "720h"), "one minute": account("time_to_live", "1m"), "vat": account("vat_rate", "12.5"),
	} {
		if err := p.CheckAccount(acc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for setting, acc := range map[string]provider.Account{
		"environment": account("environment", "test"), "base_url": account("base_url", "http://x.example"), "client_id": account("client_id", " "),
		"store_id": account("store_id", "1"), "payment_methods": account("payment_methods", ""), "currency": account("currency", "sek"),
		"customer_type": account("customer_type", "CAT"), "vat_rate": account("vat_rate", "25%"), "time_to_live": account("time_to_live", "721h"),
		"handle_frozen": account("automatic_capture", "true", "handle_frozen", "true"), "automatic_capture": account("automatic_capture", "x"),
		"status.paid": account("status.paid", "ACCEPTED"), "callback_cidrs": account("callback_cidrs", "x"), "life": account("life", "0s"),
	} {
		if err := p.CheckAccount(acc); err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("%s: %v", setting, err)
		}
	}
	for _, ttl := range []string{"0s", "90s", "-1m"} {
		if p.CheckAccount(account("time_to_live", ttl)) == nil {
			t.Errorf("time_to_live %s passes", ttl)
		}
	}
	acc := account()
	delete(acc.Secrets, "client_secret")
	if err := p.CheckAccount(acc); err == nil || !strings.Contains(err.Error(), "client_secret") {
		t.Error(err)
	}
	if got := p.Methods(account()); len(got) != 2 || got[0] != (provider.Method{ID: invoice, Name: "Invoice", Icon: "invoice"}) {
		t.Errorf("methods %v", got)
	}
}

func TestHostsOfTheVendor(t *testing.T) {
	for environment, host := range map[string]string{
		"production": "https://merchant-api.resurs.com", "integration": "https://merchant-api.integration.resurs.com", "": "https://merchant-api.integration.resurs.com",
	} {
		if s, err := settingsOf(account("environment", environment)); err != nil || s.base != host {
			t.Errorf("%q: %q, %v", environment, s.base, err)
		}
	}
}

// vendor is the API; handlers answer what comes with a good token.
type vendor struct {
	url     string
	issued  atomic.Int64
	asked   []string // method and path
	body    []byte   // of the latest call
	expires string
	handle  http.HandlerFunc
}

func newVendor(t *testing.T, handle http.HandlerFunc) *vendor {
	v := &vendor{handle: handle, expires: "3599"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/oauth2/token" {
			want := url.Values{"grant_type": {"client_credentials"}, "scope": {"merchant-api"}, "client_id": {"me"}, "client_secret": {secret.Reveal()}}
			if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.PostForm.Encode() != want.Encode() {
				http.Error(w, "no", http.StatusBadRequest)
				return
			}
			_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":%s}`, v.issued.Add(1), v.expires)
			return
		}
		if r.Header.Get("Authorization") != fmt.Sprintf("Bearer token-%d", v.issued.Load()) {
			http.Error(w, "expired", http.StatusUnauthorized)
			return
		}
		v.asked = append(v.asked, r.Method+" "+r.URL.Path)
		v.body, _ = io.ReadAll(r.Body)
		v.handle(w, r)
	}))
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

func (v *vendor) account(pairs ...string) provider.Account {
	return account(append([]string{"base_url", v.url}, pairs...)...)
}

func answer(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func TestCreateSendsWhatIsDocumented(t *testing.T) {
	v := newVendor(t, answer(`{"id":"`+paymentID+`","status":"TASK_REDIRECTION_REQUIRED","taskRedirectionUrls":{"customerUrl":"https://tasks.example/x?y=z"}}`))
	a := attempt()
	a.Method = partPay
	got, err := New(http.DefaultClient).Create(t.Context(), v.account("vat_rate", "25", "creator", "quittance"), a)
	want := provider.Created{ProviderReference: paymentID, Redirect: provider.Redirect{Method: http.MethodGet, URL: "https://tasks.example/x?y=z"}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%+v, %v", got, err)
	}
	const body = `{"storeId":"` + storeID + `","paymentMethodId":"` + partPay + `","order":{"orderLines":[{"description":"2 × Notepad","quantity":1,"quantityUnit":"pcs","type":"NORMAL","vatRate":25,"totalAmountIncludingVat":250.50}],"orderReference":"pay_0123456789abcdef0123456789abcdef"},` +
		`"customer":{"customerType":"NATURAL","email":"ada@example.com"},"metadata":{"creator":"quittance"},` +
		`"options":{"initiatedOnCustomersDevice":true,"handleFrozenPayments":true,"handleManualInspection":false,"automaticCapture":false,` +
		`"callbacks":{"authorization":{"url":"https://shop.example/callbacks/resurs/resurs"},"management":{"url":"https://shop.example/callbacks/resurs/resurs"}},` +
		`"redirectionUrls":{"customer":{"failUrl":"https://shop.example/return/pay_1/declined","successUrl":"https://shop.example/return/pay_1"}},"timeToLiveInMinutes":120}}`
	if string(v.body) != body || v.asked[0] != "POST /v2/payments" {
		t.Errorf("%v\n got %s\nwant %s", v.asked, v.body, body)
	}
}

func TestCreateAnswers(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "personal data", code) }
	}
	for name, c := range map[string]struct {
		handle   http.HandlerFunc
		way      string
		declined bool
	}{
		"no tasks":                 {answer(`{"id":"` + paymentID + `","status":"ACCEPTED"}`), attempt().ReturnURL, false},
		"frozen at once":           {answer(`{"id":"` + paymentID + `","status":"FROZEN","taskRedirectionUrls":{}}`), attempt().ReturnURL, false},
		"rejected at once":         {answer(`{"id":"` + paymentID + `","status":"REJECTED","rejectedReason":{"category":"CREDIT_DENIED"}}`), "", true},
		"tasks without a way":      {answer(`{"id":"` + paymentID + `","status":"TASK_REDIRECTION_REQUIRED"}`), "", false},
		"a way that is a script":   {answer(`{"id":"` + paymentID + `","status":"TASK_REDIRECTION_REQUIRED","taskRedirectionUrls":{"customerUrl":"javascript:alert(1)"}}`), "", false},
		"a way without encryption": {answer(`{"id":"` + paymentID + `","status":"TASK_REDIRECTION_REQUIRED","taskRedirectionUrls":{"customerUrl":"http://tasks.example"}}`), "", false},
		"no id":                    {answer(`{"status":"ACCEPTED"}`), "", false}, "no JSON": {answer("<html>"), "", false},
		"400": {status(400), "", true}, "404": {status(404), "", true}, "409": {status(409), "", true}, "422": {status(422), "", true},
		"401": {status(401), "", false}, "408": {status(408), "", false}, "429": {status(429), "", false}, "500": {status(500), "", false}, "503": {status(503), "", false}, "302": {status(302), "", false},
	} {
		v := newVendor(t, c.handle)
		got, err := New(http.DefaultClient).Create(t.Context(), v.account(), attempt())
		if (err == nil) != (c.way != "") || got.Redirect.URL != c.way || errors.Is(err, provider.ErrDeclined) != c.declined {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if err != nil && (strings.Contains(err.Error(), "personal data") || strings.Contains(err.Error(), secret.Reveal())) {
			t.Errorf("%s: the error tells too much: %v", name, err)
		}
	}
}

func TestCheckAttempt(t *testing.T) {
	p := New(http.DefaultClient)
	if err := p.CheckAttempt(account(), attempt()); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*provider.Attempt){
		"another currency": func(a *provider.Attempt) { a.Amount.Currency = "EUR" }, "nothing to pay": func(a *provider.Attempt) { a.Amount.Minor = 0 },
		"a reference of 37 characters": func(a *provider.Attempt) { a.Reference += "0" }, "a method of others": func(a *provider.Attempt) { a.Method = paymentID },
	} {
		a := attempt()
		change(&a)
		if p.CheckAttempt(account(), a) == nil {
			t.Errorf("%s passes", name)
		}
		if _, err := p.Create(t.Context(), account(), a); !errors.Is(err, provider.ErrDeclined) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// book is a payment as the API shows it.
func book(status, total, canceled, authorized, captured, refunded string) string {
	return fmt.Sprintf(`{"id":%q,"created":"2026-11-22T10:00:00.123456789Z","storeId":%q,"status":%q,"order":{"orderReference":"pay_1","actionLog":[],
		"possibleActions":[{"action":"CAPTURE"},{"action":"PARTIAL_CAPTURE"},{"action":"REFUND"},{"action":"PARTIAL_REFUND"},"CANCEL"],
		"totalOrderAmount":%s,"canceledAmount":%s,"authorizedAmount":%s,"capturedAmount":%s,"refundedAmount":%s}}`,
		paymentID, storeID, status, total, canceled, authorized, captured, refunded)
}

var query = provider.StatusQuery{Reference: "pay_1", ProviderReference: paymentID}

func TestStatusWords(t *testing.T) {
	sek := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "SEK"} }
	for name, c := range map[string]struct {
		payment string
		tasks   string
		state   provider.State
		amount  money.Amount
		unknown bool
	}{
		"tasks to do":          {book("TASK_REDIRECTION_REQUIRED", "250.50", "0", "0", "0", "0"), "", provider.Pending, money.Amount{}, false},
		"S10 frozen":           {book("FROZEN", "250.50", "0", "250.50", "0", "0"), "", provider.OnHold, money.Amount{}, false},
		"inspection":           {book("INSPECTION", "250.50", "0", "0", "0", "0"), "", provider.OnHold, money.Amount{}, false},
		"supplementing":        {book("SUPPLEMENTING_REQUIRED", "250.50", "0", "0", "0", "0"), "", provider.OnHold, money.Amount{}, false},
		"accepted":             {book("ACCEPTED", "250.50", "0", "250.50", "0", "0"), "", provider.Authorized, sek(25050), false},
		"accepted for less":    {book("ACCEPTED", "250.50", "0", "250.49", "0", "0"), "", provider.Authorized, sek(25049), false},
		"captured":             {book("ACCEPTED", "250.5", "0", "0", "250.50", "0"), "", provider.Paid, sek(25050), false},
		"captured in part":     {book("ACCEPTED", "250.50", "0", "150.50", "100", "0"), "", provider.Authorized, sek(25050), false},
		"refunded in part":     {book("ACCEPTED", "250.50", "0", "0", "250.50", "50.50"), "", provider.Paid, sek(25050), false},
		"refunded":             {book("ACCEPTED", "250.50", "0", "0", "250.50", "250.50"), "", provider.Refunded, sek(25050), false},
		"canceled":             {book("ACCEPTED", "250.50", "250.50", "0", "0", "0"), "", provider.Canceled, money.Amount{}, false},
		"rejected, tasks done": {book("REJECTED", "250.50", "0", "0", "0", "0"), `{"completed":true}`, provider.Failed, money.Amount{}, false},
		"rejected, given up":   {book("REJECTED", "250.50", "0", "0", "0", "0"), `{"completed":false,"customer":{"hasActiveTask":true}}`, provider.Canceled, money.Amount{}, false},
		"a callback's word":    {book("AUTHORIZED", "250.50", "0", "250.50", "0", "0"), "", provider.Pending, money.Amount{}, true},
		"a word nobody knows":  {book("DONE", "250.50", "0", "250.50", "250.50", "0"), "", provider.Pending, money.Amount{}, true},
		"amounts nobody names": {book("ACCEPTED", "250.50", "null", "250.50", "null", "null"), "", provider.Authorized, sek(25050), false},
	} {
		v := newVendor(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/tasks/status") {
				_, _ = io.WriteString(w, c.tasks)
				return
			}
			_, _ = io.WriteString(w, c.payment)
		})
		got, err := New(http.DefaultClient).Status(t.Context(), v.account(), query)
		if err != nil || got.State != c.state || got.Amount != c.amount || got.Unknown != c.unknown || got.TransactionID != paymentID || got.Reference != "pay_1" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if v.asked[0] != "GET /v2/payments/"+paymentID || c.tasks != "" && v.asked[1] != "GET /v2/payments/"+paymentID+"/tasks/status" || c.tasks == "" && len(v.asked) != 1 {
			t.Errorf("%s: asked %v", name, v.asked)
		}
	}
}

func TestStatusTellsWhatWasTakenAndGivenBack(t *testing.T) {
	v := newVendor(t, answer(book("ACCEPTED", "250.50", "0", "0", "250.50", "50.50")))
	got, err := New(http.DefaultClient).Status(t.Context(), v.account(), query)
	if err != nil || got.Captured.Minor != 25050 || got.Refunded != (money.Amount{Minor: 5050, Currency: "SEK"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestP1LyingAnswersAreNoEvidence: each of these servers says ACCEPTED.
func TestP1LyingAnswersAreNoEvidence(t *testing.T) {
	good := book("ACCEPTED", "250.50", "0", "250.50", "0", "0")
	for name, text := range map[string]string{
		"about another payment": strings.Replace(good, paymentID, "6fa85f64-5997-45c2-b3fc-2c263f66afa7", 1),
		"about none":            strings.Replace(good, paymentID, "", 1),
		"of another store":      strings.Replace(good, storeID, invoice, 1),
		"without our reference": strings.Replace(good, `"pay_1"`, `""`, 1),
		"without a reference":   strings.Replace(good, `"orderReference":"pay_1",`, "", 1),
		"without amounts":       book("ACCEPTED", "null", "0", "null", "0", "0"),
		"without what counts":   book("ACCEPTED", "250.50", "0", "null", "0", "0"),
		"a fraction of an öre":  book("ACCEPTED", "250.50", "0", "250.505", "0", "0"),
		"an exponent":           book("ACCEPTED", "250.50", "0", "2505e-1", "0", "0"),
		"negative":              book("ACCEPTED", "250.50", "0", "250.50", "-1", "0"),
		"cut off":               good[:len(good)-3], "a page": "<html>ACCEPTED</html>", "empty": "",
	} {
		v := newVendor(t, answer(text))
		if got, err := New(http.DefaultClient).Status(t.Context(), v.account(), query); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	v := newVendor(t, answer(book("REJECTED", "1", "0", "0", "0", "0")))
	if got, err := New(http.DefaultClient).Status(t.Context(), v.account(), query); err == nil { // the tasks' answer says nothing
		t.Errorf("rejected without tasks: %+v", got)
	}
	if _, err := New(http.DefaultClient).Status(t.Context(), v.account(), provider.StatusQuery{Reference: "pay_1"}); !errors.Is(err, provider.ErrReferenceMissing) {
		t.Errorf("without the payment's id: %v", err)
	}
	if _, err := New(http.DefaultClient).Status(t.Context(), v.account(), provider.StatusQuery{ProviderReference: "../stores"}); err == nil {
		t.Error("a way out of the path passes")
	}
}

func TestExpiresInIsObeyed(t *testing.T) {
	for expires, tokens := range map[string]int64{"3599": 1, "86400": 1, `"3599"`: 1, "29": 2, "0": 2, "null": 2, "-5": 2, "99999999999": 1} {
		v := newVendor(t, answer(book("ACCEPTED", "1", "0", "1", "0", "0")))
		v.expires = expires
		p := New(http.DefaultClient)
		for range 2 {
			if _, err := p.Status(t.Context(), v.account(), query); err != nil {
				t.Errorf("expires_in %s: %v", expires, err)
			}
		}
		if v.issued.Load() != tokens {
			t.Errorf("expires_in %s: %d tokens for two calls, want %d", expires, v.issued.Load(), tokens)
		}
	}
}

func TestOperations(t *testing.T) {
	const reserved, captured = "250.50", "100"
	accepted := book("ACCEPTED", reserved, "50.50", "100", captured, "20")
	op := func(minor int64) provider.Operation {
		return provider.Operation{ID: "op_1", StatusQuery: query, Amount: money.Amount{Minor: minor, Currency: "SEK"}}
	}
	type do = func(p *Provider, acc provider.Account, op provider.Operation) error
	capture := func(p *Provider, acc provider.Account, op provider.Operation) error {
		return p.Capture(t.Context(), acc, op)
	}
	cancel := func(p *Provider, acc provider.Account, op provider.Operation) error {
		return p.Cancel(t.Context(), acc, op)
	}
	refund := func(p *Provider, acc provider.Account, op provider.Operation) error {
		return p.Refund(t.Context(), acc, op)
	}
	for name, c := range map[string]struct {
		do      do
		op      provider.Operation
		payment string
		verb    string // empty: declined before it is asked
		line    string
	}{
		"capture the rest":  {capture, op(10000), accepted, "capture", ""},
		"capture all of it": {capture, provider.Operation{ID: "op_1", StatusQuery: query}, accepted, "capture", ""},
		"capture a part":    {capture, op(1), accepted, "capture", "0.01"},
		"capture too much":  {capture, op(10001), accepted, "", ""},
		"cancel the rest":   {cancel, op(10000), accepted, "cancel", ""},
		"cancel a part":     {cancel, op(1), accepted, "", ""}, // PARTIAL_CANCEL is not among the possible actions
		"refund the rest":   {refund, op(8000), accepted, "refund", ""},
		"refund a part":     {refund, op(4050), accepted, "refund", "40.50"},
		"refund too much":   {refund, op(8001), accepted, "", ""},
		"refund nothing":    {refund, op(0), book("ACCEPTED", reserved, "0", reserved, "0", "0"), "", ""},
		"another currency":  {refund, provider.Operation{StatusQuery: query, Amount: money.Amount{Minor: 1, Currency: "EUR"}}, accepted, "", ""},
		"less than nothing": {refund, op(-1), accepted, "", ""},
		"not possible":      {capture, op(10000), strings.ReplaceAll(accepted, "CAPTURE", "X"), "", ""},
	} {
		v := newVendor(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				_, _ = io.WriteString(w, c.payment)
			}
		})
		err := c.do(New(http.DefaultClient), v.account(), c.op)
		if c.verb == "" {
			if !errors.Is(err, provider.ErrDeclined) || len(v.asked) > 1 {
				t.Errorf("%s: %v, asked %v", name, err, v.asked)
			}
			continue
		}
		var body operation
		if err != nil || len(v.asked) != 2 || v.asked[1] != "POST /v2/payments/"+paymentID+"/"+c.verb || json.Unmarshal(v.body, &body) != nil || body.TransactionID != "op_1" {
			t.Errorf("%s: %v, asked %v, sent %s", name, err, v.asked, v.body)
			continue
		}
		if len(body.OrderLines) > 1 || (len(body.OrderLines) == 1) != (c.line != "") || c.line != "" && body.OrderLines[0].Total.String() != c.line {
			t.Errorf("%s: sent %s", name, v.body)
		}
	}
	for code, declined := range map[int]bool{409: true, 500: false} {
		v := newVendor(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				_, _ = io.WriteString(w, accepted)
				return
			}
			w.WriteHeader(code)
		})
		if err := New(http.DefaultClient).Refund(t.Context(), v.account(), op(8000)); err == nil || errors.Is(err, provider.ErrDeclined) != declined {
			t.Errorf("answered %d: %v", code, err)
		}
	}
}

func post(body string) provider.Request {
	return provider.Request{Method: http.MethodPost, Body: []byte(body), Remote: "192.0.2.7", Header: http.Header{}}
}

// TestCallbacksOfficialShapes: the vendor's fixture, and what its models have.
func TestCallbacksOfficialShapes(t *testing.T) {
	p := New(http.DefaultClient)
	for body, claim := range map[string]provider.Claim{
		`{"paymentId":"` + paymentID + `","status":"AUTHORIZED","created":"2010-12-10 10:10"}`:                                               provider.ClaimOther,
		`{"paymentId":"` + paymentID + `","status":"CAPTURED","created":"2026-11-22T10:00:00.123456789Z","checkoutId":"x"}`:                  provider.ClaimPaid,
		`{"paymentId":"` + paymentID + `","status":"FROZEN","created":"2026-11-22T10:00:00+01:00"}`:                                          provider.ClaimOther,
		`{"paymentId":"` + paymentID + `","status":"REJECTED","created":1764000000}`:                                                         provider.ClaimOther,
		`{"paymentId":"` + paymentID + `","status":"REJECTED"}`:                                                                              provider.ClaimOther,
		`{"paymentId":"` + paymentID + `","action":"CAPTURE","actionId":"` + invoice + `","created":"2026-11-22T10:00:00Z"}`:                 provider.ClaimPaid,
		`{"paymentId":"` + paymentID + `","action":"REFUND","actionId":"` + invoice + `","created":"2026-11-22T10:00:00Z"}`:                  provider.ClaimRefunded,
		`{"paymentId":"` + strings.ToUpper(paymentID) + `","action":"CANCEL","actionId":"` + invoice + `","created":"2026-11-22T10:00:00Z"}`: provider.ClaimOther,
	} {
		got, err := p.ParseCallback(account(), post(body))
		if err != nil || got.TransactionID != paymentID || got.Reference != "" || got.Signed || got.Claim != claim || !got.Refunded.IsZero() {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	for _, body := range []string{``, `[]`, `{}`, `null`, `{"paymentId":"1","status":"AUTHORIZED"}`, `{"paymentId":"` + paymentID + `"}`,
		`{"paymentId":"` + paymentID + `","status":"CAPTURED","action":"CAPTURE"}`, `{"paymentId":7,"status":"CAPTURED"}`} {
		if got, err := p.ParseCallback(account(), post(body)); err == nil || errors.Is(err, provider.ErrUnauthentic) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	get := post(`{"paymentId":"` + paymentID + `","status":"AUTHORIZED"}`)
	get.Method = http.MethodGet
	if _, err := p.ParseCallback(account(), get); err == nil {
		t.Error("a GET is no callback")
	}
	listed := account("callback_cidrs", "198.51.100.0/24")
	if _, err := p.ParseCallback(listed, post(`{"paymentId":"`+paymentID+`","status":"AUTHORIZED"}`)); !errors.Is(err, provider.ErrUnauthentic) {
		t.Errorf("from elsewhere: %v", err)
	}
}

func TestDedupeKey(t *testing.T) {
	key := func(body string) string {
		got, err := New(http.DefaultClient).ParseCallback(account(), post(body))
		if err != nil {
			t.Fatal(err)
		}
		return got.DedupeKey
	}
	seen := map[string]string{}
	for _, rest := range []string{
		`"status":"AUTHORIZED","created":"a"`, `"status":"AUTHORIZED","created":"b"`, `"status":"CAPTURED","created":"a"`,
		`"action":"CAPTURE","actionId":"1","created":"a"`, `"action":"CAPTURE","actionId":"2","created":"a"`, `"action":"REFUND","actionId":"1","created":"a"`,
	} {
		body := `{"paymentId":"` + paymentID + `",` + rest + `}`
		if key(body) != key(body+" ") {
			t.Errorf("a repeat of %s is another one", rest)
		}
		if other, taken := seen[key(body)]; taken {
			t.Errorf("%s counts as a repeat of %s", rest, other)
		}
		seen[key(body)] = rest
	}
}

func TestAcknowledge(t *testing.T) {
	p := New(http.DefaultClient)
	for _, c := range []struct {
		answer  provider.Answer
		refusal error
		status  int
	}{
		{provider.Recorded, nil, 202}, {provider.Refused, errors.New("x"), 415}, {provider.Refused, provider.ErrUnauthentic, 403}, {provider.NotDurable, nil, 503},
	} {
		if got := p.Acknowledge(c.answer, c.refusal); got.Status != c.status || got.Body != "" {
			t.Errorf("%v: %+v", c.answer, got)
		}
	}
}

func TestScheduleFollowsForDays(t *testing.T) {
	s := New(http.DefaultClient).Schedule(account())
	if s.Life < 30*24*time.Hour || s.Then[len(s.Then)-1] > 12*time.Hour {
		t.Errorf("%+v", s)
	}
}

func FuzzParseCallback(f *testing.F) {
	f.Add(`{"paymentId":"` + paymentID + `","status":"AUTHORIZED","created":"2010-12-10 10:10"}`)
	f.Add(`{"paymentId":"` + paymentID + `","action":"CAPTURE","actionId":"x","created":{}}`)
	f.Add(`{"paymentId":null}`)
	f.Fuzz(func(t *testing.T, body string) {
		got, err := New(http.DefaultClient).ParseCallback(account(), post(body))
		if err == nil && (!uuid.MatchString(got.TransactionID) || got.DedupeKey == "" || got.Signed) {
			t.Errorf("%+v", got)
		}
	})
}

func FuzzReport(f *testing.F) {
	f.Add(book("ACCEPTED", "250.50", "0", "250.50", "0", "0"))
	f.Add(book("ACCEPTED", "1", "2", "3", "4", "5"))
	f.Add(`{"status":"ACCEPTED","order":{"possibleActions":{}}}`)
	s, err := settingsOf(account())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var got payment
		if json.Unmarshal([]byte(body), &got) != nil {
			return
		}
		report, err := s.report(got)
		if err == nil && report.State == provider.Paid && (report.Reference == "" || report.Amount.Minor <= 0 || report.Amount.Currency != "SEK") {
			t.Errorf("%+v", report)
		}
	})
}
