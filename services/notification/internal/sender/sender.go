// Package sender makes the tries: one signed POST of one event to one endpoint,
// and what came of it. It is the only place that calls merchants.
package sender

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"quittance/pkg/backoff"
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
	// MaxTimeout is the longest time that an endpoint may have for an answer.
	MaxTimeout = 20 * time.Second
)

// Sender makes tries. Its methods may be used by many goroutines.
type Sender struct {
	client *http.Client
	opt    Options
	gates  *gates
}

// Options of a Sender; all are needed but Retries.
type Options struct {
	// Transport must refuse addresses that are not for us (see package egress).
	Transport http.RoundTripper
	Keyring   *seal.Keyring
	// Timeout bounds one try from the name's lookup to the end of the answer,
	// where the endpoint has no time of its own, which may be up to MaxTimeout.
	Timeout time.Duration
	// Retries is the schedule where the endpoint has none of its own; empty: the
	// usual one.
	Retries backoff.Schedule
	// PerEndpoint is how many tries may be under way at one endpoint, where it
	// has no bound of its own.
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
		opt: o, gates: newGates(),
	}
}

// Longest is the longest that any try takes.
func (s *Sender) Longest() time.Duration { return max(s.opt.Timeout, MaxTimeout) }

// Timeout is the longest that a try at the endpoint takes.
func (s *Sender) Timeout(ep *endpoint.Endpoint) time.Duration {
	return cmp.Or(ep.Timeout, s.opt.Timeout)
}

// Outcome is what came of a try.
type Outcome struct {
	queue.Result
	// Gone: the endpoint wants no more (410).
	Gone bool
	// Busy: the endpoint has its hands full, and nothing was sent. Turn is when
	// to try again, zero if that can't be said; Slot: the turn is this queue's own.
	Busy bool
	Turn time.Time
	Slot bool
}

// Try sends an event of a queue. slot: this is the queue's turn (see Outcome).
func (s *Sender) Try(ctx context.Context, ep *endpoint.Endpoint, order string, e queue.Event, slot bool) Outcome {
	id := endpoint.DocID(ep.Merchant, ep.ID)
	start := s.opt.Now()
	wait, ok := s.gates.enter(id, limits{cmp.Or(ep.InFlight, s.opt.PerEndpoint), ep.PerSecond}, slot, start)
	if !ok {
		return Outcome{Busy: true, Turn: wait.at, Slot: wait.slot}
	}
	a := s.post(ctx, ep, e)
	retries := ep.Retries
	if len(retries) == 0 {
		retries = s.opt.Retries
	}
	now := s.opt.Now()
	r := queue.Result{
		Sequence: e.Sequence, Round: e.Round, Try: e.Tries + 1, At: now, Took: now.Sub(start),
		OK: a.ok(), Status: a.status, Text: a.text(), Response: a.excerpt, RetryAfter: min(a.retryAfter, queue.MaxRetryAfter),
		Retries: retries,
	}
	if a.status == 0 {
		r.Response = a.problem
	}
	var until time.Time
	if a.strained() && r.RetryAfter > 0 {
		until = now.Add(r.RetryAfter)
	}
	s.gates.leave(id, a.strained() || !r.OK && r.Took >= s.Timeout(ep)/2, until, now)
	s.opt.Log.LogAttrs(ctx, slog.LevelInfo, "webhook",
		slog.String("merchant", ep.Merchant), slog.String("endpoint", ep.ID), slog.String("order", order),
		slog.String("event", e.ID), slog.String("type", e.Type), slog.Int64("sequence", e.Sequence),
		slog.Int("try", r.Try), slog.Int("round", r.Round), slog.Bool("delivered", r.OK),
		slog.Int("status", a.status), slog.String("error", a.problem), slog.Duration("took", r.Took))
	return Outcome{Result: r, Gone: a.status == http.StatusGone}
}

// answer is what came back: a status, or a problem if nothing did.
type answer struct {
	status     int
	excerpt    string
	problem    string
	retryAfter time.Duration
}

func (a answer) ok() bool { return a.status >= 200 && a.status <= 299 }

// strained: the receiver, or what is in front of it, has too much to do.
func (a answer) strained() bool {
	switch a.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

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
	timeout := s.Timeout(ep)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := s.request(ctx, ep, e)
	if err != nil {
		return answer{problem: err.Error()}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{problem: reason(err, timeout)}
	}
	a := answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header.Get("Retry-After"), s.opt.Now())}
	// The status is the answer; a body that breaks off changes nothing.
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		a.problem = reason(err, timeout)
	}
	if err := resp.Body.Close(); err != nil {
		a.problem = reason(err, timeout)
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
	docID := endpoint.DocID(ep.Merchant, ep.ID)
	now := s.opt.Now()
	var secrets []string
	for _, sealed := range ep.Secrets(now) {
		secret, err := s.opt.Keyring.Open(sealed, docID)
		if err != nil {
			return nil, fmt.Errorf("unseal the endpoint's secret: %w", err)
		}
		secrets = append(secrets, string(secret))
	}
	headers, err := webhook.Headers(secrets, e.ID, now, body)
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
	if err := s.credentials(ep, docID, headers); err != nil {
		return nil, err
	}
	req.Header = headers
	return req, nil
}

// credentials adds the endpoint's own headers; what is there already stays.
func (s *Sender) credentials(ep *endpoint.Endpoint, docID string, headers http.Header) error {
	if ep.Credentials == "" {
		return nil
	}
	raw, err := s.opt.Keyring.Open(ep.Credentials, docID)
	if err != nil {
		return fmt.Errorf("unseal the endpoint's credentials: %w", err)
	}
	var c endpoint.Credentials
	if err := json.Unmarshal(raw, &c); err != nil {
		return errors.New("the endpoint's credentials can't be read")
	}
	for name, value := range c.Headers {
		if _, there := headers[http.CanonicalHeaderKey(name)]; !there {
			headers.Set(name, value)
		}
	}
	switch {
	case c.Bearer != "":
		headers.Set("Authorization", "Bearer "+c.Bearer)
	case c.Username != "":
		headers.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password)))
	}
	return nil
}
