package web_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"quittance/pkg/app"
	"quittance/pkg/fault"
	"quittance/pkg/web"
)

func failing(err error) http.Handler {
	return web.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return err })
}

func TestErrorsAsJSONAndHTML(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /invalid", failing(fault.Invalid("quantity", "must be <= 10000")))
	mux.Handle("GET /down", failing(fault.Unavailable("the shop is closed")))
	mux.Handle("GET /broken", failing(errors.New("pq: password is hunter2")))
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("hunter2") })
	mux.HandleFunc("POST /only", func(http.ResponseWriter, *http.Request) {})
	s := start(t, web.Options{Handler: mux, Stylesheet: "/static/pay.css"})
	tests := []struct {
		path   string
		status int
		json   string
		html   string
	}{
		{"/invalid", 400, `"fields":[{"path":"quantity","message":"must be \u003c= 10000"}]`, "<strong>quantity</strong>: must be &lt;= 10000"},
		{"/down", 503, `"message":"the shop is closed"`, "the shop is closed"},
		{"/broken", 500, `"kind":"internal","message":"internal error"`, "Something went wrong"},
		{"/panic", 500, `"kind":"internal","message":"internal error"`, "Something went wrong"},
		{"/nothing", 404, `"kind":"not_found","message":"page not found"`, "Not found"},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			a := s.do(t, "GET", tt.path, "")
			if a.status != tt.status || !strings.Contains(a.body, tt.json) || !json.Valid([]byte(a.body)) {
				t.Errorf("%d %s", a.status, a.body)
			}
			h := s.do(t, "GET", tt.path, "", "Accept", "text/html,*/*")
			if h.status != tt.status || !strings.Contains(h.body, tt.html) || !strings.Contains(h.body, `href="/static/pay.css"`) {
				t.Errorf("%d %s", h.status, h.body)
			}
			if id := h.header.Get("X-Request-Id"); !strings.Contains(h.body, id) || s.logged(t, id, "error=") == "" {
				t.Errorf("no request id")
			}
			if strings.Contains(a.body+h.body, "hunter2") {
				t.Error("P10: the caller sees our insides")
			}
		})
	}
	if a := s.do(t, "GET", "/only", ""); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST" {
		t.Errorf("%d %v", a.status, a.header)
	}
	s.logged(t, `route="GET /broken"`, "hunter2", "level=ERROR")
	s.logged(t, `route="GET /panic"`, "hunter2", "server_test.go")
}

func TestLimits(t *testing.T) {
	read := web.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, strings.Repeat("y", len(b)))
		return err
	})
	mux := http.NewServeMux()
	mux.Handle("POST /default", read)
	mux.Handle("POST /small", web.LimitBody(10)(read))
	mux.Handle("POST /large", web.LimitBody(3000)(read))
	s := start(t, web.Options{Handler: mux, MaxBodyBytes: 1000, MaxHeaderBytes: 4 << 10})
	for _, tt := range []struct {
		path   string
		n      int
		status int
	}{
		{"/default", 1000, 200}, {"/default", 1001, 413},
		{"/small", 10, 200}, {"/small", 11, 413},
		{"/large", 3000, 200}, {"/large", 3001, 413},
	} {
		a := s.do(t, "POST", tt.path, strings.Repeat("x", tt.n))
		if a.status != tt.status || (a.status == 200 && len(a.body) != tt.n) {
			t.Errorf("%s %d: %d %s", tt.path, tt.n, a.status, a.body)
		}
		// The same without an announced length.
		r, _ := http.NewRequestWithContext(t.Context(), "POST", s.url+tt.path, io.MultiReader(strings.NewReader(strings.Repeat("x", tt.n))))
		resp, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s %d chunked: %d", tt.path, tt.n, resp.StatusCode)
		}
	}
	if a := s.do(t, "POST", "/default", "", "X-Long", strings.Repeat("x", 16<<10)); a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("long header: %d", a.status)
	}
}

