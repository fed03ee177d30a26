// Package mailsink owns an SMTP server that takes every mail and delivers none.
//
// It takes mails over SMTP and gives them back as a list, as pages for people and as JSON for tests. A mail that was
// answered 250 is on the disk. Told to, it refuses the next mails with a given code.
package mailsink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"quittance/services/sandbox/internal/ledger"
)

// Limits of the server.
const (
	maxMail       = 10 << 20
	maxRecipients = 50
	idle          = time.Minute
	// farewell is how long open sessions may last once stopping has begun.
	farewell = 2 * time.Second
)

// Config of a sink.
type Config struct {
	// Dir holds the ledger.
	Dir string
	Now func() time.Time
	Log *slog.Logger
}

// Letter is a mail as it came.
type Letter struct {
	// Number is 1 for the first mail.
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	// EnvelopeFrom and EnvelopeTo are the addresses of the SMTP session.
	EnvelopeFrom string   `json:"envelopeFrom"`
	EnvelopeTo   []string `json:"envelopeTo"`
	Raw          []byte   `json:"raw"`
}

// Answers tells the sink to refuse mails.
type Answers struct {
	// Code (400 to 599) for the next Times mails.
	Code  int `json:"code"`
	Times int `json:"times"`
}

// Sink keeps mails.
type Sink struct {
	config Config
	ledger *ledger.Ledger[Letter]
	server *smtp.Server

	mu      sync.Mutex
	letters []Letter
	answers Answers
}

// New opens the ledger.
func New(config Config) (*Sink, error) {
	s := &Sink{config: config}
	var err error
	s.ledger, err = ledger.Open(filepath.Join(config.Dir, "mails.jsonl"), func(l Letter) error {
		s.letters = append(s.letters, l)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{sink: s}, nil }))
	s.server.Domain = "sandbox.invalid"
	s.server.MaxMessageBytes, s.server.MaxRecipients = maxMail, maxRecipients
	s.server.ReadTimeout, s.server.WriteTimeout = idle, idle
	s.server.EnableSMTPUTF8 = true
	s.server.ErrorLog = slog.NewLogLogger(config.Log.Handler(), slog.LevelWarn)
	return s, nil
}

// Serve takes mails on listener until ctx is done. Call it once.
func (s *Sink) Serve(ctx context.Context, listener net.Listener) error {
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("take mails: %w", err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	err := s.server.Shutdown(stopping)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	<-done
	if errors.Is(err, smtp.ErrServerClosed) { // Close after a Shutdown that took too long
		err = nil
	}
	return err
}

// Close closes the ledger.
func (s *Sink) Close() error { return s.ledger.Close() }

// keep takes a mail or refuses it as it was told to.
func (s *Sink) keep(from string, to []string, raw []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers.Times > 0 {
		s.answers.Times--
		return &smtp.SMTPError{Code: s.answers.Code, EnhancedCode: smtp.EnhancedCode{s.answers.Code / 100, 0, 0},
			Message: "Refused, as I was told to"}
	}
	letter := Letter{Number: len(s.letters) + 1, At: s.config.Now(), EnvelopeFrom: from, EnvelopeTo: to, Raw: raw}
	if err := s.ledger.Append(letter); err != nil {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Not kept, try again"}
	}
	s.letters = append(s.letters, letter)
	return nil
}

// list gives all letters, oldest first.
func (s *Sink) list() []Letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.letters[:len(s.letters):len(s.letters)]
}

func (s *Sink) setAnswers(answers Answers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = answers
}

// session is one SMTP session.
type session struct {
	sink *Sink
	from string
	to   []string
}

var _ smtp.Session = (*session)(nil)

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return s.sink.keep(s.from, s.to, raw)
}

func (s *session) Reset() { s.from, s.to = "", nil }

func (s *session) Logout() error { return nil }
