// Package egress owns where the system may connect to when somebody else chose
// the address: a merchant's webhook endpoint, a merchant's web service.
//
// It takes CIDR blocks that the operator opts in, and gives an HTTP transport
// that refuses, at the moment of dialling, every address that is not public:
// after the name was resolved, so that a name that changes its mind (DNS
// rebinding) gains nothing. It uses no proxy but one that the operator names (see
// Policy.Through), and knows no exception by name.
package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// ErrRefused is in every error about an address that must not be dialled. Its
// text names no address: what an internal name resolves to is nobody's business.
var ErrRefused = errors.New("the address is not a public one")

// Policy says which addresses may be dialled: public ones and those opted in.
// The zero value allows public ones only.
type Policy struct {
	allow []netip.Prefix
	// proxy, if there is one, makes the connections; resolver is nil for the system's.
	proxy    *url.URL
	resolver *net.Resolver
}

// NewPolicy reads the opted-in CIDR blocks, such as "127.0.0.0/8" or
// "10.1.0.0/16"; a bare address is a block of one.
func NewPolicy(cidrs []string) (Policy, error) {
	var p Policy
	for _, s := range cidrs {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(s)
		if addr, e := netip.ParseAddr(s); err != nil && e == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return Policy{}, fmt.Errorf("%q is neither a CIDR block nor an IP address", s)
		}
		if prefix.Addr().Is4In6() {
			return Policy{}, fmt.Errorf("%q: write IPv4 blocks the IPv4 way", s)
		}
		p.allow = append(p.allow, prefix.Masked())
	}
	return p, nil
}

// Allows reports whether any address was opted in.
func (p Policy) Allows() bool { return len(p.allow) > 0 }

// OptedIn reports whether the operator opted this address in.
func (p Policy) OptedIn(addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, prefix := range p.allow {
		if addr.Zone() == "" && prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// Check returns nil if the address may be dialled, else an error that is
// ErrRefused. An address that only wraps an IPv4 address counts as that one.
func (p Policy) Check(addr netip.Addr) error {
	if p.OptedIn(addr) || Public(addr) {
		return nil
	}
	return ErrRefused
}

// Public reports whether the address belongs to the public internet: no
// special use in the IANA registries, no service of a hosting provider that
// listens for whoever runs there. IPv4-mapped and NAT64 addresses are judged by
// the IPv4 address in them; tunnels (6to4, Teredo, ISATAP) are never public.
func Public(addr netip.Addr) bool {
	if addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap()
	if addr.Is4() {
		return !within(addr, special4)
	}
	if !addr.Is6() {
		return false // the zero Addr
	}
	if nat64.Contains(addr) {
		raw := addr.As16()
		return Public(netip.AddrFrom4([4]byte(raw[12:])))
	}
	return unicast6.Contains(addr) && !within(addr, special6) && !isatap(addr)
}

// isatap: the interface id carries an IPv4 address behind 00-00-5E-FE, with or
// without the universal bit (RFC 5214, 6.1).
func isatap(addr netip.Addr) bool {
	raw := addr.As16()
	return raw[8]&^0x02 == 0 && raw[9] == 0 && raw[10] == 0x5e && raw[11] == 0xfe
}

func within(addr netip.Addr, blocks []netip.Prefix) bool {
	for _, b := range blocks {
		if b.Contains(addr) {
			return true
		}
	}
	return false
}

var (
	// nat64 is the well-known prefix (RFC 6052): networks without IPv4 of their
	// own reach all of it that way. Other prefixes can't be told from outside.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// unicast6 is all that was ever given out as global unicast. What lies
	// outside is loopback, unspecified, IPv4-compatible, local NAT64, unique
	// local, link-local, site-local, multicast, or reserved.
	unicast6 = netip.MustParsePrefix("2000::/3")
)

// Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries; RFC 5735 and
// 6890; addresses outside them are from the providers' own documentation.
var special4 = prefixes(
	"0.0.0.0/8",        // this network
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // shared (CGNAT); Alibaba's metadata too
	"127.0.0.0/8",      // loopback
	"168.63.129.16/32", // Azure's wire server: public by number only
	"169.254.0.0/16",   // link-local; most clouds' metadata
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // IETF protocol assignments; Oracle's metadata
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, and broadcast
)

var special6 = prefixes(
	"2001::/23",     // IETF protocol assignments: Teredo, ORCHID, benchmarks
	"2001:db8::/32", // documentation
	"2002::/16",     // 6to4: wraps any IPv4 address
	"3fff::/20",     // documentation
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}