// P10: neither log nor trace shows tokens of paths or queries.
func TestLogAndTraceShowTheRouteOnly(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	mux := http.NewServeMux()
	var got string
	mux.HandleFunc("POST /orders/{token}", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got = r.PathValue("token") + r.Form.Get("sig") + r.Form.Get("field")
		web.Annotate(r.Context(), slog.String("order", "ord_1"))
		_, _ = io.WriteString(w, "hello")
	})
	s := start(t, web.Options{Handler: mux, Tracer: tracer})
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	a := s.do(t, "POST", "/orders/tok3n?sig=s1gnature", "field=f1eld", "Content-Type", "application/x-www-form-urlencoded", "Traceparent", parent)
	if a.status != 200 || got != "tok3ns1gnaturef1eld" {
		t.Fatalf("%d, handler saw %q", a.status, got)
	}
	line := s.logged(t, "msg=http")
	for _, want := range []string{"method=POST", `route="POST /orders/{token}"`, "status=200", "bytes=5", "client=127.0.0.1", "order=ord_1", "request_id=" + a.header.Get("X-Request-Id")} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	s.stop()
	ended := awaitSpan(t, spans)
	if ended.Name() != "POST /orders/{token}" || ended.SpanKind() != trace.SpanKindServer {
		t.Errorf("span = %s", ended.Name())
	}
	var attrs strings.Builder
	for _, kv := range ended.Attributes() {
		attrs.WriteString(string(kv.Key) + "=" + kv.Value.String() + "\n")
	}
	for _, secret := range []string{"tok3n", "s1gnature", "f1eld"} {
		if strings.Contains(s.log.String()+attrs.String(), secret) {
			t.Errorf("%s in log or trace:\n%s%s", secret, s.log.String(), attrs.String())
		}
	}
	// A stranger's trace is linked, not continued.
	if ended.Parent().IsValid() || len(ended.Links()) != 1 || ended.Links()[0].SpanContext.TraceID().String() != parent[3:35] {
		t.Errorf("parent %v, links %v", ended.Parent(), ended.Links())
	}
}

func awaitSpan(t *testing.T, spans *tracetest.SpanRecorder) sdktrace.ReadOnlySpan {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		if ended := spans.Ended(); len(ended) > 0 {
			return ended[0]
		}
		<-tick.C
	}
	t.Fatal("no span")
	return nil
}

func TestHealthIsQuiet(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	mux := http.NewServeMux()
	ready := app.NewReadiness(slog.New(slog.DiscardHandler))
	ready.Gate("bus")
	web.Health(mux, ready, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1") }))
	s := start(t, web.Options{Handler: mux, Tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))})
	for path, want := range map[string]answer{
		"/healthz": {status: 200, body: "ok"}, "/readyz": {status: 503, body: `"waiting_for":["bus"]`}, "/metrics": {status: 200, body: "up 1"},
	} {
		if a := s.do(t, "GET", path, ""); a.status != want.status || !strings.Contains(a.body, want.body) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	s.logged(t, "level=DEBUG", "/readyz")
	if n := len(spans.Started()); n != 0 {
		t.Errorf("%d spans", n)
	}
}

func TestLivePageOutlivesTimeoutsAndEndsWithTheServer(t *testing.T) {
	mux := http.NewServeMux()
	next, late := make(chan struct{}), make(chan struct{})
	mux.Handle("GET /live", web.Live(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			select {
			case <-r.Context().Done():
				_, _ = io.WriteString(w, "bye\n")
				return
			case <-next:
				_, _ = io.WriteString(w, "tick\n")
				w.(http.Flusher).Flush()
			}
		}
	})))
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) { <-late; _, _ = io.WriteString(w, "late") })
	s := start(t, web.Options{Handler: mux, WriteTimeout: 20 * time.Millisecond, ReadTimeout: 20 * time.Millisecond})
	r, _ := http.NewRequestWithContext(t.Context(), "GET", s.url+"/live", nil)
	go func() { next <- struct{}{} }()
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewReader(resp.Body)
	for range 5 {
		if line, err := lines.ReadString('\n'); line != "tick\n" {
			t.Fatalf("%q, %v", line, err)
		}
		<-time.NewTimer(15 * time.Millisecond).C
		go func() { next <- struct{}{} }()
	}
	if line, err := lines.ReadString('\n'); line != "tick\n" {
		t.Fatalf("%q, %v", line, err)
	}

	go func() { <-time.NewTimer(60 * time.Millisecond).C; close(late) }()
	slow, _ := http.NewRequestWithContext(t.Context(), "GET", s.url+"/slow", nil)
	if resp, err := s.client.Do(slow); err == nil {
		_ = resp.Body.Close()
		t.Error("the write timeout does not hold elsewhere")
	}
	s.stop()
	if rest, err := io.ReadAll(lines); string(rest) != "bye\n" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}
