package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// faultProxy stands between two parts and is the network between them: it can be
// cut, be slow, and deliver twice.
type faultProxy struct {
	addr, to string
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex
	cut     bool
	delay   time.Duration
	doubled bool
	open    map[net.Conn]bool
}

func newFaultProxy(t testing.TB, to string) *faultProxy {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &faultProxy{addr: l.Addr().String(), to: to, listener: l, open: map[net.Conn]bool{}}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		_ = l.Close()
		p.set(func() { p.cut = true })
		p.wg.Wait()
	})
	return p
}

// set changes what the network does; a cut ends the connections that there are.
func (p *faultProxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	if p.cut {
		for conn := range p.open {
			_ = conn.Close()
		}
	}
}

func (p *faultProxy) serve() {
	for {
		in, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.wg.Go(func() { p.carry(in) })
		}
	}
}

// hold keeps a connection in mind, so that a cut ends it; false if there is a
// cut. Whoever holds it closes it.
func (p *faultProxy) hold(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		return false
	}
	p.open[conn] = true
	return true
}

func (p *faultProxy) release(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
}

// carry carries one connection. Doubled, what the caller says is said on a
// second connection too, whose answers nobody hears.
func (p *faultProxy) carry(in net.Conn) {
	defer p.release(in)
	if !p.hold(in) {
		return
	}
	out, ok := p.dial()
	if !ok {
		return
	}
	defer p.release(out)
	p.mu.Lock()
	doubled := p.doubled
	p.mu.Unlock()
	var echo net.Conn
	if doubled {
		if echo, ok = p.dial(); ok {
			defer p.release(echo)
			p.wg.Go(func() { _, _ = io.Copy(io.Discard, echo) })
		}
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		p.copy(in, out, nil)
		_ = in.Close()
	}()
	p.copy(out, in, echo)
	if half, ok := out.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
	<-back
}

func (p *faultProxy) dial() (net.Conn, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.to)
	if err != nil {
		return nil, false
	}
	if !p.hold(conn) {
		_ = conn.Close()
		return nil, false
	}
	return conn, true
}

// copy carries bytes as fast as the network is now.
func (p *faultProxy) copy(to, from, echo net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		delay := p.delay
		p.mu.Unlock()
		pause(delay)
		if n > 0 {
			if echo != nil {
				_, _ = echo.Write(buf[:n])
			}
			if _, err := to.Write(buf[:n]); err != nil {
				_ = from.Close()
				return
			}
		}
		if err != nil {
			return
		}
	}
}
