package flexpay

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"quittance/pkg/provider"
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

// methods are the vendor's names of payment methods in protocol version 4.
var methods = []string{"CC", "DDEU", "IDEAL", "YOURSAFE_DIRECT"}

// states that a status.<state> setting can name.
var states = []provider.State{
	provider.Pending, provider.OnHold, provider.Authorized, provider.Paid, provider.Failed, provider.Canceled,
	provider.Expired, provider.Refunded, provider.ChargedBack,
}

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
	method     string
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
	s.method = acc.Settings["payment_method"]
	if s.method != "" && !slices.Contains(methods, s.method) {
		return settings{}, fmt.Errorf("setting payment_method: %.20q is none of %v", s.method, methods)
	}
	if s.words, err = wordsOf(acc.Settings); err != nil {
		return settings{}, err
	}
	if s.callers, err = callersOf(acc.Settings["callback_cidrs"]); err != nil {
		return settings{}, fmt.Errorf("setting callback_cidrs: %w", err)
	}
	if _, err = scheduleOf(acc.Settings); err != nil {
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
	base, err := url.Parse(text)
	switch {
	case err != nil:
		return "", errors.New("setting base_url: not a URL")
	case base.Host == "" || base.Opaque != "":
		return "", errors.New("setting base_url: not an absolute URL")
	case base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return "", errors.New("setting base_url: only scheme, host and path are allowed")
	case base.Scheme != "https" && (base.Scheme != "http" || !loopback(base.Hostname())):
		return "", errors.New("setting base_url: must be https, or http on a loopback host")
	}
	return strings.TrimRight(base.String(), "/"), nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.IsLoopback())
}

// wordsOf builds the mapping of saleResult words. That APPROVED means paid is recollected rather than documented; it is
// the only row that the code brings along.
func wordsOf(from map[string]string) (map[string]provider.State, error) {
	words := map[string]provider.State{"APPROVED": provider.Paid}
	for name, list := range from {
		state, ok := strings.CutPrefix(name, "status.")
		if !ok {
			continue
		}
		if !slices.Contains(states, provider.State(state)) {
			return nil, fmt.Errorf("setting %.40q: %.20q is none of %v", name, state, states)
		}
		for word := range strings.SplitSeq(list, ",") {
			word = strings.TrimSpace(word)
			if !identifier(word) {
				return nil, fmt.Errorf("setting %s: want words separated by commas", name)
			}
			if other, taken := words[word]; taken && other != provider.State(state) {
				return nil, fmt.Errorf("setting %s: %q already means %s", name, word, other)
			}
			words[word] = provider.State(state)
		}
	}
	return words, nil
}

// callersOf reads addresses and networks separated by commas.
func callersOf(list string) ([]netip.Prefix, error) {
	if list == "" {
		return nil, nil
	}
	var callers []netip.Prefix
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		caller, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
			caller, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil || caller.Addr().Is4In6() {
			return nil, fmt.Errorf("%.50q is no IP address or network such as 192.0.2.7 or 192.0.2.0/24", text)
		}
		if caller != caller.Masked() {
			return nil, fmt.Errorf("%q has bits outside of its network, which is %s", text, caller.Masked())
		}
		callers = append(callers, caller)
	}
	return callers, nil
}

// scheduleOf overlays the defaults with the settings; an unusable setting is reported and its default kept.
func scheduleOf(from map[string]string) (provider.Schedule, error) {
	schedule := defaultSchedule
	var errs []error
	for name, field := range map[string]*time.Duration{
		"first": &schedule.First, "life": &schedule.Life, "timeout": &schedule.Timeout,
		"refund_window": &schedule.RefundWindow,
	} {
		if text := from[name]; text != "" {
			value, err := duration(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("setting %s: %w", name, err))
				continue
			}
			*field = value
		}
	}
	if text := from["then"]; text != "" {
		var pauses []time.Duration
		for part := range strings.SplitSeq(text, ",") {
			value, err := duration(strings.TrimSpace(part))
			if err != nil {
				return schedule, errors.Join(append(errs, fmt.Errorf("setting then: %w", err))...)
			}
			pauses = append(pauses, value)
		}
		schedule.Then = pauses
	}
	return schedule, errors.Join(errs...)
}

func duration(text string) (time.Duration, error) {
	value, err := time.ParseDuration(text)
	if err != nil || value <= 0 {
		return 0, fmt.Errorf("%.20q is no positive duration such as 90s or 1h", text)
	}
	return value, nil
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
