package flexpay

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
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
		{"no saleID", postback(SignData(testKey, with(sale(), "saleID", ""))), true},
		{"no saleID, no type", postback(SignData(testKey, with(sale(), "saleID", "", "type", ""))), true},
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

// TestOurOwnRequestIsNoPayment (P1): the customer holds the order page's URL, signed with the same key and in the same way
// as the vendor's data. Neither it, nor any other reading of the text that was signed, is a postback or a return.
func TestOurOwnRequestIsNoPayment(t *testing.T) {
	p := New(http.DefaultClient)
	noEmail := attempt()
	noEmail.Email = "" // requests carry it unsigned
	redirect, err := p.Redirect(account("payment_method", "CC"), noEmail)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := url.Parse(redirect.URL)
	if err != nil {
		t.Fatal(err)
	}
	request, err := ParamsOf(parsed.Query())
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyData(testKey, "68849", request, false); err != nil {
		t.Fatalf("the attack has no basis any more: %v", err)
	}
	refused := func(name string, params Params) {
		t.Helper()
		_, err := p.ParseCallback(account(), postback(params))
		if !errors.Is(err, provider.ErrUnauthentic) {
			t.Errorf("%s passes as a postback: %v", name, err)
		}
		if got, err := p.ParseReturn(account(), values(params)); !errors.Is(err, provider.ErrUnauthentic) {
			t.Errorf("%s passes as a return: %+v, %v", name, got, err)
		}
	}
	refused("the order page's URL", request)
	// The same signed text, cut so that names of other parameters swallow all that give it away.
	before, after, _ := strings.Cut(signingString("", with(request, "signature", ""))[1:], ":shopID=68849:")
	recut := Params{"shopID": "68849", "signature": request["signature"]}
	for _, part := range []string{before, after} {
		last := strings.LastIndex(part, "=")
		recut[part[:last]] = part[last+1:]
	}
	if err := VerifyData(testKey, "68849", recut, false); err != nil {
		t.Fatalf("cut wrongly: %v", err)
	}
	refused("the same text, cut another way", recut)
	for name := range signable {
		switch name {
		case "shopID", "type", "saleID", "referenceID", "priceAmount", "priceCurrency", "paymentMethod", "custom1", "custom2",
			"custom3", "subscriptionType": // the vendor's data have these too
			continue
		}
		refused(name, SignData(testKey, with(sale(), name, "1")))
		refused(name+", no type", SignData(testKey, with(sale(), name, "1", "type", "")))
	}
	refused("a question for a sale's status", SignRequest(testKey, Params{"version": Version, "shopID": "68849", "saleID": "433456"}))
	for _, name := range []string{"custom1", "CCBrand", "amount", "unheardOf"} {
		if _, err := p.ParseCallback(account(), postback(SignData(testKey, with(sale(), name, "x")))); err != nil {
			t.Errorf("the vendor's %s: %v", name, err)
		}
	}
}

// TestCallbackAddresses: a return's data are signed like a postback's; only the address tells who presents them.
func TestCallbackAddresses(t *testing.T) {
	p := New(http.DefaultClient)
	limited := account("callback_cidrs", "192.0.2.0/24, 198.51.100.7,2001:db8:1::/48 ,2001:db8:2::1")
	for remote, welcome := range map[string]bool{
		"192.0.2.1": true, "192.0.2.255": true, "::ffff:192.0.2.1": true, "198.51.100.7": true,
		"2001:db8:1:2::3": true, "2001:db8:2::1": true, "2001:db8:1::1%eth0": true,
		"192.0.3.1": false, "198.51.100.8": false, "2001:db8:3::1": false, "127.0.0.1": false, "": false, "x": false,
		"192.0.2.1:443": false,
	} {
		req := postback(SignData(testKey, sale()))
		req.Remote = remote
		got, err := p.ParseCallback(limited, req)
		if welcome && err != nil {
			t.Errorf("from %q: %v", remote, err)
		}
		if !welcome && (!errors.Is(err, provider.ErrUnauthentic) || got != (provider.Callback{})) {
			t.Errorf("from %q: %+v, %v; want unauthentic", remote, got, err)
		}
		if _, err := p.ParseCallback(account(), req); err != nil {
			t.Errorf("from %q, with no addresses set: %v", remote, err)
		}
	}
	if _, err := p.ParseReturn(limited, values(SignData(testKey, sale()))); err != nil {
		t.Errorf("a browser's return: %v", err)
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
