package bus_test

import (
	"testing"

	"quittance/pkg/bus"
	"quittance/pkg/bus/bustest"
	"quittance/pkg/testkit"
)

// Real: NATS server and client, with files. Doubled: nothing. Asserted: what
// services see, and the server's own count of what is left.

func connect(t *testing.T, cfg bus.Config) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func TestConformance(t *testing.T) {
	bustest.Run(t, func(t *testing.T, o bus.Options) func() bus.PublishConsumer {
		server := testkit.NATS(t)
		return func() bus.PublishConsumer {
			b := connect(t, bus.Config{InProcess: server, Options: o})
			if err := b.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			return b
		}
	})
}
