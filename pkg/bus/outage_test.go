package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quittance/pkg/bus"
	"quittance/pkg/bus/bustest"
	"quittance/pkg/event"
	"quittance/pkg/testkit"
)

// operator is a client of the server beside the bus.
func operator(t *testing.T, server *testkit.Server) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(server), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// settled waits until a consumer has nothing left, delivered or not.
func settled(t *testing.T, js jetstream.JetStream, stream, consumer string) {
	t.Helper()
	testkit.Eventually(t, bustest.Within, func() error {
		c, err := js.Consumer(t.Context(), stream, consumer)
		if err != nil {
			return err
		}
		if info := c.CachedInfo(); info.NumPending > 0 || info.NumAckPending > 0 {
			return fmt.Errorf("%d to come, %d without acknowledgement", info.NumPending, info.NumAckPending)
		}
		return nil
	})
}

// publishEventually publishes as an outbox does: until it works.
func publishEventually(t *testing.T, b bus.Publisher, events ...event.Event) {
	t.Helper()
	testkit.Eventually(t, bustest.Within, func() error {
		n, err := b.Publish(t.Context(), events)
		events = events[n:]
		return err
	})
}

// P5: whatever happens to the server, publishing and consuming resume by
// themselves.
func TestServerOutage(t *testing.T) {
	for name, tc := range map[string]struct {
		start  func(testing.TB) *testkit.Server
		outage func(t *testing.T, s *testkit.Server, js jetstream.JetStream)
	}{
		"restarted":           {testkit.NATS, func(_ *testing.T, s *testkit.Server, _ jetstream.JetStream) { s.Stop(); s.Start() }},
		"restarted, over TCP": {testkit.ListeningNATS, func(_ *testing.T, s *testkit.Server, _ jetstream.JetStream) { s.Stop(); s.Start() }},
		"replaced by an empty one": {testkit.NATS, func(_ *testing.T, s *testkit.Server, _ jetstream.JetStream) {
			s.Stop()
			s.Wipe()
			s.Start()
		}},
		"replaced by an empty one, over TCP": {testkit.ListeningNATS, func(_ *testing.T, s *testkit.Server, _ jetstream.JetStream) {
			s.Stop()
			s.Wipe()
			s.Start()
		}},
		"stream deleted": {testkit.NATS, func(t *testing.T, _ *testkit.Server, js jetstream.JetStream) {
			if err := js.DeleteStream(t.Context(), "EVENTS"); err != nil {
				t.Error(err)
			}
		}},
		"consumer deleted": {testkit.NATS, func(t *testing.T, _ *testkit.Server, js jetstream.JetStream) {
			if err := js.DeleteConsumer(t.Context(), "EVENTS", bustest.Beta); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bustest.CheckLeaks(t)
			server := tc.start(t)
			_, js := operator(t, server)
			cfg := bus.Config{Options: bustest.Options()}
			if url := server.URL(); url != "" {
				cfg.URL = url
			} else {
				cfg.InProcess = server
			}
			b := connect(t, cfg)
			if err := b.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			inFlight, release := make(chan struct{}), make(chan struct{})
			var once sync.Once
			var mu sync.Mutex
			seen := map[string]bool{}
			bustest.Start(t, b, bustest.Beta, func(_ context.Context, e event.Event) error {
				mu.Lock()
				seen[e.ID] = true
				mu.Unlock()
				if e.ID == "flying" {
					once.Do(func() { close(inFlight) })
					<-release
				}
				return nil
			})
			want := func(ids ...string) {
				t.Helper()
				testkit.Eventually(t, bustest.Within, func() error {
					mu.Lock()
					defer mu.Unlock()
					for _, id := range ids {
						if !seen[id] {
							return fmt.Errorf("%s has not been handled; handled are %v", id, seen)
						}
					}
					return nil
				})
			}
			bustest.Publish(t, b, bustest.Event(bustest.One, "before", "a"), bustest.Event(bustest.One, "flying", "b"))
			want("before")
			<-inFlight
			tc.outage(t, server, js)
			publishEventually(t, b, bustest.Event(bustest.One, "after", "c"), bustest.Event(bustest.One, "later", "d"))
			want("after", "later")
			close(release)
			testkit.Eventually(t, bustest.Within, b.Ready)
		})
	}
}

// A late acknowledgement of an event of the old server must not hit another
// one on the new server that has the same number there.
func TestAcknowledgementsOfAnotherLife(t *testing.T) {
	bustest.CheckLeaks(t)
	server := testkit.NATS(t)
	_, js := operator(t, server)
	b := connect(t, bus.Config{InProcess: server, Options: bustest.Options()})
	inFlight, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fails := make(chan struct{})
	s := bustest.Start(t, b, bustest.Beta, func(_ context.Context, e event.Event) error {
		switch e.ID {
		case "old":
			once.Do(func() { close(inFlight) })
			<-release
		case "new":
			select {
			case <-fails:
			default:
				return errors.New("not yet")
			}
		}
		return nil
	})
	publishEventually(t, b, bustest.Event(bustest.One, "old", "a"))
	<-inFlight
	server.Stop()
	server.Wipe()
	server.Start()
	publishEventually(t, b, bustest.Event(bustest.One, "new", "b"))
	testkit.Eventually(t, bustest.Within, func() error { // it is delivered, and waits for its repetition
		c, err := js.Consumer(t.Context(), "EVENTS", bustest.Beta)
		if err != nil {
			return err
		}
		if c.CachedInfo().NumAckPending != 1 {
			return fmt.Errorf("%+v", c.CachedInfo())
		}
		return nil
	})
	close(release)
	s.Await("old")
	close(fails)
	s.Await("old", "new")
	settled(t, js, "EVENTS", bustest.Beta)
}

func TestStartBeforeTheServer(t *testing.T) {
	bustest.CheckLeaks(t)
	server := testkit.ListeningNATS(t)
	server.Stop()

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := bus.Connect(ctx, bus.Config{URL: server.URL(), Options: bustest.Options()})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), server.URL()) {
		t.Errorf("error %v, want the deadline and what was waited for", err)
	}

	connected := make(chan *bus.Bus)
	go func() { connected <- connect(t, bus.Config{URL: server.URL(), Options: bustest.Options()}) }()
	select {
	case <-connected:
		t.Fatal("connected to nothing")
	case <-time.After(300 * time.Millisecond):
	}
	server.Start()
	b := <-connected
	if err := b.Ready(); err == nil {
		t.Error("ready without streams")
	}
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Ready(); err != nil {
		t.Error(err)
	}
	server.Stop()
	testkit.Eventually(t, bustest.Within, func() error {
		if b.Ready() == nil {
			return errors.New("still ready without a server")
		}
		return nil
	})
	if n, err := b.Publish(t.Context(), []event.Event{bustest.Event(bustest.One, "e1", "a")}); n != 0 || err == nil {
		t.Errorf("published %d with error %v without a server", n, err)
	}
}

func TestConsumeEndsWithTheBus(t *testing.T) {
	bustest.CheckLeaks(t)
	b, err := bus.Connect(t.Context(), bus.Config{InProcess: testkit.NATS(t), Options: bustest.Options()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- b.Consume(t.Context(), bustest.Beta, map[string]bus.Handler{
			bustest.One: func(context.Context, event.Event) error { return nil },
		}, &bustest.Service{})
	}()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("error %v, want that the bus is closed", err)
	}
}
