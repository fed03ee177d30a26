package egress

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Limits of connections to addresses that others chose.
const (
	dialTimeout    = 5 * time.Second
	tlsTimeout     = 5 * time.Second
	idleTimeout    = 60 * time.Second
	maxHeaderBytes = 16 << 10
	maxIdle        = 512
	// maxIdlePerHost keeps a busy host's connections for the next request.
	maxIdlePerHost = 64
)

// Transport makes requests to addresses that the policy allows: https to
// public and opted-in ones, plain http to opted-in ones only, because what it
// carries could be read on the way. It follows nothing and retries nothing of
// its own accord; redirects are up to the http.Client.
type Transport struct {
	secure, plain *http.Transport
}

var _ http.RoundTripper = (*Transport)(nil)

// Transport returns a transport that keeps the policy. TLS settings are the
// defaults if nil.
func (p Policy) Transport(settings *tls.Config) *Transport {
	return &Transport{
		secure: p.transport(p.Check, settings),
		plain: p.transport(func(addr netip.Addr) error {
			if p.OptedIn(addr) {
				return nil
			}
			return ErrRefused
		}, settings),
	}
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	switch req.URL.Scheme {
	case "https":
		return t.secure.RoundTrip(req)
	case "http":
		return t.plain.RoundTrip(req)
	}
	if req.Body != nil {
		if err := req.Body.Close(); err != nil {
			return nil, fmt.Errorf("close the request's body: %w", err)
		}
	}
	return nil, fmt.Errorf("scheme %q: %w", req.URL.Scheme, ErrRefused)
}

// CloseIdleConnections closes what no request uses.
func (t *Transport) CloseIdleConnections() {
	t.secure.CloseIdleConnections()
	t.plain.CloseIdleConnections()
}

func (p Policy) transport(check func(netip.Addr) error, settings *tls.Config) *http.Transport {
	dialer := &net.Dialer{
		Timeout:  dialTimeout,
		Resolver: p.resolver,
		// The last step before connect(2): the address here is the one that is
		// dialled, whatever the name said before or says next.
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return control(check, network, address)
		},
	}
	dial := dialer.DialContext
	if p.proxy != nil {
		toProxy := &net.Dialer{Timeout: dialTimeout}
		dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return p.connect(ctx, toProxy, check, network, address)
		}
	}
	return &http.Transport{
		Proxy:                  nil, // one from the environment would dial for us, unchecked
		DialContext:            dial,
		TLSClientConfig:        settings,
		TLSHandshakeTimeout:    tlsTimeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

func control(check func(netip.Addr) error, network, address string) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("network %s: %w", network, ErrRefused)
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("unreadable address: %w", ErrRefused)
	}
	return check(at.Addr())
}
