package e2e

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// balancer is what stands before the pages of several replicas in a deployment:
// it sends requests to those that are in service, in turn, and tries the next
// one if one does not answer the phone.
type balancer struct {
	addr string

	mu       sync.Mutex
	backends []string
	out      map[string]bool
	next     int
}

func newBalancer(t testing.TB, backends ...string) *balancer {
	t.Helper()
	b := &balancer{backends: backends, out: map[string]bool{}}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "backend"})
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{
			DialContext:       b.dial,
			DisableKeepAlives: true, // every request chooses anew
		},
	}
	server := &http.Server{Handler: proxy} //nolint:gosec // of this test only
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("balancer: %v", err)
		}
	})
	return b
}

// set takes a replica out of service, or puts it back.
func (b *balancer) set(backend string, inService bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.out[backend] = !inService
}

func (b *balancer) dial(ctx context.Context, network, _ string) (conn net.Conn, err error) {
	b.mu.Lock()
	b.next++
	order := slices.Concat(b.backends[b.next%len(b.backends):], b.backends[:b.next%len(b.backends)])
	order = slices.DeleteFunc(order, func(backend string) bool { return b.out[backend] })
	b.mu.Unlock()
	err = errors.New("no replica is in service")
	for _, backend := range order {
		var d net.Dialer
		if conn, err = d.DialContext(ctx, network, backend); err == nil {
			return conn, nil
		}
	}
	return nil, err
}
