package mail_test

// The SMTP server of these tests is go-smtp on a loopback TCP port: protocol, TLS and login are real. Doubled is what
// lies behind it: a backend that misbehaves as the recipient's name says. Assert on what it has accepted, and on the
// errors of Send. scriptedServer is for what go-smtp would never say.

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"quittance/pkg/mail"
)

const (
	user     = "shop"
	password = "hunter2"
)

// mailServer is a relay that takes mail for anyone, except where the recipient's local part names a way to misbehave.
type mailServer struct {
	config  mail.Config   // how to reach it
	hanging chan struct{} // receives when a session has begun to hang
	release chan struct{} // closed at the end of the test
	login   bool          // MAIL FROM wants a login first

	mu       sync.Mutex
	accepted []string // raw messages
	from, to []string // envelopes of the accepted messages
}

// serverOption changes the server before it starts.
type serverOption func(t *testing.T, m *mailServer, s *smtp.Server)

func wantsLogin(_ *testing.T, m *mailServer, _ *smtp.Server) {
	m.login = true
	m.config.Username, m.config.Password = user, password
}

func offersStartTLS(t *testing.T, m *mailServer, s *smtp.Server) {
	s.TLSConfig, m.config.RootCAs = certificate(t)
	m.config.TLS = mail.TLSStartTLS
}

func speaksTLS(t *testing.T, m *mailServer, s *smtp.Server) {
	s.TLSConfig, m.config.RootCAs = certificate(t)
	m.config.TLS = mail.TLSImplicit
}

// certificate returns a server's TLS settings for 127.0.0.1 and the authority to trust, as PEM.
func certificate(t *testing.T) (*tls.Config, string) {
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &tls.Config{Certificates: server.TLS.Certificates}, string(authority)
}

func startServer(t *testing.T, options ...serverOption) *mailServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailServer{
		config:  mail.Config{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, TLS: mail.TLSNone},
		hanging: make(chan struct{}, 1),
		release: make(chan struct{}),
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &session{server: m}, nil
	}))
	server.Domain = "relay.example"
	server.AllowInsecureAuth = true
	server.ErrorLog = log.New(io.Discard, "", 0)
	for _, option := range options {
		option(t, m, server)
	}
	if m.config.TLS == mail.TLSImplicit {
		listener = tls.NewListener(listener, server.TLSConfig)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		close(m.release)
		_ = server.Close()
		_ = listener.Close() // the server does not know it yet if the test was that short
		<-served
	})
	return m
}

// sender returns a sender for the server; change, if given, alters its settings first.
func (m *mailServer) sender(t *testing.T, change ...func(*mail.Config)) *mail.SMTP {
	t.Helper()
	cfg := m.config
	cfg.Timeout = 20 * time.Second // never reached unless the test is about it
	for _, c := range change {
		c(&cfg)
	}
	sender, err := mail.NewSMTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

// messages returns the accepted messages, parsed.
func (m *mailServer) messages(t *testing.T) []*netmail.Message {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var parsed []*netmail.Message
	for _, raw := range m.accepted {
		message, err := netmail.ReadMessage(strings.NewReader(raw))
		if err != nil {
			t.Fatalf("the server got what is no message: %v\n%s", err, raw)
		}
		parsed = append(parsed, message)
	}
	return parsed
}

// session is one connection's conversation.
type session struct {
	server   *mailServer
	loggedIn bool
	from, to string
}

var _ smtp.AuthSession = (*session)(nil)

func (s *session) AuthMechanisms() []string {
	if s.server.login {
		return []string{sasl.Plain}
	}
	return nil
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, name, secret string) error {
		if name != user || secret != password {
			return smtp.ErrAuthFailed
		}
		s.loggedIn = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.login && !s.loggedIn {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	if from == "refused@shop.example" {
		return refuse(550, "sender not wanted")
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return s.misbehave("rcpt-")
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.misbehave("data-"); err != nil {
		return err
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.accepted = append(s.server.accepted, string(raw))
	s.server.from, s.server.to = append(s.server.from, s.from), append(s.server.to, s.to)
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// misbehave does what the recipient's name says about this phase: "rcpt-451@…", "data-550@…", "data-hangs@…".
func (s *session) misbehave(phase string) error {
	local, _, _ := strings.Cut(s.to, "@")
	fault, ok := strings.CutPrefix(local, phase)
	if !ok {
		return nil
	}
	switch fault {
	case "hangs":
		s.server.hanging <- struct{}{}
		<-s.server.release
		return refuse(451, "end of test")
	case "421":
		return refuse(421, "closing")
	case "451":
		return refuse(451, "try again later")
	case "535":
		return refuse(535, "who are you")
	case "550":
		return refuse(550, "no such user")
	default:
		return errors.New("unknown fault " + fault)
	}
}

func refuse(code int, message string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: message}
}

// scriptedServer answers one connection: the greeting, then to each command the reply under its first word. An empty
// reply closes the connection, a missing one says 250. It returns the settings to reach it.
func scriptedServer(t *testing.T, greeting string, replies map[string]string) mail.Config {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		if greeting == "" {
			_, _ = io.Copy(io.Discard, conn) // say nothing until the client leaves
			return
		}
		_, _ = fmt.Fprintf(conn, "%s\r\n", greeting)
		lines := bufio.NewScanner(conn)
		inData := false
		for lines.Scan() {
			verb, _, _ := bytes.Cut(lines.Bytes(), []byte(" "))
			command := string(bytes.ToUpper(verb))
			if inData && command != "." {
				continue
			}
			inData = command == "DATA"
			reply, ok := replies[command]
			switch {
			case !ok && inData:
				reply = "354 go ahead"
			case !ok:
				reply = "250 ok"
			case reply == "":
				return
			}
			_, _ = fmt.Fprintf(conn, "%s\r\n", reply)
		}
	}()
	return mail.Config{
		Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, TLS: mail.TLSNone, Timeout: 20 * time.Second,
	}
}
