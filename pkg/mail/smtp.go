package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// farewell bounds the wait for the answer to QUIT. By then the message's fate is known.
const farewell = time.Second

var _ Sender = (*SMTP)(nil)

// SMTP sends through one relay, with a connection of its own for each message.
type SMTP struct {
	address string
	tlsMode TLSMode
	tls     *tls.Config
	timeout time.Duration
	// newClient returns a client for one connection. It is a function so that the password is in no field that could be
	// printed.
	newClient func(conn net.Conn) (*gomail.Client, error)
}

// NewSMTP returns a sender for the relay that cfg names, or an error that names the bad settings. It does not connect.
func NewSMTP(cfg Config) (*SMTP, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("mail: relay settings: %w", err)
	}
	cfg = cfg.withDefaults()
	s := &SMTP{
		address: net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)),
		tlsMode: cfg.TLS,
		tls:     &tls.Config{ServerName: cfg.Host, MinVersion: tls.VersionTLS12},
		timeout: cfg.Timeout,
	}
	if cfg.RootCAs != "" {
		s.tls.RootCAs = x509.NewCertPool()
		s.tls.RootCAs.AppendCertsFromPEM([]byte(cfg.RootCAs))
	}
	s.newClient = func(conn net.Conn) (*gomail.Client, error) {
		return gomail.NewClient(cfg.Host, clientOptions(cfg, s.tls, conn)...)
	}
	if _, err := s.newClient(nil); err != nil {
		return nil, fmt.Errorf("mail: relay settings: %w", err)
	}
	return s, nil
}

// clientOptions turns the settings into those of the library. The connection is ours: with implicit TLS it is encrypted
// already, and the library notices from its type.
func clientOptions(cfg Config, tlsConfig *tls.Config, conn net.Conn) []gomail.Option {
	policy := gomail.NoTLS
	if cfg.TLS == TLSStartTLS {
		policy = gomail.TLSMandatory
	}
	options := []gomail.Option{
		gomail.WithPort(cfg.Port),
		gomail.WithTimeout(cfg.Timeout + time.Second), // the context of Send shall be what ends it
		gomail.WithTLSPolicy(policy),
		gomail.WithTLSConfig(tlsConfig),
		gomail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) { return conn, nil }),
		// Our addresses are ASCII; asking for SMTPUTF8 would only make relays that lack it further on bounce the mail.
		gomail.WithoutSMTPUTF8(),
	}
	if cfg.HELO != "" {
		options = append(options, gomail.WithHELO(cfg.HELO))
	}
	if cfg.Username != "" {
		options = append(options,
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin),
			gomail.WithUsername(cfg.Username), gomail.WithPassword(cfg.Password.Reveal()))
	}
	return options
}

// Send implements Sender.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	env, err := render(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()

	failure := s.deliver(ctx, env)
	if failure == nil {
		return nil
	}
	if ctx.Err() != nil && failure.Code == 0 {
		failure.Err = fmt.Errorf("%w (%w)", ctx.Err(), failure.Err)
	}
	return failure
}

// deliver opens a connection for one message and closes it, at the latest when ctx ends.
func (s *SMTP) deliver(ctx context.Context, env envelope) *SendError {
	conn, err := s.connect(ctx)
	if err != nil {
		return sessionError("connect", err)
	}
	defer func() { _ = conn.Close() }()
	// The library knows deadlines but no cancellation: closing the connection ends whatever it waits for.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	return s.converse(ctx, conn, env)
}

// connect dials the relay and, with implicit TLS, shakes hands.
func (s *SMTP) connect(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	if s.tlsMode != TLSImplicit {
		return conn, nil
	}
	encrypted := tls.Client(conn, s.tls)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return encrypted, nil
}

// converse speaks SMTP (RFC 5321) on conn up to the relay's verdict on the message. It drives the transaction itself
// because the library's own Send turns a failing QUIT after an accepted message into an error, which would make the
// caller send it again.
func (s *SMTP) converse(ctx context.Context, conn net.Conn, env envelope) *SendError {
	client, err := s.newClient(conn)
	if err != nil {
		return sessionError("open session", err)
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return sessionError("open session", err)
	}
	if err := session.Mail("<" + env.from + ">"); err != nil {
		defer quit(session)
		return messageError("MAIL FROM", err)
	}
	if err := session.Rcpt("<" + env.to + ">"); err != nil {
		defer quit(session)
		return messageError("RCPT TO", err)
	}
	data, err := session.Data()
	if err != nil {
		defer quit(session)
		return messageError("DATA", err)
	}
	// No QUIT after a failed write: the library would first end the data, and the relay accept half a message.
	if _, err := data.Write(env.data); err != nil {
		return messageError("message", err)
	}
	if err := data.Close(); err != nil {
		defer quit(session)
		return messageError("message", err)
	}
	quit(session)
	return nil
}

// quit takes leave without caring for the answer.
func quit(session *smtp.Client) {
	if session.UpdateDeadline(farewell) == nil {
		_ = session.Quit()
	}
}
