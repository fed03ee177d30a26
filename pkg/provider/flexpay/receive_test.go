package flexpay

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"testing"

	"quittance/pkg/money"
	"quittance/pkg/provider"
)

// sale is the OK data of a card purchase, unsigned.
func sale() Params {
	return Params{"saleID": "433456", "transactionID": "99999991", "referenceID": "pay_1", "shopID": "68849",
		"type": "purchase", "priceAmount": "9.99", "priceCurrency": "EUR", "paymentMethod": "CC", "CCBrand": "VISA",
		"truncatedPAN": "XXXXXXXXXXXX1234"}
}

func with(p Params, pairs ...string) Params {
	p = maps.Clone(p)
	for i := 0; i < len(pairs); i += 2 {
		p[pairs[i]] = pairs[i+1]
		if pairs[i+1] == "" {
			delete(p, pairs[i])
		}
	}
	return p
}

func values(p Params) url.Values {
	v := url.Values{}
	for name, value := range p {
		v.Set(name, value)
	}
	return v
}

func postback(p Params) provider.Request {
	return provider.Request{Method: http.MethodGet, Query: values(p)}
}

func TestParseReturn(t *testing.T) {
	p := New(http.DefaultClient)
	got, err := p.ParseReturn(account(), values(SignData(testKey, sale())))
	if err != nil || got != (provider.Return{}) {
		t.Errorf("signed return: %+v, %v", got, err)
	}
	got, err = p.ParseReturn(account(), url.Values{})
	if err != nil || got != (provider.Return{Failed: true}) {
		t.Errorf("unsigned return: %+v, %v; want the claim of a failure", got, err)
	}
	legacy := values(sha1Data(testKey, sale()))
	if _, err := p.ParseReturn(account(), legacy); err == nil {
		t.Error("SHA-1 passes by default")
	}
	if _, err := p.ParseReturn(account("accept_sha1", "true"), legacy); err != nil {
		t.Errorf("SHA-1 where accepted: %v", err)
	}
	ours := values(SignData(testKey, sale()))
	ours.Set("attempt", "pay_1")
	if _, err := p.ParseReturn(account(), ours); err == nil {
		t.Error("a parameter of our own passes; the vendor's libraries would refuse it")
	}
}

// TestForgedReturnIsNoHint (P1): typing a success into the address bar gives an error, never a claim.
func TestForgedReturnIsNoHint(t *testing.T) {
	forged := values(with(sale(), "signature", "00"))
	got, err := New(http.DefaultClient).ParseReturn(account(), forged)
	if err == nil || got != (provider.Return{}) {
		t.Errorf("forged return: %+v, %v", got, err)
	}
}

