package bench

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"quittance/pkg/web"
	"quittance/services/sandbox"
)

type sandboxAnswer struct{ URL, SMTP string }

// sandboxRole is the provider and the mail server.
func sandboxRole() (map[string]command, func() error) {
	stop := func() error { return nil }
	return map[string]command{
		"start": with(func(ctx context.Context, dir string) (any, error) {
			s, err := sandbox.New(sandbox.Config{DataDir: dir, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				return nil, err
			}
			ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			stop = func() error {
				cancel()
				return <-ended
			}
			return sandboxAnswer{s.URL(), s.SMTPAddr()}, nil
		}),
	}, func() error { return stop() }
}

type (
	// manners of a receiver of webhooks: how long its answers take (P50 and P95 of
	// a log-normal; 0: no time) and the share of first requests that it refuses.
	manners struct {
		P50, P95 time.Duration
		Refuse   float64
	}
	// received is what came since the last look: First from an event to its first
	// request, Done to the request that was answered 2xx.
	received struct {
		Requests    int
		First, Done []time.Duration
	}
)

// receiver takes webhooks and notes when.
type receiver struct {
	mu   sync.Mutex
	is   manners
	seen map[string]bool
	got  received
	done int // over all looks
}

func receiverRole() (map[string]command, func() error) {
	r := &receiver{seen: map[string]bool{}}
	stop := func() error { return nil }
	return map[string]command{
		"start": func(ctx context.Context, _ json.RawMessage) (any, error) {
			mux := http.NewServeMux()
			mux.Handle("POST /", r)
			server, err := web.NewServer(web.Options{Handler: mux, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				return nil, err
			}
			addr, end, err := serving(ctx, server.Serve)
			if err != nil {
				return nil, err
			}
			stop = end
			return "http://" + addr, nil
		},
		"be": with(func(_ context.Context, m manners) (any, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.is = m
			return true, nil
		}),
		"count": func(context.Context, json.RawMessage) (any, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.done, nil
		},
		"take": func(context.Context, json.RawMessage) (any, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			got := r.got
			r.got = received{}
			return got, nil
		},
	}, func() error { return stop() }
}

// ServeHTTP takes one webhook.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	raw, err := io.ReadAll(req.Body)
	var body struct {
		Timestamp time.Time `json:"timestamp"`
	}
	if err = errors.Join(err, json.Unmarshal(raw, &body)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	late := time.Since(body.Timestamp)
	id := req.Header.Get("webhook-id")
	r.mu.Lock()
	is, again := r.is, r.seen[id]
	r.seen[id] = true
	r.got.Requests++
	if !again {
		r.got.First = append(r.got.First, late)
	}
	r.mu.Unlock()
	if pause(req.Context(), is.takes()) != nil {
		return // nobody waits for the answer any more
	}
	if !again && rand.Float64() < is.Refuse {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	r.mu.Lock()
	r.got.Done = append(r.got.Done, late)
	r.done++
	r.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// takes is how long one answer takes.
func (m manners) takes() time.Duration {
	if m.P50 == 0 {
		return 0
	}
	const z95 = 1.645 // the standard normal's 95th percentile
	sigma := math.Log(m.P95.Seconds()/m.P50.Seconds()) / z95
	return time.Duration(float64(m.P50) * math.Exp(sigma*rand.NormFloat64()))
}

// pause waits; the error is that of ctx.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// until asks again and again until check gives no error, for as long as within.
func until(ctx context.Context, within time.Duration, check func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}
