package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MaxURL is the longest accepted URL in bytes.
const MaxURL = 2_000

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// CheckURL says, in words for whoever gave the URL, why it can't be called;
// nil if it may be. It looks nothing up: what a name resolves to is checked
// whenever it is dialled. Plain http needs an opted-in address.
func (p Policy) CheckURL(raw string) error {
	if raw == "" || len(raw) > MaxURL {
		return fmt.Errorf("must have 1 to %d characters", MaxURL)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.Host == "" {
		return errors.New("must be an absolute URL such as https://example.com/webhooks")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must start with https://")
	case u.User != nil:
		return errors.New("must not contain a user or password")
	case strings.Contains(raw, "#"):
		return errors.New("must not have a fragment")
	case !validPort(u):
		return errors.New("must have no port or one from 1 to 65535")
	}
	if err := p.checkHost(u.Hostname(), u.Scheme == "http"); err != nil {
		return err
	}
	return nil
}

func validPort(u *url.URL) bool {
	if strings.HasSuffix(u.Host, ":") {
		return false
	}
	if u.Port() == "" {
		return true
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0
}

func (p Policy) checkHost(host string, plain bool) error {
	insecure := errors.New("must start with https://")
	if addr, err := netip.ParseAddr(host); err == nil {
		switch {
		case p.Check(addr) != nil:
			return errors.New("must not point to an address that is not public")
		case plain && !p.OptedIn(addr):
			return insecure
		}
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	switch {
	case !validName(name):
		return errors.New("must name its host by a domain name in ASCII or an IP address")
	case (name == "localhost" || strings.HasSuffix(name, ".localhost")) && !p.OptedIn(loopback4) && !p.OptedIn(loopback6):
		return errors.New("must not point to an address that is not public")
	case plain && !p.Allows():
		return insecure
	}
	return nil
}

// validName accepts DNS names whose last label is no number: "127.1" and
// "0x7f.1" are addresses to some resolvers.
func validName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
		last = label
	}
	_, err := strconv.ParseUint(last, 0, 64)
	return err != nil && strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}
