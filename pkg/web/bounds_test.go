package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"quittance/pkg/telemetry"
	"quittance/pkg/web"
)

// Whatever a client sends: the metrics don't grow with it and the spans stay
// small.
func TestClientsCannotGrowMetricsAndSpans(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	spans := tracetest.NewSpanRecorder()
	tel, err := telemetry.Setup(t.Context(), "order", telemetry.Config{Output: io.Discard, SpanProcessors: []sdktrace.SpanProcessor{spans}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	var host string
	mux.HandleFunc("GET /pay/{token}", func(_ http.ResponseWriter, r *http.Request) { host = r.Host + r.Header.Get("X-Other") })
	server, err := web.NewServer(web.Options{Handler: mux, Logger: silent, Tracer: tel.Tracer, Meter: tel.Meter})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("evil", 5000)
	for i := range 500 {
		method := "GET"
		if i%2 == 1 {
			method = fmt.Sprint("EVIL", i)
		}
		r := httptest.NewRequest(method, fmt.Sprintf("/pay/evil%d?evil=%d", i, i), nil)
		r.Host = fmt.Sprintf("evil%d.example.org:%d", i, 1000+i)
		for _, name := range []string{"User-Agent", "X-Forwarded-For", "Forwarded", "Tracestate", "X-Other", "X-Forwarded-Host"} {
			r.Header.Set(name, fmt.Sprint(long, i))
		}
		r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		server.Handler().ServeHTTP(httptest.NewRecorder(), r)
	}
	if want := "evil498.example.org:1498" + long + "498"; host != want {
		t.Errorf("the handler sees another request: %.100s", host)
	}
	rec := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body := rec.Body.String()
	if n := strings.Count(body, "http_server_request_duration_seconds_count{"); n < 1 || n > 2 || strings.Contains(strings.ToLower(body), "evil") {
		t.Errorf("%d time series", n)
	}
	for _, span := range spans.Ended() {
		size := len(span.Name()) + len(span.Status().Description)
		for _, kv := range span.Attributes() {
			size += len(kv.Key) + len(kv.Value.String())
			if text := kv.Value.String(); strings.Contains(text, "evil") && kv.Key != "user_agent.original" {
				t.Fatalf("%s = %.100s", kv.Key, text)
			}
			if kv.Key == "client.address" && kv.Value.AsString() != "192.0.2.1" {
				t.Fatalf("client is %s", kv.Value.AsString())
			}
		}
		for _, link := range span.Links() {
			size += len(link.SpanContext.TraceState().String())
		}
		if size > 1000 {
			t.Fatalf("span of %d bytes: %v", size, span.Attributes())
		}
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// A status that a partner's protocol prescribes is no error of ours.
func TestExpectedOutcomesAreNoErrorsInTheLog(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /refused", func(w http.ResponseWriter, r *http.Request) {
		web.Expected(r.Context())
		w.WriteHeader(http.StatusInternalServerError)
	})
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	s := start(t, web.Options{Handler: mux})
	for _, path := range []string{"/refused", "/broken"} {
		if a := s.do(t, "GET", path, ""); a.status != http.StatusInternalServerError {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	s.logged(t, "level=INFO", "/refused", "status=500")
	s.logged(t, "level=ERROR", "/broken", "status=500")
	web.Expected(t.Context()) // outside a request it does nothing
}
