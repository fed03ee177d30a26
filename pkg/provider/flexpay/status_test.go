package flexpay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/provider"
)

const paidYAML = `---
response: FOUND
saleResult: APPROVED
saleID: 433456
referenceID: pay_1
priceAmount: 9.90
priceCurrency: EUR
paymentMethod: CC
createdOn: 2026-11-22 10:00:00
billingAddr_fullName: "Jo: Doe # not a comment"
billingAddr_addressLine1: |
  Main Street 1
  Rear building
`

// server answers every status question with handler and returns an account there.
func server(t *testing.T, handler http.HandlerFunc, settings ...string) provider.Account {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return account(append([]string{"base_url", srv.URL + "/flexpay/"}, settings...)...)
}

func answer(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, text) }
}

func TestStatusQuestion(t *testing.T) {
	var got *http.Request
	acc := server(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		answer(paidYAML)(w, r)
	})
	for _, tt := range []struct {
		query       provider.StatusQuery
		name, value string
	}{
		{provider.StatusQuery{Reference: "pay_1", TransactionID: "433456"}, "referenceID", "pay_1"},
		{provider.StatusQuery{TransactionID: "433456"}, "saleID", "433456"},
	} {
		if _, err := New(http.DefaultClient).Status(t.Context(), acc, tt.query); err != nil {
			t.Fatal(err)
		}
		params, err := ParamsOf(got.URL.Query())
		if err != nil || got.Method != http.MethodGet || got.URL.Path != "/flexpay/salestatus" {
			t.Fatalf("request %s %s, %v", got.Method, got.URL.Path, err)
		}
		if err := VerifyRequest(testKey, params); err != nil {
			t.Error(err)
		}
		if len(params) != 4 || params[tt.name] != tt.value || params["shopID"] != "68849" || params["version"] != "4" {
			t.Errorf("parameters %v", params)
		}
	}
	if _, err := New(http.DefaultClient).Status(t.Context(), acc, provider.StatusQuery{}); err == nil {
		t.Error("a question about nothing passes")
	}
	if _, err := New(http.DefaultClient).Status(t.Context(), account("shop_id", ""), provider.StatusQuery{}); err == nil {
		t.Error("an unusable account passes")
	}
}

func TestStatusAnswers(t *testing.T) {
	eur := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }
	paid := provider.Report{State: provider.Paid, Reference: "pay_1", TransactionID: "433456", Amount: eur(990),
		AckOrRefund: true, Raw: "APPROVED"}
	vary := func(change func(*provider.Report)) provider.Report {
		report := paid
		change(&report)
		return report
	}
	word := func(old, new string) string { return strings.Replace(paidYAML, old, new, 1) }
	refunded := vary(func(r *provider.Report) { r.State, r.Raw = provider.Refunded, "REFUNDED" })
	unknown := func(raw string) provider.Report {
		return vary(func(r *provider.Report) { r.State, r.Raw, r.Unknown = provider.Pending, raw, true })
	}
	tests := []struct {
		name, yaml string
		want       provider.Report
	}{
		{"paid", paidYAML, paid},
		{"amount with a leading zero", word("9.90", "09.90"), paid},
		{"quoted amount", word("9.90", `"9.90"`), paid},
		{"direct debit", word("CC", "DDEU"), vary(func(r *provider.Report) { r.AckOrRefund = false })},
		{"no payment method", word("paymentMethod: CC\n", ""), paid},
		{"amount and currency instead of price", word("priceAmount: 9.90\npriceCurrency", "amount: 9.90\ncurrency"), paid},
		{"price comes before amount", paidYAML + "amount: 1.00\ncurrency: USD\n", paid},
		{"other amount", word("9.90", "0.01"), vary(func(r *provider.Report) { r.Amount = eur(1) })},
		{"other reference", word("pay_1", "pay_2"), vary(func(r *provider.Report) { r.Reference = "pay_2" })},
		{"no reference", word("referenceID: pay_1\n", ""), vary(func(r *provider.Report) { r.Reference = "" })},
		{"word of the settings", word("APPROVED", "REFUNDED"), refunded},
		{"unknown word", word("APPROVED", "FROZEN"), unknown("FROZEN")},
		{"lower case", word("APPROVED", "approved"), unknown("approved")},
		{"no word", word("saleResult: APPROVED\n", ""), unknown("FOUND")},
		{"null", word("APPROVED", "~"), unknown("FOUND")},
		{"response in lower case", word("FOUND", "found"), unknown("found")},
		{"approved, but not found", word("FOUND", "NOTFOUND"),
			vary(func(r *provider.Report) { r.State, r.Raw = provider.Pending, "NOTFOUND" })},
		{"not found", "response: NOTFOUND\n", provider.Report{State: provider.Pending, Raw: "NOTFOUND", AckOrRefund: true}},
		{"error", "response: ERROR\nerror: \"Invalid\\tsignature\"\n", provider.Report{State: provider.Pending, Raw: "ERROR",
			Detail: "Invalid signature", AckOrRefund: true, Unknown: true}},
		{"unknown word without an amount", "response: FOUND\nsaleResult: FROZEN\n",
			provider.Report{State: provider.Pending, Raw: "FROZEN", AckOrRefund: true, Unknown: true}},
		{"nested values are passed over", paidYAML + "more: {saleResult: DECLINED}\nlist: [1, 2]\n", paid},
	}
	for _, tt := range tests {
		acc := server(t, answer(tt.yaml), "status.refunded", "REFUNDED")
		got, err := New(http.DefaultClient).Status(t.Context(), acc, provider.StatusQuery{Reference: "pay_1"})
		got.Payer = provider.Payer{} // see TestPayer
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
	}
}

