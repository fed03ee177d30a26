package attempts_test

import (
	"io"
	"log/slog"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	busmemory "quittance/pkg/bus/memory"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/id"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	"quittance/services/payment-redirect/internal/attempts"
)

// TestIDsSurviveKeyRotation: a repeat of a request finds its attempt after
// the keys were rotated, and with foreign keys nobody finds it.
func TestIDsSurviveKeyRotation(t *testing.T) {
	open := func(spec string) *attempts.Attempts {
		keys, err := seal.ParseKeyring(spec)
		if err != nil {
			t.Fatal(err)
		}
		base, err := service.New(t.Context(), "payment", service.Deps{
			Engine: memory.New(), Bus: busmemory.New(busmemory.Config{}), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Keyring: keys, Now: time.Now, Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
		})
		if err != nil {
			t.Fatal(err)
		}
		as, err := attempts.Open(t.Context(), base)
		if err != nil {
			t.Fatal(err)
		}
		return as
	}
	const (
		fingerprints = "fp:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
		first        = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
		second       = "k2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
	)
	before := open(first+","+fingerprints).ID("acme", "k")
	if !id.Valid("pay", before) {
		t.Errorf("id %q", before)
	}
	if after := open(second+","+first+","+fingerprints).ID("acme", "k"); after != before {
		t.Errorf("id %s became %s", before, after)
	}
	if foreign := open(seal.Generate()).ID("acme", "k"); foreign == before || foreign == id.Derived("pay", "acme", "k") {
		t.Error("foreign keys give the same id")
	}
	if open(first+","+fingerprints).ID("acm", "ek") == before {
		t.Error("parts can be cut another way")
	}
}
