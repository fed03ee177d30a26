// Package setting owns the settings that provider accounts have in common: base URLs, networks, schedules and the mapping
// of a vendor's words.
//
// It takes the texts of an account and gives checked values; errors name the setting.
package setting

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"quittance/pkg/provider"
)

// States that a status.<state> setting can name.
var States = []provider.State{
	provider.Pending, provider.OnHold, provider.Authorized, provider.Paid, provider.Failed, provider.Canceled,
	provider.Expired, provider.Refunded, provider.ChargedBack,
}

// BaseURL checks the setting of that name: scheme, host and path, https except for a loopback host. The result has no
// slash at the end.
func BaseURL(name, text string) (string, error) {
	base, err := url.Parse(text)
	var problem string
	switch {
	case err != nil:
		problem = "not a URL"
	case base.Host == "" || base.Opaque != "":
		problem = "not an absolute URL"
	case base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		problem = "only scheme, host and path are allowed"
	case base.Scheme != "https" && (base.Scheme != "http" || !loopback(base.Hostname())):
		problem = "must be https, or http on a loopback host"
	default:
		return strings.TrimRight(base.String(), "/"), nil
	}
	return "", fmt.Errorf("setting %s: %s", name, problem)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.IsLoopback())
}

// OneOf checks that the setting of that name is one of the choices; an empty text is the first of them.
func OneOf(name, text string, choices ...string) (string, error) {
	if text == "" {
		return choices[0], nil
	}
	if !slices.Contains(choices, text) {
		return "", fmt.Errorf("setting %s: %.40q is none of %v", name, text, choices)
	}
	return text, nil
}

// Words overlays the built-in meaning of a vendor's words with the settings status.<state>, each a comma-separated list.
func Words(from map[string]string, builtIn map[string]provider.State) (map[string]provider.State, error) {
	words := make(map[string]provider.State, len(builtIn))
	for word, state := range builtIn {
		words[word] = state
	}
	for name, list := range from {
		state, ok := strings.CutPrefix(name, "status.")
		if !ok {
			continue
		}
		if !slices.Contains(States, provider.State(state)) {
			return nil, fmt.Errorf("setting %.40q: %.20q is none of %v", name, state, States)
		}
		for word := range strings.SplitSeq(list, ",") {
			word = strings.TrimSpace(word)
			if !visible(word) {
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

// visible accepts 1 to 100 visible ASCII characters.
func visible(text string) bool {
	const most = 100
	return text != "" && len(text) <= most && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Networks reads the setting of that name: IP addresses and networks separated by commas; none for an empty text.
func Networks(name, list string) ([]netip.Prefix, error) {
	if list == "" {
		return nil, nil
	}
	var networks []netip.Prefix
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		network, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil || network.Addr().Is4In6() {
			return nil, fmt.Errorf("setting %s: %.50q is no IP address or network such as 192.0.2.7 or 192.0.2.0/24", name, text)
		}
		if network != network.Masked() {
			return nil, fmt.Errorf("setting %s: %q has bits outside of its network, which is %s", name, text, network.Masked())
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// Within says whether an address is in one of the networks.
func Within(networks []netip.Prefix, remote string) bool {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// Schedule overlays the defaults with the settings first, then, life, timeout and refund_window; an unusable setting is
// reported and its default kept.
func Schedule(from map[string]string, defaults provider.Schedule) (provider.Schedule, error) {
	schedule := defaults
	var errs []error
	for name, field := range map[string]*time.Duration{
		"first": &schedule.First, "life": &schedule.Life, "timeout": &schedule.Timeout,
		"refund_window": &schedule.RefundWindow,
	} {
		if text := from[name]; text != "" {
			value, err := Duration(text)
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
			value, err := Duration(strings.TrimSpace(part))
			if err != nil {
				return schedule, errors.Join(append(errs, fmt.Errorf("setting then: %w", err))...)
			}
			pauses = append(pauses, value)
		}
		schedule.Then = pauses
	}
	return schedule, errors.Join(errs...)
}

// Duration reads a positive duration such as 90s.
func Duration(text string) (time.Duration, error) {
	value, err := time.ParseDuration(text)
	if err != nil || value <= 0 {
		return 0, fmt.Errorf("%.20q is no positive duration such as 90s or 1h", text)
	}
	return value, nil
}