// TestLyingServers (P1): a server that misbehaves gets an error or pending, never a payment.
func TestLyingServers(t *testing.T) {
	elsewhere := httptest.NewServer(answer(paidYAML))
	t.Cleanup(elsewhere.Close)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			answer(paidYAML)(w, r)
		}
	}
	text := func(old, new string) http.HandlerFunc { return answer(strings.Replace(paidYAML, old, new, 1)) }
	tests := map[string]http.HandlerFunc{
		"server that fails but says paid":       status(500),
		"server that accepts but says paid":     status(202),
		"server that refuses but says paid":     status(403),
		"server that sends us elsewhere":        http.RedirectHandler(elsewhere.URL, http.StatusFound).ServeHTTP,
		"server that talks without end":         answer(paidYAML + "x: " + strings.Repeat("x", maxAnswer)),
		"server that hangs up":                  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"server that hangs up in mid-sentence":  hangUp,
		"server that answers nothing":           answer(""),
		"server that answers HTML":              answer("<!doctype html><title>Log in</title><p>response: FOUND"),
		"server that answers a list":            answer("- response: FOUND\n- saleResult: APPROVED\n"),
		"server that answers a word":            answer("OK"),
		"server that says it twice":             answer(paidYAML + "saleResult: DECLINED\n"),
		"server that says it in two documents":  answer(paidYAML + paidYAML),
		"server that leaves out the response":   text("response: FOUND\n", ""),
		"server that names no amount":           text("priceAmount: 9.90\n", ""),
		"server that names no currency":         text("priceCurrency: EUR\n", ""),
		"server that names an empty amount":     text("9.90", "~"),
		"server that names a negative amount":   text("9.90", "-9.90"),
		"server that names half a cent":         text("9.90", "9.905"),
		"server that writes commas":             text("9.90", "9,90"),
		"server that writes underscores":        text("9.90", "9_90"),
		"server that names an amount in hex":    text("9.90", "0x9"),
		"server that names an unknown currency": text("EUR", "EURO"),
		"server that names no sale":             text("saleID: 433456\n", ""),
		"server that uses anchors":              text("APPROVED", "&a APPROVED\nx: *a"),
		"server that uses merge keys":           answer("<<: {saleResult: APPROVED}\n" + paidYAML),
		"server that uses tags":                 text("APPROVED", "!!str APPROVED"),
		"server that nests without end":         answer(strings.Repeat("[", maxAnswer)),
		"server that pads without end":          answer("a: |\n" + strings.Repeat("\n", maxAnswer-5)),
		"server that lists without end":         answer(strings.Repeat("- ", maxAnswer/2)),
	}
	for name, handler := range tests {
		t.Run(name, func(t *testing.T) {
			acc := server(t, handler)
			got, err := New(http.DefaultClient).Status(t.Context(), acc, provider.StatusQuery{Reference: "pay_1"})
			if err == nil {
				t.Fatalf("report %+v, want an error", got)
			}
			checkDiscreet(t, err)
		})
	}
	t.Run("server that tells of another sale", func(t *testing.T) {
		got, err := New(http.DefaultClient).Status(t.Context(), server(t, answer(paidYAML)), provider.StatusQuery{TransactionID: "1"})
		if err == nil {
			t.Fatalf("report %+v, want an error", got)
		}
	})
}

func hangUp(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "10000")
	answer(paidYAML)(w, r)
}

func TestStatusTimeout(t *testing.T) {
	acc := server(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := New(http.DefaultClient).Status(ctx, acc, provider.StatusQuery{Reference: "pay_1"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("server that never answers: %v, want the context's error", err)
	}
	checkDiscreet(t, err)
}

func TestStatusUnreachable(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	_, err := New(http.DefaultClient).Status(t.Context(), account("base_url", srv.URL), provider.StatusQuery{Reference: "pay_1"})
	if err == nil {
		t.Fatal("a closed port answers")
	}
	checkDiscreet(t, err)
}

// checkDiscreet (P10): neither the key nor a signed URL nor the buyer's data shows in an error.
func checkDiscreet(t *testing.T, err error) {
	t.Helper()
	for _, secret := range []string{testKey.Reveal(), "signature", StatusPath, url.QueryEscape("pay_1"), "Main Street"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q shows %q", err, secret)
		}
	}
}

// FuzzParseSale: an answer is read or refused, never misread. What the fuzzer finds must stay quick, too.
func FuzzParseSale(f *testing.F) {
	f.Add([]byte(paidYAML))
	f.Add([]byte("response: NOTFOUND\r\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("{response: FOUND, saleResult: APPROVED}"))
	f.Add([]byte("response: !!binary Rk9VTkQ=\n? x\n: |2-\n  y\n"))
	f.Add([]byte("\x00\xff: \"\\u0000\"\n"))
	s, err := settingsOf(account())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		sale, err := parseSale(text)
		if err != nil {
			if sale != nil || !errors.Is(err, errNotSale) {
				t.Fatalf("error %v with %v", err, sale)
			}
			return
		}
		report, err := s.report(sale)
		if err != nil || report.State != provider.Paid {
			return
		}
		if sale["response"] != "FOUND" || sale["saleResult"] != "APPROVED" || !report.Amount.Equal(mustAmount(t, sale)) {
			t.Fatalf("%q is paid: %+v", text, report)
		}
	})
}

func mustAmount(t *testing.T, sale map[string]string) money.Amount {
	t.Helper()
	amount, err := amountOf(sale)
	if err != nil {
		t.Fatal(err)
	}
	return amount
}