func TestParseCallback(t *testing.T) {
	p := New(http.DefaultClient)
	tests := []struct {
		name   string
		params Params
		want   provider.Callback
	}{
		{"purchase", sale(), provider.Callback{Reference: "pay_1", TransactionID: "433456", Claim: provider.ClaimPaid}},
		{"purchase without shopID", with(sale(), "shopID", ""),
			provider.Callback{Reference: "pay_1", TransactionID: "433456", Claim: provider.ClaimPaid}},
		{"purchase without saleID", with(sale(), "saleID", ""),
			provider.Callback{Reference: "pay_1", TransactionID: "99999991", Claim: provider.ClaimPaid}},
		{"purchase without type", with(sale(), "type", ""),
			provider.Callback{Reference: "pay_1", TransactionID: "433456", Claim: provider.ClaimPaid}},
		{"credit", with(sale(), "event", "credit", "parentID", "433456"),
			provider.Callback{Reference: "pay_1", TransactionID: "433456", Claim: provider.ClaimRefunded}},
		{"credit without saleID", with(sale(), "event", "credit", "parentID", "433456", "saleID", "", "referenceID", ""),
			provider.Callback{TransactionID: "433456", Claim: provider.ClaimRefunded}},
		{"chargeback", with(sale(), "event", "chargeback"),
			provider.Callback{Reference: "pay_1", TransactionID: "433456", Claim: provider.ClaimChargedBack}},
		{"subscription", with(sale(), "type", "subscription", "event", "initial"),
			provider.Callback{Reference: "pay_1", TransactionID: "433456", Claim: provider.ClaimOther}},
		{"credit of a subscription", with(sale(), "type", "subscription", "event", "credit"),
			provider.Callback{Reference: "pay_1", TransactionID: "433456", Claim: provider.ClaimOther}},
		{"unknown event", with(sale(), "event", "initial"),
			provider.Callback{Reference: "pay_1", TransactionID: "433456", Claim: provider.ClaimOther}},
	}
	keys := map[string]string{}
	for _, tt := range tests {
		var signed Params
		if tt.params["shopID"] == "" { // signed with the shop that isn't sent
			signed = with(SignData(testKey, with(tt.params, "shopID", "68849")), "shopID", "")
		} else {
			signed = SignData(testKey, tt.params)
		}
		got, err := p.ParseCallback(account(), postback(signed))
		key := got.DedupeKey
		got.DedupeKey = ""
		tt.want.Signed = true
		if tt.want.Claim == provider.ClaimRefunded || tt.want.Claim == provider.ClaimChargedBack {
			tt.want.Refunded = money.Amount{Minor: 999, Currency: "EUR"}
		}
		if err != nil || got != tt.want || key == "" {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
		if tt.name == "purchase without shopID" {
			if key != keys["purchase"] {
				t.Error("shopID changes the dedupe key")
			}
			continue
		}
		for other, theirs := range keys {
			if key == theirs {
				t.Errorf("%s has the dedupe key of %s", tt.name, other)
			}
		}
		keys[tt.name] = key
	}
}

func TestDedupeKey(t *testing.T) {
	p := New(http.DefaultClient)
	key := func(params Params) string {
		t.Helper()
		callback, err := p.ParseCallback(account("accept_sha1", "true"), postback(params))
		if err != nil {
			t.Fatal(err)
		}
		return callback.DedupeKey
	}
	first := key(SignData(testKey, sale()))
	if key(SignData(testKey, sale())) != first || key(sha1Data(testKey, sale())) != first {
		t.Error("a repeat has another key")
	}
	for _, name := range []string{"saleID", "transactionID", "referenceID", "priceAmount"} {
		if key(SignData(testKey, with(sale(), name, "1"))) == first {
			t.Errorf("another %s has the same key", name)
		}
	}
}

func TestParseCallbackRefuses(t *testing.T) {
	p := New(http.DefaultClient)
	twice := postback(SignData(testKey, sale()))
	twice.Query["saleID"] = []string{"433456", "433456"}
	post := postback(SignData(testKey, sale()))
	post.Method = http.MethodPost
	// recut has the same signing string as the real sale, but priceCurrency has become part of priceAmount.
	recut := SignData(testKey, sale())
	recut["priceAmount"] = "9.99:priceCurrency=EUR"
	delete(recut, "priceCurrency")

	tests := []struct {
		name        string
		request     provider.Request
		unauthentic bool
	}{
		{"nothing", provider.Request{Method: http.MethodGet}, true},
		{"unsigned", postback(sale()), true},
		{"bad signature", postback(with(sale(), "signature", "00")), true},
		{"signed with another key", postback(SignData("other", sale())), true},
		{"SHA-1", postback(sha1Data(testKey, sale())), true},
		{"amount changed", postback(with(SignData(testKey, sale()), "priceAmount", "0.01")), true},
		{"another shop", postback(SignData(testKey, with(sale(), "shopID", "1"))), true},
		{"repeated parameter", twice, true},
		{"cut another way", postback(recut), true},
		{"POST", post, false},
		{"no reference", postback(SignData(testKey, with(sale(), "referenceID", ""))), false},
	}
	for _, tt := range tests {
		got, err := p.ParseCallback(account(), tt.request)
		if err == nil || errors.Is(err, provider.ErrUnauthentic) != tt.unauthentic || got != (provider.Callback{}) {
			t.Errorf("%s: %+v, error %v, want unauthentic: %t", tt.name, got, err, tt.unauthentic)
		}
	}
}

func TestAcknowledge(t *testing.T) {
	forged := fmt.Errorf("postback: %w", provider.ErrUnauthentic)
	tests := []struct {
		answer  provider.Answer
		refusal error
		status  int
		body    string
	}{
		{provider.Recorded, nil, 200, "OK"},
		{provider.Refused, forged, 500, "ERROR - Invalid signature!"},
		{provider.Refused, errors.New("no reference"), 400, "ERROR - Invalid request!"},
		{provider.NotDurable, nil, 503, "ERROR - Not stored, send again!"},
		{0, nil, 503, "ERROR - Not stored, send again!"},
	}
	for _, tt := range tests {
		got := New(http.DefaultClient).Acknowledge(tt.answer, tt.refusal)
		want := provider.Response{Status: tt.status, ContentType: "text/plain; charset=utf-8", Body: tt.body}
		if got != want {
			t.Errorf("Acknowledge(%d, %v) = %+v, want %+v", tt.answer, tt.refusal, got, want)
		}
	}
}

// FuzzParseCallback: whatever comes, an accepted postback bears our signature, and nothing panics.
func FuzzParseCallback(f *testing.F) {
	f.Add("GET", SignData(testKey, sale()).Query())
	f.Add("GET", sha1Data(testKey, sale()).Query())
	f.Add("POST", "saleID=1&saleID=2")
	f.Add("GET", "%zz=1;&&=")
	p := New(http.DefaultClient)
	f.Fuzz(func(t *testing.T, method, query string) {
		parsed, _ := url.ParseQuery(query) // servers go on with what could be read, too
		got, err := p.ParseCallback(account(), provider.Request{Method: method, Query: parsed})
		if err != nil {
			if got != (provider.Callback{}) {
				t.Fatalf("an error comes with %+v", got)
			}
			return
		}
		params, err := ParamsOf(parsed)
		if err != nil || VerifyData(testKey, "68849", params, false) != nil || got.DedupeKey == "" {
			t.Fatalf("accepted %q as %+v", query, got)
		}
	})
}

func FuzzParseReturn(f *testing.F) {
	f.Add(SignData(testKey, sale()).Query())
	f.Add("signature=")
	f.Add("fulfillmentStatus=success")
	p := New(http.DefaultClient)
	f.Fuzz(func(t *testing.T, query string) {
		parsed, _ := url.ParseQuery(query)
		got, err := p.ParseReturn(account(), parsed)
		if err != nil || got.Failed {
			return
		}
		params, paramsErr := ParamsOf(parsed)
		if paramsErr != nil || VerifyData(testKey, "68849", params, false) != nil {
			t.Fatalf("believed %q: %+v, %v", query, got, err)
		}
	})
}
