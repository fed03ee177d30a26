package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// proxyTimeout bounds the proxy's answer.
const proxyTimeout = 5 * time.Second

// ErrProxy is in every error of the egress proxy itself.
var ErrProxy = errors.New("the egress proxy does not connect")

// Through returns the policy with all connections made through an HTTP proxy
// that takes CONNECT, "http://proxy:3128" or with https, and with a user and
// password if it wants them. Names are still looked up here, and the proxy is
// told the address that was checked, so that it can't be led elsewhere. The
// proxy's own address is the operator's affair.
func (p Policy) Through(raw string) (Policy, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return Policy{}, errors.New("an egress proxy is a URL such as http://proxy:3128")
	}
	p.proxy = u
	return p, nil
}

// Resolving returns the policy with another resolver of names; nil: the system's.
func (p Policy) Resolving(r *net.Resolver) Policy {
	p.resolver = r
	return p
}

// connect dials through the proxy: host:port is looked up and checked first.
func (p Policy) connect(ctx context.Context, dialer *net.Dialer, check func(netip.Addr) error, network, target string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, fmt.Errorf("unreadable address: %w", ErrRefused)
	}
	addr, err := p.resolve(ctx, check, host)
	if err != nil {
		return nil, err
	}
	conn, err := p.dialProxy(ctx, dialer, network)
	if err != nil {
		return nil, err
	}
	if err := p.ask(ctx, conn, net.JoinHostPort(addr.String(), port), target); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// resolve returns an address of the host that may be dialled.
func (p Policy) resolve(ctx context.Context, check func(netip.Addr) error, host string) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap(), check(addr)
	}
	resolver := p.resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	addrs, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	refused := ErrRefused
	for _, addr := range addrs {
		if err := check(addr); err == nil {
			return addr.Unmap(), nil
		}
	}
	return netip.Addr{}, refused
}

func (p Policy) dialProxy(ctx context.Context, dialer *net.Dialer, network string) (net.Conn, error) {
	port := p.proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[p.proxy.Scheme]
	}
	at := net.JoinHostPort(p.proxy.Hostname(), port)
	if p.proxy.Scheme == "https" {
		secure := &tls.Dialer{NetDialer: dialer, Config: &tls.Config{ServerName: p.proxy.Hostname(), MinVersion: tls.VersionTLS12}}
		conn, err := secure.DialContext(ctx, network, at)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProxy, err)
		}
		return conn, nil
	}
	conn, err := dialer.DialContext(ctx, network, at)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProxy, err)
	}
	return conn, nil
}

// ask has the proxy connect. name is what was looked up, for its log.
func (p Policy) ask(ctx context.Context, conn net.Conn, addr, name string) error {
	deadline := time.Now().Add(proxyTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return fmt.Errorf("%w: %w", ErrProxy, err)
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: name, Header: http.Header{}}
	if u := p.proxy.User; u != nil {
		password, _ := u.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("%w: %w", ErrProxy, err)
	}
	// The far end speaks only after us, so nothing of it is in the buffer.
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 4<<10), req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProxy, err)
	}
	_ = resp.Body.Close() // an answer to CONNECT has none
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: it answers %d", ErrProxy, resp.StatusCode)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("%w: %w", ErrProxy, err)
	}
	return nil
}
