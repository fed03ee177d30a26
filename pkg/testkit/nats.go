// Package testkit owns the real parts that tests run against and the asserts
// that wait for them: embedded servers that can be stopped, emptied and started
// again, and polling with a deadline.
//
// Only tests import it.
package testkit

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// Server is an embedded NATS server with JetStream in files.
type Server struct {
	t       testing.TB
	options natsserver.Options

	mu      sync.Mutex
	running *natsserver.Server
}

// NATS starts a server that only this process can reach, through
// [Server.InProcessConn]. It ends with the test.
func NATS(t testing.TB) *Server {
	t.Helper()
	return newServer(t, natsserver.Options{DontListen: true})
}

// ListeningNATS starts a server that listens on a free port of 127.0.0.1 and
// keeps it over restarts.
func ListeningNATS(t testing.TB) *Server {
	t.Helper()
	return newServer(t, natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT})
}

// ConfiguredNATS starts a listening server with accounts, users and permissions
// of a configuration file. Where it listens and keeps its files is the test's
// matter.
func ConfiguredNATS(t testing.TB, path string) *Server {
	t.Helper()
	o, err := natsserver.ProcessConfigFile(path)
	if err != nil {
		t.Fatalf("configuration of NATS: %v", err)
	}
	o.Host, o.Port, o.HTTPPort = "127.0.0.1", natsserver.RANDOM_PORT, 0
	return newServer(t, *o)
}

func newServer(t testing.TB, o natsserver.Options) *Server {
	t.Helper()
	o.ServerName = "test"
	o.JetStream = true
	o.StoreDir = filepath.Join(t.TempDir(), "nats")
	o.NoLog, o.NoSigs = true, true
	s := &Server{t: t, options: o}
	t.Cleanup(s.Stop)
	s.Start()
	return s
}

// URL is where a listening server can be reached; "" for others.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.DontListen {
		return ""
	}
	return "nats://" + net.JoinHostPort(s.options.Host, strconv.Itoa(s.options.Port))
}

// InProcessConn opens a connection to the server, whichever is running now.
func (s *Server) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if running == nil {
		return nil, errors.New("the server is stopped")
	}
	return running.InProcessConn()
}

// Start starts the server with the files that are there.
func (s *Server) Start() {
	s.t.Helper()
	const within = 10 * time.Second
	o := s.options
	running, err := natsserver.NewServer(&o)
	if err != nil {
		s.t.Fatalf("start NATS: %v", err)
	}
	running.Start()
	if !running.ReadyForConnections(within) {
		s.t.Fatalf("NATS is not ready within %s", within)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if addr, ok := running.Addr().(*net.TCPAddr); ok {
		s.options.Port = addr.Port
	}
	s.running = running
}

// Stop ends the server; its connections break.
func (s *Server) Stop() {
	s.mu.Lock()
	running := s.running
	s.running = nil
	s.mu.Unlock()
	if running != nil {
		running.Shutdown()
		running.WaitForShutdown()
	}
}

// Wipe deletes the files of the stopped server: streams, events, consumers.
func (s *Server) Wipe() {
	s.t.Helper()
	if err := os.RemoveAll(s.options.StoreDir); err != nil {
		s.t.Fatalf("delete the files of NATS: %v", err)
	}
}

// StoreDir is where the server keeps its files.
func (s *Server) StoreDir() string { return s.options.StoreDir }
