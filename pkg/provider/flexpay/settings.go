package flexpay

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"quittance/pkg/provider"
	"quittance/pkg/provider/setting"
	"quittance/pkg/seal"
)

// hosts of the vendor's brands by the first four digits of the merchant id.
var hosts = map[string]string{
	"9804": "secure.verotel.com",
	"9762": "secure.billing.creditcard",
	"9653": "secure.bitsafepay.com",
	"9511": "secure.bill.creditcard",
	"9444": "secure.paintfestpayments.com",
	"9388": "secure.gaycharge.com",
	"9001": "secure.yoursafedirect.com",
}

// builtIn is the meaning of saleResult words. That APPROVED means paid is recollected rather than documented; it is the
// only row that the code brings along.
var builtIn = map[string]provider.State{"APPROVED": provider.Paid}

// defaultSchedule is our choice, as the vendor publishes none. A customer needs minutes on the order page; the postback
// prompts the question that matters, so unprompted ones are for lost postbacks.
var defaultSchedule = provider.Schedule{
	First: time.Minute,
	Then: []time.Duration{
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
	},
	Life:         30 * 24 * time.Hour,
	Timeout:      20 * time.Second,
	RefundWindow: time.Hour,
}

// settings are an account's, parsed.
type settings struct {
	shopID     string
	base       string // without a slash at the end
	acceptSHA1 bool
	method     string                    // of every purchase; empty: none
	offers     []string                  // methods that customers choose from here
	words      map[string]provider.State // of saleResult
	callers    []netip.Prefix            // addresses that postbacks come from; none: any
	// Key is exported because fmt redacts a Secret only in exported fields.
	Key seal.Secret
}

func settingsOf(acc provider.Account) (settings, error) {
	var s settings
	var err error
	if s.shopID, err = number(acc.Settings["shop_id"]); err != nil {
		return settings{}, fmt.Errorf("setting shop_id: %w", err)
	}
	if s.base, err = baseURL(acc.Settings); err != nil {
		return settings{}, err
	}
	if version := acc.Settings["version"]; version != "" && version != Version {
		return settings{}, fmt.Errorf("setting version: %.10q is not supported, only %q is", version, Version)
	}
	if text := acc.Settings["accept_sha1"]; text != "" {
		if s.acceptSHA1, err = strconv.ParseBool(text); err != nil {
			return settings{}, fmt.Errorf("setting accept_sha1: %.10q is neither true nor false", text)
		}
	}
	if s.method, s.offers, err = methodsOf(acc.Settings); err != nil {
		return settings{}, err
	}
	if s.words, err = setting.Words(acc.Settings, builtIn); err != nil {
		return settings{}, err
	}
	if s.callers, err = setting.Networks("callback_cidrs", acc.Settings["callback_cidrs"]); err != nil {
		return settings{}, err
	}
	if _, err = setting.Schedule(acc.Settings, defaultSchedule); err != nil {
		return settings{}, err
	}
	s.Key = acc.Secrets["signature_key"]
	if s.Key == "" {
		return settings{}, errors.New("secret signature_key: missing")
	}
	return s, nil
}

// baseURL takes base_url, or the host of the brand that merchant_id belongs to.
func baseURL(from map[string]string) (string, error) {
	text := from["base_url"]
	if text == "" {
		merchant, err := number(from["merchant_id"])
		if err != nil {
			return "", fmt.Errorf("setting merchant_id (or base_url): %w", err)
		}
		host, ok := hosts[merchant[:min(4, len(merchant))]]
		if !ok {
			return "", fmt.Errorf("setting merchant_id: %q starts like no known brand's; set base_url", merchant)
		}
		return "https://" + host, nil
	}
	return setting.BaseURL("base_url", text)
}

// number accepts 1 to 20 ASCII digits.
func number(text string) (string, error) {
	if text == "" {
		return "", errors.New("missing")
	}
	if len(text) > 20 || strings.Trim(text, "0123456789") != "" {
		return "", fmt.Errorf("%.20q is not a number", text)
	}
	return text, nil
}
