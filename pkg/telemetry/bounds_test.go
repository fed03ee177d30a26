package telemetry_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"quittance/pkg/telemetry"
)

// Anybody may send any Host header: it makes no time series.
func TestServerNamesAreNoLabels(t *testing.T) {
	quiet(t)
	tel := setup(t, telemetry.Config{Output: io.Discard})
	duration, err := tel.Meter.Meter("test").Float64Histogram("http.server.request.duration", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.005, 10))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4000 {
		duration.Record(t.Context(), 1, metric.WithAttributes(attribute.String("http.route", "/pay"),
			attribute.String("server.address", fmt.Sprint("host-", i)), attribute.Int("server.port", i)))
	}
	rec := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body := rec.Body.String()
	if n := strings.Count(body, "http_server_request_duration_seconds_count{"); n != 1 || strings.Contains(body, "host-") {
		t.Errorf("%d time series", n)
	}
	for _, want := range []string{`http_route="/pay"`, `le="0.005"`, `le="10"`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLogLinesAreBounded(t *testing.T) {
	quiet(t)
	var out bytes.Buffer
	tel := setup(t, telemetry.Config{Output: &out})
	long := strings.Repeat("ä\n", 1<<20)
	tel.Logger.With("with", long).Info("too much", "order", long, "error", errors.New(long), "count", 7)
	if n := out.Len(); n > 32<<10 || !strings.Contains(out.String(), `"count":7`) {
		t.Errorf("line of %d bytes", n)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
