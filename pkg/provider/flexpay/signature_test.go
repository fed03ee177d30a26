package flexpay

import (
	"crypto/sha1"
	"encoding/hex"
	"maps"
	"net/url"
	"strings"
	"testing"

	"quittance/pkg/seal"
)

// The vendor's own vectors, each named by where it is published (docs/providers.md has the links).
var (
	docs32 = vector{
		name: "V1 documentation of version 3.2", key: "BddJxtUBkDgFB9kj7Zwguxde4gAqha",
		params: Params{"custom1": "xxyyzz", "description": "Super video download", "priceAmount": "9.99",
			"priceCurrency": "USD", "shopID": "64233", "type": "purchase", "version": "3.2"},
		sha1: "3f27723dc11c49dbd01706410f44e6eeff9e8ebf",
	}
	perlValidate = vector{
		name: "V2 Perl library, validate_signature", key: "aaB",
		params: Params{"shopID": "123", "saleID": "345"},
		sha256: "acb4dd91827bc79999a04ac2082d0e43bb018a9ce563dfd3e863fbae32e5f381",
	}
	perlPurchase = vector{
		name: "V3 Perl library, purchase URL", key: "mySecret",
		params: Params{"priceAmount": "6.99", "priceCurrency": "USD", "shopID": "65147", "type": "purchase", "version": "3.5"},
		sha256: "37d56280eae410d2e5d6b67ccd29fd84173f2eed5a329c9b2f7fe9a77ad95441",
	}
	perlStatus = vector{
		name: "V4 Perl library, status URL", key: "mySecret",
		params: Params{"saleID": "1485", "shopID": "65147", "version": "3.5"},
		sha256: "1a24a2d189824c6800d85131f11a2fca0ebbc233f31cad6d45e947496e423ff7",
	}
	phpAll = vector{
		name: "V5 PHP library, all parameters", key: "zpXwe2D77g4P7ysGJcr3rY87TBYs6J",
		params: Params{"shopID": "68849", "saleID": "433456", "priceAmount": "0.00", "referenceID": "reference1234",
			"priceCurrency": "USD", "custom1": "My", "description": "My Dščřčřřěřě&?=blah123",
			"subscriptionType": "RECURRING", "period": "P1M", "name": "My name", "trialAmount": "0.01",
			"trialPeriod": "P3D", "successURL": "http://backURL.test", "declineURL": "http://declineURL.test",
			"cancelDiscountPercentage": "30", "blah": "something"},
		sha256: "e50b4e92fcd0a21114d3bf3a64f888edfbc784df170e70ee165c4350fe9ffc3c",
		sha1:   "fc63f38e2722d2e5bc4f2044ad3ffb2051e89643",
	}
	// derivedOrder is computed from the documented algorithm, not published: it pins the byte order CCBrand < amount.
	derivedOrder = vector{
		name: "D1 derived, byte order", key: "zpXwe2D77g4P7ysGJcr3rY87TBYs6J",
		params: Params{"CCBrand": "VISA", "amount": "9.99", "currency": "USD", "custom1": "xxyyzz", "paymentMethod": "CC",
			"referenceID": "order-1", "saleID": "433456", "shopID": "68849", "transactionID": "99999991", "type": "purchase"},
		sha256: "83e3f5f131fb907e90b20035c0f3bbd5145fc5be13499070b14124b5c600bba0",
	}
)

type vector struct {
	name         string
	key          seal.Secret
	params       Params
	sha256, sha1 string
}

// phpFiltered is what the PHP library signs of phpAll's parameters: blah is dropped.
const phpFiltered = "ff5cf9bcc0497c8cb40087065e5016dcfbe2efd23327f6c67614fa23537c24b2"

func (v vector) with(signature string) Params {
	params := maps.Clone(v.params)
	params["signature"] = signature
	return params
}

func TestVerifyDataOfficialVectors(t *testing.T) {
	for _, v := range []vector{docs32, perlValidate, perlPurchase, perlStatus, phpAll, derivedOrder} {
		t.Run(v.name, func(t *testing.T) {
			if v.sha1 != "" {
				if err := VerifyData(v.key, "", v.with(v.sha1), true); err != nil {
					t.Errorf("SHA-1, accepted: %v", err)
				}
				if err := VerifyData(v.key, "", v.with(strings.ToUpper(v.sha1)), true); err != nil {
					t.Errorf("SHA-1 in upper case, accepted: %v", err)
				}
				if err := VerifyData(v.key, "", v.with(v.sha1), false); err == nil {
					t.Error("SHA-1 passes although the account doesn't accept it")
				}
			}
			if v.sha256 == "" {
				return
			}
			for _, acceptSHA1 := range []bool{false, true} {
				if err := VerifyData(v.key, "", v.with(v.sha256), acceptSHA1); err != nil {
					t.Errorf("SHA-256: %v", err)
				}
				if err := VerifyData(v.key, "", v.with(strings.ToUpper(v.sha256)), acceptSHA1); err != nil {
					t.Errorf("SHA-256 in upper case: %v", err)
				}
			}
			if got := SignData(v.key, v.params)["signature"]; got != v.sha256 {
				t.Errorf("SignData = %s, want %s", got, v.sha256)
			}
		})
	}
}

