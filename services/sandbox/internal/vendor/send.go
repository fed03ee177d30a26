package vendor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const maxAnswer = 1 << 10

// Attempt is one callback that was sent.
type Attempt struct {
	At time.Time `json:"at"`
	// Event is what it was about, in the vendor's word; empty: a purchase.
	Event  string `json:"event,omitempty"`
	Forged bool   `json:"forged,omitempty"`
	// Status and Body are the answer, if there was one.
	Status int    `json:"status,omitempty"`
	Body   string `json:"body,omitempty"`
	// OK says that the answer acknowledges it.
	OK     bool   `json:"ok"`
	Error  string `json:"error,omitempty"`
	Millis int64  `json:"millis"`
}

// Sender sends callbacks.
type Sender struct {
	client  *http.Client
	timeout time.Duration
	now     func() time.Time
}

// NewSender returns a sender that waits so long for each answer.
func NewSender(timeout time.Duration, now func() time.Time) *Sender {
	return &Sender{timeout: timeout, now: now, client: &http.Client{
		// Many copies of a callback at once are a test, so their number must not be limited by kept connections.
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Callback is one to be sent, any number of times.
type Callback struct {
	Event  string
	Forged bool
	// Request makes the request; ok says whether an answer acknowledges it.
	Request func(context.Context) (*http.Request, error)
	OK      func(status int, body string) bool
}

// Send sends copies at once.
func (s *Sender) Send(ctx context.Context, c Callback, copies int, loseAnswer bool) []Attempt {
	attempts := make([]Attempt, copies)
	var wg sync.WaitGroup
	for i := range attempts {
		wg.Go(func() {
			a := s.one(ctx, c)
			if loseAnswer && a.Error == "" {
				a.OK, a.Error = false, "answer lost on the way (fault)"
			}
			attempts[i] = a
		})
	}
	wg.Wait()
	return attempts
}

// Lost is a callback that a fault loses.
func (s *Sender) Lost(event string) []Attempt {
	return []Attempt{{At: s.now(), Event: event, Error: "lost on the way (fault)"}}
}

func (s *Sender) one(ctx context.Context, c Callback) (attempt Attempt) {
	attempt = Attempt{At: s.now(), Event: c.Event, Forged: c.Forged}
	defer func() { attempt.Millis = s.now().Sub(attempt.At).Milliseconds() }()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := c.Request(ctx)
	if err != nil {
		attempt.Error = err.Error()
		return attempt
	}
	status, body, err := s.do(req)
	if err != nil {
		attempt.Error = err.Error()
		return attempt
	}
	attempt.Status, attempt.Body, attempt.OK = status, body, c.OK(status, body)
	return attempt
}

func (s *Sender) do(req *http.Request) (int, string, error) {
	resp, err := s.client.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok { // without the address, which may be signed
			err = wrapped.Err
		}
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }() // nothing is written, so closing has nothing to say
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, "", fmt.Errorf("read answer: %w", err)
	}
	return resp.StatusCode, string(body), nil
}

// Sleep pauses and says whether it did so to the end.
func Sleep(ctx context.Context, pause time.Duration) bool {
	if pause <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
