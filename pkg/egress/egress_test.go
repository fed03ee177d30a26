package egress_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"quittance/pkg/egress"
)

// hostile are addresses that nobody outside may make us dial.
var hostile = map[string]string{
	"unspecified":                        "0.0.0.0",
	"this network":                       "0.1.2.3",
	"loopback":                           "127.0.0.1",
	"loopback, another":                  "127.255.255.254",
	"private 10":                         "10.0.0.1",
	"private 10, end":                    "10.255.255.255",
	"private 172":                        "172.16.0.1",
	"private 172, end":                   "172.31.255.255",
	"private 192":                        "192.168.1.1",
	"carrier NAT":                        "100.64.0.1",
	"carrier NAT, end":                   "100.127.255.255",
	"link-local":                         "169.254.1.1",
	"metadata: AWS, GCP, Azure":          "169.254.169.254",
	"metadata: AWS ECS":                  "169.254.170.2",
	"metadata: Alibaba":                  "100.100.100.200",
	"metadata: Oracle":                   "192.0.0.192",
	"wire server: Azure":                 "168.63.129.16",
	"documentation 1":                    "192.0.2.1",
	"documentation 2":                    "198.51.100.1",
	"documentation 3":                    "203.0.113.1",
	"benchmarks":                         "198.18.0.1",
	"benchmarks, end":                    "198.19.255.255",
	"6to4 relay":                         "192.88.99.1",
	"multicast":                          "224.0.0.1",
	"multicast, end":                     "239.255.255.255",
	"reserved":                           "240.0.0.1",
	"broadcast":                          "255.255.255.255",
	"v6 unspecified":                     "::",
	"v6 loopback":                        "::1",
	"v6 link-local":                      "fe80::1",
	"v6 link-local with zone":            "fe80::1%eth0",
	"v6 site-local":                      "fec0::1",
	"v6 unique local":                    "fc00::1",
	"v6 unique local, second half":       "fd12:3456:789a::1",
	"v6 metadata: AWS":                   "fd00:ec2::254",
	"v6 metadata: GCP":                   "fd20:ce::254",
	"v6 multicast":                       "ff02::1",
	"v6 multicast, global scope":         "ff0e::1",
	"v6 documentation":                   "2001:db8::1",
	"v6 documentation, new":              "3fff::1",
	"v6 Teredo":                          "2001:0:7f00:1::1",
	"v6 ORCHID":                          "2001:20::1",
	"v6 benchmarks":                      "2001:2::1",
	"v6 discard":                         "100::1",
	"v6 segment routing":                 "5f00::1",
	"v6 unassigned":                      "4000::1",
	"v4-mapped loopback":                 "::ffff:127.0.0.1",
	"v4-mapped private":                  "::ffff:10.0.0.1",
	"v4-mapped metadata":                 "::ffff:169.254.169.254",
	"v4-mapped, hex":                     "::ffff:7f00:1",
	"v4-compatible loopback":             "::127.0.0.1",
	"v4-compatible private":              "::10.0.0.1",
	"v4-translated":                      "::ffff:0:10.0.0.1",
	"NAT64 loopback":                     "64:ff9b::127.0.0.1",
	"NAT64 private":                      "64:ff9b::10.0.0.1",
	"NAT64 metadata":                     "64:ff9b::a9fe:a9fe",
	"NAT64 local prefix":                 "64:ff9b:1::8.8.8.8",
	"6to4 loopback":                      "2002:7f00:1::1",
	"6to4 private":                       "2002:a00:1::1",
	"6to4 metadata":                      "2002:a9fe:a9fe::1",
	"ISATAP private":                     "2600::5efe:10.0.0.1",
	"ISATAP private, universal bit":      "2600::200:5efe:10.0.0.1",
	"zone on a public address":           "2606:4700::1111%1",
	"mapped with a zone":                 "::ffff:8.8.8.8%1",
	"carrier NAT inside NAT64":           "64:ff9b::100.64.0.1",
	"reserved inside a mapped address":   "::ffff:240.0.0.1",
	"broadcast inside a mapped address":  "::ffff:255.255.255.255",
	"this network inside NAT64":          "64:ff9b::0.0.0.0",
	"multicast inside a mapped address":  "::ffff:224.0.0.251",
	"wire server inside NAT64":           "64:ff9b::168.63.129.16",
	"unspecified inside a mapped adress": "::ffff:0.0.0.0",
}

var public = []string{
	"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
	"168.63.129.15", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
	"198.20.0.0", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "2001:4860:4860::8888",
	"::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
}

func TestHostileAddressesAreRefused(t *testing.T) {
	var p egress.Policy
	for name, s := range hostile {
		t.Run(name, func(t *testing.T) {
			if err := p.Check(netip.MustParseAddr(s)); !errors.Is(err, egress.ErrRefused) {
				t.Errorf("%s: %v, want it refused", s, err)
			}
		})
	}
	if err := p.Check(netip.Addr{}); err == nil {
		t.Error("the zero address passes")
	}
}

