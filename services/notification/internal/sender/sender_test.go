package sender_test

// Real: the sender, its transport, HTTP over loopback. Doubled: receivers,
// named for how they misbehave. Asserted: what they got, what came of the try,
// what is logged.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/egress"
	"quittance/pkg/seal"
	"quittance/pkg/webhook"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/payload"
	"quittance/services/notification/internal/queue"
	"quittance/services/notification/internal/sender"
)

const timeout = 300 * time.Millisecond

type world struct {
	*sender.Sender
	secret string
	ep     *endpoint.Endpoint
	event  queue.Event
	log    bytes.Buffer
}

func newWorld(t *testing.T, allow ...string) *world {
	t.Helper()
	keys, err := seal.ParseKeyring(seal.Generate())
	if err != nil {
		t.Fatal(err)
	}
	policy, err := egress.NewPolicy(allow)
	if err != nil {
		t.Fatal(err)
	}
	transport := policy.Transport(nil)
	t.Cleanup(transport.CloseIdleConnections)
	w := &world{secret: webhook.NewSecret()}
	w.Sender = sender.New(sender.Options{
		Transport: transport, Keyring: keys, Timeout: timeout, PerEndpoint: 4,
		Log: slog.New(slog.NewJSONHandler(&w.log, nil)), Now: time.Now,
	})
	sealed, err := keys.Seal([]byte(w.secret), endpoint.DocID("acme", "main"))
	if err != nil {
		t.Fatal(err)
	}
	w.ep = &endpoint.Endpoint{Merchant: "acme", ID: "main", Secret: sealed}
	w.event, err = payload.FromHistory(&orderv1.PublicEvent{
		Id: "evt_1", Type: "order.created", OrderId: "ord_1", Sequence: 1, Order: &orderv1.Order{Id: "ord_1", MerchantId: "acme"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// try sends the event to a receiver.
func (w *world) try(t *testing.T, receiver http.HandlerFunc) (queue.Result, bool) {
	t.Helper()
	server := httptest.NewServer(receiver)
	defer server.Close()
	w.ep.URL = server.URL + "/in?token=hush"
	o := w.Try(t.Context(), w.ep, "ord_1", w.event, false)
	if o.Busy {
		t.Fatal("the endpoint is said to be busy")
	}
	return o.Result, o.Gone
}

// wait reads the request, without which the end of the connection goes unseen,
// and waits for that.
func wait(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestRequest(t *testing.T) {
	w := newWorld(t, "127.0.0.0/8")
	var bodies []string
	receiver := func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies = append(bodies, string(body))
		if err := webhook.Verify([]string{w.secret}, r.Header, body, time.Now()); err != nil {
			t.Error(err)
		}
		for name, want := range map[string]string{
			"webhook-id": "evt_1", "content-type": "application/json", "user-agent": "Quittance-Webhooks/1.0", "idempotency-key": "",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if r.Method != http.MethodPost || r.URL.RequestURI() != "/in?token=hush" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		rw.WriteHeader(http.StatusNoContent)
	}
	for try := range 2 {
		w.event.Tries = try
		r, gone := w.try(t, receiver)
		if !r.OK || gone || r.Text != "204 No Content" || r.Try != try+1 || r.Sequence != 1 {
			t.Errorf("result %+v", r)
		}
	}
	if len(bodies) != 2 || bodies[0] != bodies[1] {
		t.Errorf("bodies %q", bodies)
	}
}

func TestReceiversThatMisbehave(t *testing.T) {
	elsewhere := atomic.Int64{}
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for name, tc := range map[string]struct {
		receiver   http.HandlerFunc
		text       string
		gone       bool
		retryAfter time.Duration
	}{
		"failing": {receiver: status(500), text: "500 Internal Server Error"},
		"odd":     {receiver: status(799), text: "799"},
		"explaining": {receiver: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no such\nshop", http.StatusNotFound)
		}, text: "404 Not Found: no such\nshop\n"},
		"redirecting": {receiver: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}, text: "307 Temporary Redirect"},
		"gone": {receiver: status(http.StatusGone), text: "410 Gone", gone: true},
		"asking for time": {receiver: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusTooManyRequests)
		}, text: "429 Too Many Requests", retryAfter: 2 * time.Minute},
		"asking for time until a date": {receiver: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", time.Now().Add(2*time.Minute+500*time.Millisecond).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		}, text: "503 Service Unavailable", retryAfter: 2 * time.Minute},
		"asking for nonsense": {receiver: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "-1e9")
			w.WriteHeader(http.StatusServiceUnavailable)
		}, text: "503 Service Unavailable"},
		"closing": {receiver: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.Close()
		}, text: "EOF"},
		"silent": {receiver: func(_ http.ResponseWriter, r *http.Request) {
			wait(r)
		}, text: "no answer within 300ms"},
		"babbling": {receiver: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 1<<20))
		}, text: "200 OK"},
		"dripping": {receiver: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "ok")
			_ = http.NewResponseController(w).Flush()
			wait(r)
		}, text: "200 OK"},
		"speaking something else": {receiver: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "220 mail.example ESMTP\r\n")
			_ = conn.Close()
		}, text: "malformed HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "127.0.0.0/8")
			r, gone := w.try(t, tc.receiver)
			if !strings.Contains(r.Text, tc.text) || len(r.Text) > 8<<10 || gone != tc.gone || r.OK != strings.HasPrefix(tc.text, "2") {
				t.Errorf("result %.100q gone %t ok %t", r.Text, gone, r.OK)
			}
			if d := r.RetryAfter - tc.retryAfter; d < -2*time.Second || d > 2*time.Second {
				t.Errorf("retry after %v, want about %v", r.RetryAfter, tc.retryAfter)
			}
			w.checkLog(t)
		})
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// checkLog: one line per try, without secrets, signatures, bodies or the URL (P10).
func (w *world) checkLog(t *testing.T) {
	t.Helper()
	line := w.log.String()
	if strings.Count(line, "\n") != 1 {
		t.Errorf("log %q, want one line", line)
	}
	for _, want := range []string{`"endpoint":"main"`, `"event":"evt_1"`, `"type":"order.created"`, `"order":"ord_1"`, `"try":1`, `"status":`, `"took":`} {
		if !strings.Contains(line, want) {
			t.Errorf("%s is not in the log %s", want, line)
		}
	}
	for _, secret := range []string{w.secret, strings.TrimPrefix(w.secret, "whsec_"), "whsec_", "hush", "v1,", "127.0.0.1", "no such"} {
		if strings.Contains(line, secret) {
			t.Errorf("%s is in the log %s", secret, line)
		}
	}
}

