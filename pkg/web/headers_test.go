package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"quittance/pkg/web"
)

func TestSecurityHeaders(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /plain", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /pay", func(w http.ResponseWriter, _ *http.Request) {
		for _, target := range []string{"https://pay.example/start?x=1", "https://pay.example/other"} {
			if err := web.AllowForm(w, target); err != nil {
				t.Error(err)
			}
		}
		web.AllowSelf(w, "script-src", "style-src")
		for _, bad := range []string{"/relative", "javascript:alert(1)", "https://a; script-src *", "https://a b/"} {
			if web.AllowForm(w, bad) == nil {
				t.Errorf("form target %q is allowed", bad)
			}
		}
	})
	s := start(t, web.Options{Handler: mux, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	const strict = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	for path, csp := range map[string]string{
		"/plain":   strict,
		"/nothing": strict,
		"/pay":     "default-src 'none'; style-src 'self'; form-action 'self' https://pay.example; base-uri 'none'; frame-ancestors 'none'; script-src 'self'",
	} {
		a := s.do(t, "GET", path, "")
		for name, want := range map[string]string{
			"Content-Security-Policy": csp, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			"X-Frame-Options": "DENY", "Cache-Control": "no-store", "Strict-Transport-Security": "",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", path, name, got, want)
			}
		}
	}
	if a := s.do(t, "GET", "/plain", "", "X-Forwarded-Proto", "https"); a.header.Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS behind a proxy with https")
	}
}

func TestClientIP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, web.ClientIP(r.Context()).String()+" "+web.RequestID(r.Context()))
		if web.IsHTTPS(r.Context()) {
			_, _ = io.WriteString(w, " https")
		}
	})
	server, err := web.NewServer(web.Options{Handler: mux, Logger: silent, TrustedProxies: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, remote, forwarded, proto, id, want string }{
		{"direct", "203.0.113.9:4000", "", "", "", "203.0.113.9"},
		{"direct, lying", "203.0.113.9:4000", "1.2.3.4", "https", "abcdefgh", "203.0.113.9"},
		{"one proxy", "10.0.0.1:4000", "203.0.113.9", "https", "abcdefgh", "203.0.113.9 abcdefgh https"},
		{"two proxies", "10.0.0.1:4000", "203.0.113.9, 10.0.0.2", "http", "", "203.0.113.9"},
		{"client lies before the proxy", "10.0.0.1:4000", "1.2.3.4, 203.0.113.9", "", "", "203.0.113.9"},
		{"garbage before the proxy", "10.0.0.1:4000", "x, 203.0.113.9", "", "", "203.0.113.9"},
		{"garbage from the proxy", "10.0.0.1:4000", "203.0.113.9, x", "", "", "10.0.0.1"},
		{"all ours", "10.0.0.1:4000", "10.0.0.3,10.0.0.2", "", "", "10.0.0.3"},
		{"with ports", "[fd00::1]:4000", "[2001:db8::7]:555", "", "", "2001:db8::7"},
		{"mapped", "[::ffff:10.0.0.1]:4000", "::ffff:203.0.113.9", "", "", "203.0.113.9"},
		{"id with a line break", "10.0.0.1:4000", "203.0.113.9", "", "abcdefgh\nx", "203.0.113.9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.remote
			for name, v := range map[string]string{"X-Forwarded-For": tt.forwarded, "X-Forwarded-Proto": tt.proto, "X-Request-Id": tt.id} {
				if v != "" {
					r.Header.Set(name, v)
				}
			}
			rec := httptest.NewRecorder()
			server.Handler().ServeHTTP(rec, r)
			ip, rest, _ := strings.Cut(rec.Body.String(), " ")
			wantIP, wantRest, _ := strings.Cut(tt.want, " ")
			if ip != wantIP || (wantRest != "" && rest != wantRest) || (wantRest == "" && !strings.HasPrefix(rest, "req_")) {
				t.Errorf("got %s", rec.Body.String())
			}
		})
	}
}

// FuzzForwardedFor: whatever a proxy passes on, there is a client address, and
// a stranger's word never counts.
func FuzzForwardedFor(f *testing.F) {
	for _, s := range []string{"", "1.2.3.4", "x, 10.0.0.1", "[::1]:80,fd00::1", ",,,", "10.0.0.1%eth0"} {
		f.Add(s)
	}
	var got netip.Addr
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(_ http.ResponseWriter, r *http.Request) { got = web.ClientIP(r.Context()) })
	server, err := web.NewServer(web.Options{Handler: mux, Logger: silent, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, remote := range []string{"10.0.0.1:1", "203.0.113.9:1"} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = remote
			r.Header["X-Forwarded-For"] = []string{header}
			server.Handler().ServeHTTP(httptest.NewRecorder(), r)
			if !got.IsValid() || (remote[0] == '2' && got.String() != "203.0.113.9") {
				t.Errorf("%s said %q: client %v", remote, header, got)
			}
		}
	})
}