func TestPublicAddressesPass(t *testing.T) {
	var p egress.Policy
	for _, s := range public {
		if err := p.Check(netip.MustParseAddr(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestOptIn(t *testing.T) {
	p, err := egress.NewPolicy([]string{"127.0.0.0/8", " 10.1.2.3 ", "", "fd00:1::/32", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]bool{
		"127.0.0.1": true, "::ffff:127.0.0.1": true, "10.1.2.3": true, "fd00:1::5": true, "::1": true,
		"10.1.2.4": false, "fd00:2::1": false, "169.254.169.254": false, "fd00:1::5%eth0": false,
	} {
		if got := p.Check(netip.MustParseAddr(s)) == nil; got != want {
			t.Errorf("%s allowed: %t, want %t", s, got, want)
		}
	}
	for _, bad := range []string{"127.0.0.1/33", "localhost", "::ffff:10.0.0.0/104", "fe80::1%eth0", "10.0.0.0/8,"} {
		if _, err := egress.NewPolicy([]string{bad}); err == nil {
			t.Errorf("block %q is accepted", bad)
		}
	}
}

func TestCheckURL(t *testing.T) {
	local, err := egress.NewPolicy([]string{"127.0.0.0/8", "10.1.0.0/16"})
	if err != nil {
		t.Fatal(err)
	}
	var closed egress.Policy
	for raw, want := range map[string]struct{ closed, local bool }{
		"https://example.com/hooks?x=1":      {true, true},
		"https://EXAMPLE.com:8443":           {true, true},
		"https://xn--bcher-kva.example/":     {true, true},
		"https://a_b.example":                {true, true},
		"https://8.8.8.8/":                   {true, true},
		"https://[2606:4700:4700::1111]/":    {true, true},
		"http://127.0.0.1:9000/in":           {false, true},
		"http://localhost:9000/in":           {false, true},
		"https://localhost/in":               {false, true},
		"https://me.localhost/in":            {false, true},
		"http://sandbox:9000/in":             {false, true},
		"http://10.1.2.3/":                   {false, true},
		"https://10.1.2.3/":                  {false, true},
		"http://example.com":                 {false, true}, // a name: the dialler decides
		"http://8.8.8.8/":                    {},
		"https://10.2.0.1/":                  {},
		"https://[::1]/":                     {},
		"https://[::ffff:192.168.0.1]/":      {},
		"https://[fe80::1%25eth0]/":          {},
		"https://169.254.169.254/latest":     {},
		"https://127.1/":                     {},
		"https://2130706433/":                {},
		"https://0x7f000001/":                {},
		"https://0x7f.0.0.0x1/":              {},
		"https://0177.0.0.1/":                {},
		"https://example.0x10/":              {},
		"https://exämple.com/":               {},
		"https://user:pass@example.com/":     {},
		"https://user@example.com/":          {},
		"https://example.com/#top":           {},
		"https://example.com/#":              {},
		"https://example.com:0/":             {},
		"https://example.com:70000/":         {},
		"https://example.com:/":              {},
		"https://-bad-.com/":                 {},
		"https://exa mple.com/":              {},
		"https://example..com/":              {},
		"https:///path":                      {},
		"https:example.com":                  {},
		"ftp://example.com/":                 {},
		"gopher://127.0.0.1:25/":             {},
		"file:///etc/passwd":                 {},
		"//example.com":                      {},
		"example.com":                        {},
		"":                                   {},
		"https://example.com/\n":             {},
		"https://e.com/" + repeat("x", 1987): {},
	} {
		if got := closed.CheckURL(raw) == nil; got != want.closed {
			t.Errorf("%.60q accepted: %t, want %t", raw, got, want.closed)
		}
		if got := local.CheckURL(raw) == nil; got != want.local {
			t.Errorf("%.60q accepted with opt-in: %t, want %t", raw, got, want.local)
		}
	}
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }

// TestRefusedAtDialTime: the name was fine when it was checked, and resolves to
// loopback when it is called.
func TestRefusedAtDialTime(t *testing.T) {
	reached := false
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer receiver.Close()
	tlsReceiver := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer tlsReceiver.Close()

	var closed egress.Policy
	for _, target := range []string{receiver.URL, tlsReceiver.URL, rename(t, receiver.URL), rename(t, tlsReceiver.URL)} {
		err := get(t, closed.Transport(nil), target)
		if !errors.Is(err, egress.ErrRefused) {
			t.Errorf("%s: %v, want it refused", target, err)
		}
	}
	if reached {
		t.Error("the receiver was reached")
	}
}

func TestOptedInIsReached(t *testing.T) {
	reached := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	defer receiver.Close()
	local, err := egress.NewPolicy([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	tr := local.Transport(nil)
	defer tr.CloseIdleConnections()
	for _, target := range []string{receiver.URL, rename(t, receiver.URL)} {
		if err := get(t, tr, target); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	if reached != 2 {
		t.Errorf("reached %d times, want 2", reached)
	}
}

// TestNoProxy: a proxy from the environment would dial for us, unchecked.
func TestNoProxy(t *testing.T) {
	asked := false
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	p, err := egress.NewPolicy([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	if err := get(t, p.Transport(nil), "http://10.9.8.7/"); !errors.Is(err, egress.ErrRefused) {
		t.Errorf("%v, want it refused", err)
	}
	if err := get(t, p.Transport(nil), "ftp://example.com/"); !errors.Is(err, egress.ErrRefused) {
		t.Errorf("%v, want it refused", err)
	}
	if asked {
		t.Error("the proxy was asked")
	}
}

// rename gives the receiver's URL under a name instead of an address.
func rename(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = net.JoinHostPort("localhost", u.Port())
	return u.String()
}

func get(t *testing.T, tr http.RoundTripper, target string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, target, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://example.com", "https://[::1]:80", "http://127.1", "https://a@b/#c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var p egress.Policy
		if p.CheckURL(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Hostname() == "" || len(raw) > egress.MaxURL {
			t.Errorf("%q is accepted", raw)
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil && !egress.Public(addr) {
			t.Errorf("%q is accepted", raw)
		}
	})
}