func TestReceiversThatAreNotThere(t *testing.T) {
	closed := httptest.NewServer(status(200))
	closed.Close()
	for name, tc := range map[string]struct{ url, text string }{
		"nobody listens": {closed.URL + "/?token=hush", "connection refused"},
		"no such host":   {"https://receiver.invalid/?token=hush", "receiver.invalid"},
		"not public":     {"https://10.0.0.1/?token=hush", "the address is not a public one"},
		"no TLS":         {strings.Replace(closed.URL, "http:", "https:", 1), "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "127.0.0.0/8")
			w.ep.URL = tc.url
			r := w.Try(t.Context(), w.ep, "ord_1", w.event, false)
			// Without a resolver the lookup fails in other words, or takes too long.
			if r.Busy || r.OK || !strings.Contains(r.Text, tc.text) && name != "no such host" || strings.Contains(r.Text, "hush") || strings.Contains(r.Text, "10.0.0.1") {
				t.Errorf("result %+v", r)
			}
		})
	}
	t.Run("plain http outside the opt-in", func(t *testing.T) {
		w := newWorld(t)
		r, _ := w.try(t, status(200))
		if r.OK || r.Text != "the address is not a public one" {
			t.Errorf("result %+v", r)
		}
	})
}

func TestSecretThatDoesNotOpen(t *testing.T) {
	w := newWorld(t, "127.0.0.0/8")
	w.ep.Secret = "s1.other.AAAA"
	if r, _ := w.try(t, status(200)); r.OK || !strings.Contains(r.Text, "secret") || strings.Contains(r.Text, "AAAA") {
		t.Errorf("result %+v", r)
	}
}

// TestHangingEndpointGetsFewerPlaces: tries that hang leave an endpoint with
// one place; other endpoints, and the same one once it answers, have theirs.
func TestHangingEndpointGetsFewerPlaces(t *testing.T) {
	w := newWorld(t, "127.0.0.0/8")
	hang := atomic.Bool{}
	hang.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if hang.Load() {
			wait(r)
		}
	}))
	defer server.Close()
	w.ep.URL = server.URL
	w.Sender = w.quiet(t)

	if got := w.atOnce(t.Context(), 10); got != 4 {
		t.Fatalf("%d tries at once, want 4", got)
	}
	if got := w.atOnce(t.Context(), 10); got != 1 {
		t.Fatalf("%d tries at once after all have hung, want 1", got)
	}
	hang.Store(false)
	for range 4 {
		if o := w.Try(t.Context(), w.ep, "ord_1", w.event, false); !o.OK {
			t.Fatalf("outcome %+v", o)
		}
	}
	hang.Store(true)
	if got := w.atOnce(t.Context(), 10); got != 4 {
		t.Fatalf("%d tries at once when it was well again, want 4", got)
	}
}

// quiet is the world's sender with a log that many may write to.
func (w *world) quiet(t *testing.T) *sender.Sender {
	t.Helper()
	policy, err := egress.NewPolicy([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.ParseKeyring(seal.Generate())
	if err != nil {
		t.Fatal(err)
	}
	if w.ep.Secret, err = keys.Seal([]byte(w.secret), endpoint.DocID("acme", "main")); err != nil {
		t.Fatal(err)
	}
	transport := policy.Transport(nil)
	t.Cleanup(transport.CloseIdleConnections)
	return sender.New(sender.Options{
		Transport: transport, Keyring: keys, Timeout: timeout, PerEndpoint: 4, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
}

// atOnce starts n tries and returns how many were let through.
func (w *world) atOnce(ctx context.Context, n int) int64 {
	var through atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		e := w.event
		e.ID = fmt.Sprintf("evt_%d", i)
		wg.Go(func() {
			if o := w.Try(ctx, w.ep, "ord_1", e, false); !o.Busy {
				through.Add(1)
			}
		})
	}
	wg.Wait()
	return through.Load()
}
