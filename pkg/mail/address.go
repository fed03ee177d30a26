package mail

import (
	"errors"
	"fmt"
	netmail "net/mail"
	"strings"

	"golang.org/x/net/idna"
)

// Limits of RFC 5321, in bytes: 4.5.3.1.1 (local part) and 4.5.3.1.3 (path, less its angle brackets).
const (
	maxLocalPart = 64
	maxAddress   = 254
)

// hostname maps international domains to ASCII (UTS 46) and refuses what cannot be a host name in DNS.
var hostname = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// ValidAddress returns nil if s is an e-mail address that mail can be sent to as it stands, and otherwise an error that
// says what is wrong with it, fit for the person who typed it. It wants a bare "name@domain" without display name,
// quotes, comments or spaces, at most 254 bytes, the domain being "localhost" or a host name with a dot, possibly
// international ("käse.example"). It does not ask DNS. Letters beyond ASCII before the @ are refused: too few mail
// systems deliver to them (RFC 6531) for a licence to depend on it.
func ValidAddress(s string) error {
	_, err := asciiAddress(s)
	return err
}

// asciiAddress checks s and returns it with its domain in ASCII, as it goes over the wire.
func asciiAddress(s string) (string, error) {
	if s == "" {
		return "", errors.New("the address is empty")
	}
	if len(s) > maxAddress {
		return "", fmt.Errorf("the address has %d bytes, more than the %d that mail systems accept", len(s), maxAddress)
	}
	parsed, err := netmail.ParseAddress(s)
	if err != nil {
		return "", errors.New("the address must have the form name@domain")
	}
	if parsed.Name != "" || parsed.Address != s {
		return "", errors.New("the address must be bare: no display name, brackets, quotes, comments or spaces")
	}
	at := strings.LastIndexByte(s, '@')
	local, domain := s[:at], s[at+1:]
	if strings.ContainsFunc(local, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", errors.New("the part before the @ must be plain ASCII")
	}
	if len(local) > maxLocalPart {
		return "", fmt.Errorf("the part before the @ has %d bytes, more than %d", len(local), maxLocalPart)
	}
	domain, err = asciiDomain(domain)
	if err != nil {
		return "", err
	}
	if ascii := local + "@" + domain; len(ascii) <= maxAddress {
		return ascii, nil
	}
	return "", fmt.Errorf("the address is longer than %d bytes with its domain in ASCII", maxAddress)
}

// asciiDomain checks the domain of an address and maps it to ASCII and lower case.
func asciiDomain(domain string) (string, error) {
	if strings.HasPrefix(domain, "[") {
		return "", errors.New("the domain must be a name, not an IP address")
	}
	ascii, err := hostname.ToASCII(domain)
	if err != nil {
		return "", errors.New("the domain is not a valid host name")
	}
	if ascii == "localhost" {
		return ascii, nil
	}
	lastDot := strings.LastIndexByte(ascii, '.')
	if lastDot < 0 {
		return "", errors.New("the domain must have a dot, as in example.com")
	}
	if strings.Trim(ascii[lastDot+1:], "0123456789") == "" {
		return "", errors.New("the domain must be a name, not an IP address")
	}
	return ascii, nil
}
