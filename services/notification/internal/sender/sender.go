// Package sender makes the tries: one signed POST of one event to one endpoint,
// and what came of it. It is the only place that calls merchants.
package sender

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"quittance/pkg/seal"
	"quittance/pkg/webhook"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/payload"
	"quittance/services/notification/internal/queue"
)

const (
	userAgent = "Quittance-Webhooks/1.0"
	// maxAnswer is how much of a receiver's answer is read, in bytes.
	maxAnswer = 4 << 10
)

// Sender makes tries. Its methods may be used by many goroutines.
type Sender struct {
	client  *http.Client
	keys    *seal.Keyring
	timeout time.Duration
	gates   *gates
	log     *slog.Logger
	now     func() time.Time
}

// Options of a Sender; all are needed.
type Options struct {
	// Transport must refuse addresses that are not for us (see package egress).
	Transport http.RoundTripper
	Keyring   *seal.Keyring
	// Timeout bounds one try from the name's lookup to the end of the answer.
	Timeout time.Duration
	// PerEndpoint is how many tries may be under way at one endpoint.
	PerEndpoint int
	Log         *slog.Logger
	Now         func() time.Time
}

// New returns a sender.
func New(o Options) *Sender {
	return &Sender{
		client: &http.Client{
			Transport:     o.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		keys: o.Keyring, timeout: o.Timeout, gates: newGates(o.PerEndpoint), log: o.Log, now: o.Now,
	}
}

// Timeout is the longest a try takes.
func (s *Sender) Timeout() time.Duration { return s.timeout }

// Try sends an event of an order. gone: the endpoint wants no more (410).
// ok is false if the endpoint has its hands full; then nothing was sent.
func (s *Sender) Try(ctx context.Context, ep *endpoint.Endpoint, order string, e queue.Event) (r queue.Result, gone, ok bool) {
	id := endpoint.DocID(ep.Merchant, ep.ID)
	if !s.gates.enter(id) {
		return queue.Result{}, false, false
	}
	start := s.now()
	a := s.post(ctx, ep, e)
	r = queue.Result{
		Sequence: e.Sequence, Round: e.Round, Try: e.Tries + 1, At: s.now(),
		OK: a.ok(), Text: a.text(), RetryAfter: a.retryAfter,
	}
	took := r.At.Sub(start)
	s.gates.leave(id, !r.OK && took >= s.timeout/2)
	s.log.LogAttrs(ctx, slog.LevelInfo, "webhook",
		slog.String("merchant", ep.Merchant), slog.String("endpoint", ep.ID), slog.String("order", order),
		slog.String("event", e.ID), slog.String("type", e.Type), slog.Int64("sequence", e.Sequence),
		slog.Int("try", r.Try), slog.Int("round", r.Round), slog.Bool("delivered", r.OK),
		slog.Int("status", a.status), slog.String("error", a.problem), slog.Duration("took", took))
	return r, a.status == http.StatusGone, true
}

// answer is what came back: a status, or a problem if nothing did.
type answer struct {
	status     int
	excerpt    string
	problem    string
	retryAfter time.Duration
}

func (a answer) ok() bool { return a.status >= 200 && a.status <= 299 }

func (a answer) text() string {
	if a.status == 0 {
		return a.problem
	}
	s := strconv.Itoa(a.status)
	if name := http.StatusText(a.status); name != "" {
		s += " " + name
	}
	if !a.ok() && a.excerpt != "" {
		s += ": " + a.excerpt
	}
	return s
}

func (s *Sender) post(ctx context.Context, ep *endpoint.Endpoint, e queue.Event) answer {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := s.request(ctx, ep, e)
	if err != nil {
		return answer{problem: err.Error()}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{problem: reason(err, s.timeout)}
	}
	a := answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header.Get("Retry-After"), s.now())}
	// The status is the answer; a body that breaks off changes nothing.
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		a.problem = reason(err, s.timeout)
	}
	if err := resp.Body.Close(); err != nil {
		a.problem = reason(err, s.timeout)
	}
	a.excerpt = string(bytes.ToValidUTF8(text, []byte(" ")))
	return a
}

// request builds the signed request. Its errors name neither URL nor secret.
func (s *Sender) request(ctx context.Context, ep *endpoint.Endpoint, e queue.Event) (*http.Request, error) {
	body, err := payload.Render(e)
	if err != nil {
		return nil, err
	}
	secret, err := s.keys.Open(ep.Secret, endpoint.DocID(ep.Merchant, ep.ID))
	if err != nil {
		return nil, fmt.Errorf("unseal the endpoint's secret: %w", err)
	}
	headers, err := webhook.Headers([]string{string(secret)}, e.ID, s.now(), body)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, ep.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the endpoint's URL can't be called")
	}
	headers.Set("Content-Type", "application/json")
	headers.Set("User-Agent", userAgent)
	// Not sent, but it lets the transport repeat the request when a kept
	// connection turns out to be closed: the webhook's id makes that harmless.
	headers["Idempotency-Key"] = []string{}
	req.Header = headers
	return req, nil
}
