package app

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// checkTimeout bounds one check; a check that hangs counts as failed.
const checkTimeout = 2 * time.Second

var errHangs = errors.New("no answer in time")

// Readiness knows what a program waits for. All methods are safe for
// concurrent use.
type Readiness struct {
	logger *slog.Logger

	mu       sync.Mutex
	checks   []*check
	stopping bool
}

// NewReadiness returns a Readiness without checks, which is ready. It logs when
// a check begins or ceases to fail.
func NewReadiness(logger *slog.Logger) *Readiness {
	if logger == nil {
		logger = slog.Default()
	}
	return &Readiness{logger: logger}
}

// Check adds a condition. fn is called for every question, at most once at a
// time; its error is logged and not shown to whoever asks.
func (r *Readiness) Check(name string, fn func(ctx context.Context) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks = append(r.checks, &check{name: name, fn: fn, ok: true})
}

// Gate adds a condition that fails until open is called.
func (r *Readiness) Gate(name string) (open func()) {
	var once sync.Once
	opened := make(chan struct{})
	r.Check(name, func(context.Context) error {
		select {
		case <-opened:
			return nil
		default:
			return errors.New("not yet")
		}
	})
	return func() { once.Do(func() { close(opened) }) }
}

// Stop makes the program unready for good.
func (r *Readiness) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = true
}

// Waiting names the conditions that fail, in the order they were added, and
// "shutdown" once Stop was called. Empty means ready.
func (r *Readiness) Waiting(ctx context.Context) []string {
	r.mu.Lock()
	checks, stopping := r.checks, r.stopping
	r.mu.Unlock()
	if stopping {
		return []string{"shutdown"}
	}
	attempts := make([]*attempt, len(checks))
	for i, c := range checks {
		attempts[i] = c.begin(ctx)
	}
	patience, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()

	var waiting []string
	for i, a := range attempts {
		var err error
		select {
		case <-a.done:
			err = a.err
		case <-patience.Done():
			err = errHangs
		}
		if ctx.Err() == nil {
			checks[i].note(ctx, r.logger, err)
		}
		if err != nil {
			waiting = append(waiting, checks[i].name)
		}
	}
	return waiting
}

// ReadyHandler answers 200 if the program is ready, else 503, with
// {"ready":false,"waiting_for":["bus"]}.
func (r *Readiness) ReadyHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		waiting := r.Waiting(req.Context())
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if len(waiting) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(struct {
			Ready      bool     `json:"ready"`
			WaitingFor []string `json:"waiting_for,omitempty"`
		}{len(waiting) == 0, waiting})
	})
}

// HealthHandler answers 200 as long as the process can answer at all. A failed
// component ends the process, so there is nothing more to ask.
func (r *Readiness) HealthHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, "ok\n")
	})
}

type check struct {
	name string
	fn   func(context.Context) error

	mu      sync.Mutex
	current *attempt
	ok      bool
}

type attempt struct {
	done chan struct{}
	err  error
}

// begin starts an attempt or joins the one under way.
func (c *check) begin(ctx context.Context) *attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		return c.current
	}
	a := &attempt{done: make(chan struct{})}
	c.current = a
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
		defer cancel()
		a.err = guard(ctx, c.fn)
		c.mu.Lock()
		c.current = nil
		c.mu.Unlock()
		close(a.done)
	}()
	return a
}

func (c *check) note(ctx context.Context, logger *slog.Logger, err error) {
	c.mu.Lock()
	changed := c.ok != (err == nil)
	c.ok = err == nil
	c.mu.Unlock()
	switch {
	case !changed:
	case err != nil:
		logger.WarnContext(ctx, "waiting", "for", c.name, "error", err)
	default:
		logger.InfoContext(ctx, "no longer waiting", "for", c.name)
	}
}
