package bench

import (
	"testing"

	"github.com/google/pprof/profile"

	"quittance/pkg/app"
)

// A sample is of the component whose label it has, unless what runs there shows
// that it is another's.
func TestHopOf(t *testing.T) {
	const nats = "github.com/nats-io/nats-server/v2/server.(*stream).internalLoop"
	for _, x := range []struct {
		component string
		stack     []string
		want      string
	}{
		{"order", []string{"encoding/json.Unmarshal", "quittance/services/order.New"}, "order"},
		{"", []string{"runtime.futex", nats}, "NATS server"},
		{"NATS client", []string{"github.com/nats-io/nats-server/v2/server.(*client).readLoop"}, "NATS server"},
		{"", []string{"runtime.scanobject", "runtime.gcBgMarkWorker.func2"}, "garbage collector"},
		{"", []string{"runtime.bgsweep"}, "garbage collector"},
		{"", []string{"runtime.findRunnable"}, "the rest of the runtime"},
	} {
		s := &profile.Sample{}
		if x.component != "" {
			s.Label = map[string][]string{app.ComponentLabel: {x.component}}
		} else {
			s.Label = map[string][]string{"stream": {"EVENTS"}}
		}
		for _, f := range x.stack {
			s.Location = append(s.Location, &profile.Location{Line: []profile.Line{{Function: &profile.Function{Name: f}}}})
		}
		if got := hopOf(s); got != x.want {
			t.Errorf("%q in %v: %q", x.component, x.stack, got)
		}
	}
}
