package bus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"quittance/pkg/bus"
	"quittance/pkg/bus/bustest"
	"quittance/pkg/event"
)

type parker func(event.Event, error) error

func (p parker) Park(_ context.Context, e event.Event, cause error) error { return p(e, cause) }

func TestOutcomes(t *testing.T) {
	parks := parker(func(event.Event, error) error { return nil })
	fails := parker(func(event.Event, error) error { return errors.New("no store") })
	panics := parker(func(event.Event, error) error { panic("no store") })
	for name, tc := range map[string]struct {
		typ    string
		handle func(context.Context) error
		parker bus.Parker
		want   bus.Verdict
	}{
		"done":                  {bustest.One, func(context.Context) error { return nil }, fails, bus.Done},
		"infrastructure":        {bustest.One, func(context.Context) error { return errors.New("x") }, parks, bus.Retry},
		"permanent":             {bustest.One, func(context.Context) error { return bus.Permanent(errors.New("x")) }, parks, bus.Parked},
		"permanent within":      {bustest.One, func(context.Context) error { return errors.Join(bus.Permanent(errors.New("x"))) }, parks, bus.Parked},
		"permanent, no parking": {bustest.One, func(context.Context) error { return bus.Permanent(errors.New("x")) }, fails, bus.Retry},
		"panic":                 {bustest.One, func(context.Context) error { panic("x") }, parks, bus.Retry},
		"panic in parking":      {bustest.One, func(context.Context) error { return bus.Permanent(errors.New("x")) }, panics, bus.Retry},
		"unknown type":          {"test.other", nil, parks, bus.Parked},
		"hanging":               {bustest.One, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, parks, bus.Retry},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handlers := map[string]bus.Handler{bustest.One: func(ctx context.Context, _ event.Event) error { return tc.handle(ctx) }}
				d, err := bus.NewDispatcher(bustest.Beta, handlers, tc.parker, bustest.Options())
				if err != nil {
					t.Fatal(err)
				}
				out := d.Handle(t.Context(), bustest.Event(tc.typ, "e1", "a"), 1)
				if out.Verdict != tc.want || (out.Err == nil) != (tc.want == bus.Done) || (out.Pause > 0) != (tc.want == bus.Retry) {
					t.Errorf("outcome %+v, want %s", out, tc.want)
				}
			})
		})
	}
}

func TestPausesGrowAndEnd(t *testing.T) {
	handlers := map[string]bus.Handler{bustest.One: func(context.Context, event.Event) error { return errors.New("x") }}
	d, err := bus.NewDispatcher(bustest.Beta, handlers, &bustest.Service{}, bustest.Options())
	if err != nil {
		t.Fatal(err)
	}
	for delivery, want := range map[int]time.Duration{1: 250 * time.Millisecond, 3: time.Second, 7: 15 * time.Second, 1 << 20: 15 * time.Second} {
		out := d.Handle(t.Context(), bustest.Event(bustest.One, "e1", "a"), delivery)
		if out.Pause < want*4/5 || out.Pause > want*6/5 {
			t.Errorf("delivery %d: pause %s, want about %s", delivery, out.Pause, want)
		}
	}
}

func TestObservation(t *testing.T) {
	var log bytes.Buffer
	reader := sdkmetric.NewManualReader()
	o := bustest.Options()
	o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	var result error
	handlers := map[string]bus.Handler{bustest.One: func(context.Context, event.Event) error { return result }}
	d, err := bus.NewDispatcher(bustest.Beta, handlers, &bustest.Service{}, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, result = range []error{nil, errors.New("no store"), bus.Permanent(errors.New("nonsense"))} {
		d.Handle(t.Context(), bustest.Event(bustest.One, "e1", "ord_1"), 2)
	}

	lines := json.NewDecoder(&log)
	for _, want := range []map[string]any{
		{"level": "DEBUG", "outcome": "done", "error": nil},
		{"level": "ERROR", "outcome": "retry", "error": "no store"},
		{"level": "ERROR", "outcome": "parked", "error": "nonsense"},
	} {
		want["type"], want["id"], want["key"], want["consumer"], want["deliveries"] = bustest.One, "e1", "ord_1", bustest.Beta, 2.0
		got := map[string]any{}
		if err := lines.Decode(&got); err != nil {
			t.Fatal(err)
		}
		for key, v := range want {
			if got[key] != v {
				t.Errorf("log line has %s=%v, want %v", key, got[key], v)
			}
		}
	}
	if lines.More() {
		t.Error("more than one line per event")
	}

	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &metrics); err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int64{}
	for _, m := range metrics.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				typ, _ := p.Attributes.Value("quittance.event.type")
				outcome, _ := p.Attributes.Value("quittance.outcome")
				outcomes[m.Name+" "+typ.AsString()+" "+outcome.AsString()] += p.Value
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				outcomes[m.Name] += int64(p.Count)
			}
		}
	}
	for key, want := range map[string]int64{
		"messaging.client.consumed.messages test.one done":   1,
		"messaging.client.consumed.messages test.one retry":  1,
		"messaging.client.consumed.messages test.one parked": 1,
		"messaging.process.duration":                         3,
	} {
		if outcomes[key] != want {
			t.Errorf("%s is %d, want %d, of %v", key, outcomes[key], want, outcomes)
		}
	}
}
