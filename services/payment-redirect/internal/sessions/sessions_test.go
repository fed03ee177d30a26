package sessions_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	busmemory "quittance/pkg/bus/memory"
	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/service"
	"quittance/services/payment-redirect/internal/session"
	"quittance/services/payment-redirect/internal/sessions"
)

// TestSessionsEndAfterADay: with all that the customer wrote.
func TestSessionsEndAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, err := service.New(t.Context(), "payment", service.Deps{
			Engine: memory.New(), Bus: busmemory.New(busmemory.Config{}), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Now: time.Now, Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
		})
		if err != nil {
			t.Fatal(err)
		}
		ss, err := sessions.Open(t.Context(), base)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- base.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		id, err := ss.Start(t.Context(), &session.Session{Merchant: "acme"})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(session.Life - time.Minute)
		if _, err := ss.Get(t.Context(), id); err != nil {
			t.Errorf("before its end: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := ss.Get(t.Context(), id); !errors.Is(err, docstore.ErrNotFound) {
			t.Errorf("after its life: %v", err)
		}
	})
}
