package web

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"quittance/pkg/id"
)

// request is what is known of a request under way.
type request struct {
	id         string
	client     netip.Addr
	https      bool
	trusted    bool
	route      string
	body       io.ReadCloser
	stylesheet string
	stopping   context.Context

	mu    sync.Mutex
	attrs []slog.Attr
	err   error
	// expected: see Expected.
	expected bool
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// RequestID returns the id of the request, which is also in its log line and in
// the response's X-Request-Id; empty outside a request.
func RequestID(ctx context.Context) string {
	if r := requestOf(ctx); r != nil {
		return r.id
	}
	return ""
}

// ClientIP returns the address of the client, as far as the trusted proxies
// tell; invalid outside a request.
func ClientIP(ctx context.Context) netip.Addr {
	if r := requestOf(ctx); r != nil {
		return r.client
	}
	return netip.Addr{}
}

// IsHTTPS says whether the client's connection is encrypted.
func IsHTTPS(ctx context.Context) bool {
	r := requestOf(ctx)
	return r != nil && r.https
}

// Annotate adds attributes to the log line of the request. They must not hold
// secrets or personal data.
func Annotate(ctx context.Context, attrs ...slog.Attr) {
	if r := requestOf(ctx); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.attrs = append(r.attrs, attrs...)
	}
}

// Expected says that the outcome of the request is no failure of ours, whatever
// its status: its log line is INFO. It is for answers whose status a partner's
// protocol prescribes; else anybody could fill the log of errors.
func Expected(ctx context.Context) {
	if r := requestOf(ctx); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.expected = true
	}
}

// fail notes the error for the log line.
func (r *request) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
}

func (s *Server) describe(r *http.Request) *request {
	known := &request{https: r.TLS != nil, body: r.Body, stylesheet: s.options.Stylesheet, stopping: s.stopping}
	_, known.route = s.options.Handler.Handler(r)
	peer := parseAddr(r.RemoteAddr)
	known.client = peer
	known.trusted = s.trusts(peer)
	if known.trusted {
		known.client = s.forwarded(r, peer)
		if proto := r.Header.Get("X-Forwarded-Proto"); proto != "" {
			known.https = strings.EqualFold(proto, "https")
		}
		if given := r.Header.Get("X-Request-Id"); sane(given) {
			known.id = given
		}
	}
	if known.id == "" {
		known.id = id.New("req")
	}
	return known
}

// forwarded walks X-Forwarded-For from our end: the first address that is not
// a proxy of ours is the client. What stands before it, the client may have
// made up.
func (s *Server) forwarded(r *http.Request, peer netip.Addr) netip.Addr {
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	client := peer
	for i := len(hops) - 1; i >= 0; i-- {
		hop := parseAddr(strings.TrimSpace(hops[i]))
		if !hop.IsValid() {
			break
		}
		client = hop
		if !s.trusts(hop) {
			break
		}
	}
	return client
}

func (s *Server) trusts(a netip.Addr) bool {
	for _, p := range s.options.TrustedProxies {
		if a.IsValid() && p.Contains(a) {
			return true
		}
	}
	return false
}

// parseAddr reads an address with or without a port.
func parseAddr(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	a, _ := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone("")
}

// sane says whether a request id from a proxy may be taken over.
func sane(s string) bool {
	if len(s) < 8 || len(s) > 64 {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