func TestSignRequestOfficialVectors(t *testing.T) {
	for want, v := range map[string]vector{
		perlPurchase.sha256: perlPurchase, perlStatus.sha256: perlStatus, phpFiltered: phpAll,
	} {
		got := SignRequest(v.key, v.params)
		if got["signature"] != want {
			t.Errorf("%s: SignRequest = %s, want %s", v.name, got["signature"], want)
		}
		if err := VerifyRequest(v.key, got); err != nil {
			t.Errorf("%s: VerifyRequest: %v", v.name, err)
		}
		if _, ok := v.params["signature"]; ok {
			t.Errorf("%s: the given parameters were changed", v.name)
		}
	}
}

func TestSigningStringOfficial(t *testing.T) {
	const want = "zpXwe2D77g4P7ysGJcr3rY87TBYs6J:cancelDiscountPercentage=30:custom1=My:" +
		"declineURL=http://declineURL.test:description=My Dščřčřřěřě&?=blah123:name=My name:period=P1M:" +
		"priceAmount=0.00:priceCurrency=USD:referenceID=reference1234:saleID=433456:shopID=68849:" +
		"subscriptionType=RECURRING:successURL=http://backURL.test:trialAmount=0.01:trialPeriod=P3D"
	params := maps.Clone(phpAll.params)
	delete(params, "blah")
	if got := signingString(phpAll.key, params); got != want {
		t.Errorf("signing string\n%s, want\n%s", got, want)
	}
}

func TestQueryOfficialURL(t *testing.T) {
	tests := map[string]Params{
		"https://secure.verotel.com/startorder?custom1=xxyyzz&description=Super+video+download&priceAmount=9.99" +
			"&priceCurrency=USD&shopID=64233&type=purchase&version=3.2&signature=3f27723dc11c49dbd01706410f44e6eeff9e8ebf": docs32.with(docs32.sha1),
		"https://secure.verotel.com/salestatus?saleID=1485&shopID=65147&version=3.5" +
			"&signature=1a24a2d189824c6800d85131f11a2fca0ebbc233f31cad6d45e947496e423ff7": perlStatus.with(perlStatus.sha256),
	}
	for want, params := range tests {
		path, _, _ := strings.Cut(want, "?")
		if got := path + "?" + params.Query(); got != want {
			t.Errorf("URL\n%s, want\n%s", got, want)
		}
	}
}

func TestSignRequestLeavesOut(t *testing.T) {
	want := SignRequest("k", Params{"shopID": "1", "priceAmount": "0"})["signature"]
	for name, value := range map[string]string{
		"email": "a@b.example", "oneClickToken": "t", "origin": "o", "unknown": "u", "custom2": "",
	} {
		if got := SignRequest("k", Params{"shopID": "1", "priceAmount": "0", name: value})["signature"]; got != want {
			t.Errorf("%s=%q changes the signature", name, value)
		}
	}
	if got := SignRequest("k", Params{"shopID": "1"})["signature"]; got == want {
		t.Error(`the value "0" is dropped like an empty one`)
	}
}

func TestVerifyDataShopID(t *testing.T) {
	signed := perlValidate.with(perlValidate.sha256)
	delete(signed, "shopID")
	if err := VerifyData(perlValidate.key, "123", signed, false); err != nil {
		t.Errorf("missing shopID is not added: %v", err)
	}
	if err := VerifyData(perlValidate.key, "124", signed, false); err == nil {
		t.Error("another shop's data pass")
	}
	if _, ok := signed["shopID"]; ok {
		t.Error("the given parameters were changed")
	}
}

func TestVerifyDataRefuses(t *testing.T) {
	// Stale constants in the vendor's repositories; neither belongs to these parameters.
	stale := "3650ddcc9360de60f4fc78604057c9f3246923cb"
	tests := map[string]func(Params){
		"no signature":             func(p Params) { delete(p, "signature") },
		"empty signature":          func(p Params) { p["signature"] = "" },
		"signature cut short":      func(p Params) { p["signature"] = p["signature"][:63] },
		"stale constant":           func(p Params) { p["signature"] = stale },
		"the filtered signature":   func(p Params) { p["signature"] = phpFiltered },
		"a parameter changed":      func(p Params) { p["priceAmount"] = "0.01" },
		"a parameter added":        func(p Params) { p["event"] = "credit" },
		"an empty parameter added": func(p Params) { p["custom2"] = "" },
		"a parameter left out":     func(p Params) { delete(p, "blah") },
	}
	for name, spoil := range tests {
		params := phpAll.with(phpAll.sha256)
		spoil(params)
		if err := VerifyData(phpAll.key, "", params, true); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	if err := VerifyData("another key", "", phpAll.with(phpAll.sha256), true); err == nil {
		t.Error("another key passes")
	}
}

func TestParamsOfRefusesRepeats(t *testing.T) {
	if _, err := ParamsOf(url.Values{"saleID": {"1", "2"}}); err == nil {
		t.Error("a repeated parameter passes")
	}
}

// sha1Data is what a vendor still on SHA-1 would send.
func sha1Data(key seal.Secret, p Params) Params {
	sum := sha1.Sum([]byte(signingString(key, p)))
	return signed(p, hex.EncodeToString(sum[:]))
}
