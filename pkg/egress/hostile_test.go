package egress_test

// Real here: resolver, dialler, proxies and receivers on loopback. Doubled: the
// name server, which answers what a hostile one would.

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"quittance/pkg/egress"
)

// nameServer answers each name with its addresses; with several lists, each
// question gets the next one.
type nameServer struct {
	conn  net.PacketConn
	mu    sync.Mutex
	names map[string][][]netip.Addr
	asked map[string]int
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, names: map[string][][]netip.Addr{}, asked: map[string]int{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer, err := s.answer(buf[:n]); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	return s
}

func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

// set makes a name that resolves to the lists, one after the other.
func (s *nameServer) set(name string, lists ...[]netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name+"."] = lists
}

func (s *nameServer) answer(raw []byte) ([]byte, error) {
	var q dnsmessage.Message
	if err := q.Unpack(raw); err != nil {
		return nil, err
	}
	question := q.Questions[0]
	name := question.Name.String()
	s.mu.Lock()
	defer s.mu.Unlock()
	lists := s.names[name]
	out := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.ID, Response: true, Authoritative: true, RecursionAvailable: true},
		Questions: q.Questions,
	}
	if len(lists) == 0 {
		out.RCode = dnsmessage.RCodeNameError
		return out.Pack()
	}
	key := fmt.Sprint(name, question.Type)
	list := lists[min(s.asked[key], len(lists)-1)]
	s.asked[key]++
	for _, addr := range list {
		h := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 0}
		switch {
		case addr.Is4() && question.Type == dnsmessage.TypeA:
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && question.Type == dnsmessage.TypeAAAA:
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return out.Pack()
}

// TestHostileAnswersOfNameServers: whatever a name resolves to that is not
// public is refused when it is dialled, with and without a proxy.
func TestHostileAnswersOfNameServers(t *testing.T) {
	names := newNameServer(t)
	proxy := newProxy(t)
	direct := egress.Policy{}.Resolving(names.resolver())
	through, err := direct.Through(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	transports := map[string]*egress.Transport{"directly": direct.Transport(nil), "through the proxy": through.Transport(nil)}
	n := 0
	for what, text := range hostile {
		addr := netip.MustParseAddr(text)
		if addr.Zone() != "" {
			continue // no answer of a name server has one
		}
		n++
		name := fmt.Sprintf("h%d.hostile.test", n)
		names.set(name, []netip.Addr{addr})
		for how, tr := range transports {
			if err := get(t, tr, "https://"+name+"/in"); !errors.Is(err, egress.ErrRefused) {
				t.Errorf("%s (%s) %s: %v, want it refused", what, text, how, err)
			}
			if err := get(t, tr, "http://"+name+"/in"); !errors.Is(err, egress.ErrRefused) {
				t.Errorf("%s (%s) %s, plainly: %v, want it refused", what, text, how, err)
			}
		}
	}
	if n < 60 {
		t.Errorf("only %d hostile answers are tried", n)
	}
	if got := proxy.asked.Load(); got != 0 {
		t.Errorf("the proxy was asked %d times", got)
	}
}

// TestRebinding: a name that was public a moment ago, or is half and half, leads
// nowhere.
func TestRebinding(t *testing.T) {
	names := newNameServer(t)
	var reached atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer receiver.Close()
	u, err := url.Parse(receiver.URL)
	if err != nil {
		t.Fatal(err)
	}
	loopback := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	policy := egress.Policy{}.Resolving(names.resolver())
	tr := policy.Transport(nil)
	names.set("both.test", []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"), netip.MustParseAddr("::ffff:7f00:1")})
	names.set("turns.test", []netip.Addr{netip.MustParseAddr("169.254.169.254")}, loopback)
	for range 3 {
		for _, name := range []string{"both.test", "turns.test"} {
			for _, scheme := range []string{"https", "http"} {
				target := scheme + "://" + net.JoinHostPort(name, u.Port()) + "/"
				if err := get(t, tr, target); !errors.Is(err, egress.ErrRefused) {
					t.Errorf("%s: %v, want it refused", target, err)
				}
			}
		}
	}
	if reached.Load() != 0 {
		t.Error("the receiver was reached")
	}
}

// proxy is an egress proxy that connects to whatever it is asked for, if it may.
type proxy struct {
	*httptest.Server
	asked  atomic.Int64
	status int

	mu      sync.Mutex
	targets []string
	auth    []string
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	p := &proxy{status: http.StatusOK}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.asked.Add(1)
	p.mu.Lock()
	p.targets, p.auth = append(p.targets, r.RequestURI), append(p.auth, r.Header.Get("Proxy-Authorization"))
	p.mu.Unlock()
	if r.Method != http.MethodConnect || p.status != http.StatusOK {
		w.WriteHeader(max(p.status, http.StatusForbidden))
		return
	}
	var d net.Dialer
	far, err := d.DialContext(r.Context(), "tcp", r.RequestURI)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	near, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(far, bufio.NewReader(buf))
		_ = far.Close()
	}()
	_, _ = io.Copy(near, far)
	_ = near.Close()
}

// TestProxy: connections go through the proxy to the address that was checked;
// one that does not connect is an error that says so.
func TestProxy(t *testing.T) {
	names := newNameServer(t)
	var reached atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer receiver.Close()
	at, err := url.Parse(receiver.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t)
	local, err := egress.NewPolicy([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	through, err := local.Resolving(names.resolver()).Through(strings.Replace(p.URL, "http://", "http://ada:hush@", 1))
	if err != nil {
		t.Fatal(err)
	}
	tr := through.Transport(nil)
	defer tr.CloseIdleConnections()
	names.set("shop.test", []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1")})
	target := "http://" + net.JoinHostPort("shop.test", at.Port()) + "/in"
	if err := get(t, tr, target); err != nil || reached.Load() != 1 {
		t.Fatalf("%v, reached %d times", err, reached.Load())
	}
	p.mu.Lock()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("ada:hush"))
	if p.targets[0] != at.Host || p.auth[0] != want {
		t.Errorf("the proxy was asked for %v with %v", p.targets, p.auth)
	}
	p.mu.Unlock()
	tr.CloseIdleConnections()
	p.status = http.StatusProxyAuthRequired
	if err := get(t, tr, target); !errors.Is(err, egress.ErrProxy) || strings.Contains(err.Error(), "hush") {
		t.Errorf("refused by the proxy: %v", err)
	}
	p.Close()
	if err := get(t, tr, target); !errors.Is(err, egress.ErrProxy) {
		t.Errorf("no proxy there: %v", err)
	}
	for _, bad := range []string{"proxy:3128", "socks5://proxy", "http://", "http://proxy/path", "http://proxy?x"} {
		if _, err := local.Through(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
