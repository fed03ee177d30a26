package flexpay

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"quittance/pkg/money"
	"quittance/pkg/provider"
	"quittance/pkg/seal"
)

const testKey seal.Secret = "zpXwe2D77g4P7ysGJcr3rY87TBYs6J"

// account gives one at the vendor's first brand, with settings added (name, value, …); an empty value removes one.
func account(settings ...string) provider.Account {
	acc := provider.Account{
		ID: "acc", Merchant: "mer", Provider: Name,
		Settings: map[string]string{"shop_id": "68849", "merchant_id": "9804000000000000"},
		Secrets:  map[string]seal.Secret{"signature_key": testKey},
	}
	for i := 0; i < len(settings); i += 2 {
		acc.Settings[settings[i]] = settings[i+1]
		if settings[i+1] == "" {
			delete(acc.Settings, settings[i])
		}
	}
	return acc
}

func attempt() provider.Attempt {
	return provider.Attempt{
		ID: "pay_1", Reference: "pay_1", OrderID: "ord_1", Amount: money.Amount{Minor: 999, Currency: "EUR"},
		Description: "Two licences", Email: "jo@example.org",
		ReturnURL: "https://pay.example.org/return/pay_1", DeclineURL: "https://pay.example.org/return/pay_1",
	}
}

func TestCheckAccount(t *testing.T) {
	p := New(http.DefaultClient)
	good := map[string]provider.Account{
		"brand by merchant id": account(),
		"base URL":             account("merchant_id", "", "base_url", "https://secure.example.org/flexpay/"),
		"loopback name":        account("base_url", "http://localhost:8090/flexpay"),
		"loopback address":     account("base_url", "http://127.0.0.1:8090/flexpay"),
		"loopback v6 address":  account("base_url", "http://[::1]:8090"),
		"everything": account("version", "4", "accept_sha1", "true", "payment_method", "CC", "refund_window", "30m",
			"callback_cidrs", "192.0.2.7, 192.0.2.0/25,2001:db8::/32",
			"first", "10s", "then", "1m, 1h", "life", "48h", "timeout", "5s",
			"status.refunded", "REFUNDED, CREDITED", "status.paid", "APPROVED,OK", "status.failed", "DECLINED"),
	}
	for name, acc := range good {
		if err := p.CheckAccount(acc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := []struct {
		acc   provider.Account
		names string
	}{
		{account("shop_id", ""), "shop_id"},
		{account("shop_id", "12a"), "shop_id"},
		{account("shop_id", strings.Repeat("1", 21)), "shop_id"},
		{account("merchant_id", ""), "merchant_id"},
		{account("merchant_id", "1234000000000000"), "merchant_id"},
		{account("merchant_id", "98"), "merchant_id"},
		{account("base_url", "http://secure.example.org"), "base_url"},
		{account("base_url", "http://127.0.0.1.example.org"), "base_url"},
		{account("base_url", "ftp://127.0.0.1"), "base_url"},
		{account("base_url", "secure.example.org"), "base_url"},
		{account("base_url", "https://user:pass@secure.example.org"), "base_url"},
		{account("base_url", "https://secure.example.org/?a=1"), "base_url"},
		{account("base_url", "https://secure.example.org/#a"), "base_url"},
		{account("base_url", "https://bad host/"), "base_url"},
		{account("version", "3.5"), "version"},
		{account("accept_sha1", "perhaps"), "accept_sha1"},
		{account("payment_method", "BTC"), "payment_method"},
		{account("refund_window", "1 hour"), "refund_window"},
		{account("refund_window", "-1h"), "refund_window"},
		{account("first", "0s"), "first"},
		{account("life", "x"), "life"},
		{account("timeout", "x"), "timeout"},
		{account("then", "1m,x"), "then"},
		{account("callback_cidrs", "x"), "callback_cidrs"},
		{account("callback_cidrs", ","), "callback_cidrs"},
		{account("callback_cidrs", "192.0.2.7,"), "callback_cidrs"},
		{account("callback_cidrs", "192.0.2.7 192.0.2.8"), "callback_cidrs"},
		{account("callback_cidrs", "192.0.2.0/33"), "callback_cidrs"},
		{account("callback_cidrs", "192.0.2.1/24"), "callback_cidrs"},
		{account("callback_cidrs", "::ffff:192.0.2.1"), "callback_cidrs"},
		{account("callback_cidrs", "::ffff:192.0.2.0/120"), "callback_cidrs"},
		{account("callback_cidrs", "fe80::1%eth0"), "callback_cidrs"},
		{account("status.paidd", "APPROVED"), "status.paidd"},
		{account("status.failed", "APPROVED"), "status.failed"},
		{account("status.failed", "DECLINED,"), "status.failed"},
		{provider.Account{Settings: account().Settings}, "signature_key"},
	}
	for _, tt := range bad {
		err := p.CheckAccount(tt.acc)
		if err == nil || !strings.Contains(err.Error(), tt.names) {
			t.Errorf("%v: error %v, want one that names %s", tt.acc.Settings, err, tt.names)
		}
	}
}

func TestSchedule(t *testing.T) {
	p := New(http.DefaultClient)
	if got := p.Schedule(account()); !reflect.DeepEqual(got, defaultSchedule) {
		t.Errorf("default schedule %+v", got)
	}
	got := p.Schedule(account("first", "2s", "then", "3s, 4s", "life", "5s", "timeout", "6s", "refund_window", "7s"))
	want := provider.Schedule{First: 2 * time.Second, Then: []time.Duration{3 * time.Second, 4 * time.Second},
		Life: 5 * time.Second, Timeout: 6 * time.Second, RefundWindow: 7 * time.Second}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("schedule %+v, want %+v", got, want)
	}
	if got := p.Schedule(account("first", "x", "then", "y")); !reflect.DeepEqual(got, defaultSchedule) {
		t.Errorf("unusable settings give %+v, want the defaults", got)
	}
}

func TestBrandHosts(t *testing.T) {
	for prefix, host := range hosts {
		redirect, err := New(http.DefaultClient).Redirect(account("merchant_id", prefix+"123456789012"), attempt())
		if err != nil || !strings.HasPrefix(redirect.URL, "https://"+host+"/startorder?") {
			t.Errorf("merchant id %s…: %s, %v", prefix, redirect.URL, err)
		}
	}
}
