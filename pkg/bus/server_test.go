package bus_test

import (
	"context"
	"fmt"
	"slices"
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

func TestInvalidMessagesAreParked(t *testing.T) {
	bustest.CheckLeaks(t)
	server := testkit.NATS(t)
	nc, js := operator(t, server)
	b := connect(t, bus.Config{InProcess: server, Options: bustest.Options()})
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	unknown := bustest.Event("test.other", "e1", "a")
	for _, msg := range []*nats.Msg{
		{Subject: "evt.test.one.a", Data: []byte("no headers")},
		{Subject: "evt.test.one.a", Data: []byte("bad type"), Header: unknown.Header()},
		// A known type, but not that of its subject, which is what a publisher's permissions are about.
		{Subject: "evt.test.one.a", Data: []byte("!"), Header: bustest.Event(bustest.One, "e3", "b").Header()},
	} {
		if _, err := nc.RequestMsg(msg, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	s := bustest.Start(t, b, bustest.Beta, nil)
	s.AwaitParked(3)
	parked, causes := s.Parked()
	slices.SortFunc(parked, func(a, b event.Event) int { return len(b.Data) - len(a.Data) })
	if parked[0].ID == "" || string(parked[0].Data) != "no headers" {
		t.Errorf("parked %+v because of %v", parked[0], causes)
	}
	if parked[1].Type != "test.other" {
		t.Errorf("parked %+v because of %v", parked[1], causes)
	}
	if parked[2].ID != "e3" {
		t.Errorf("parked %+v because of %v", parked[2], causes)
	}
	settled(t, js, "EVENTS", bustest.Beta)
}

// An event is not given to anybody else while it waits or is worked on, however
// long that takes.
func TestLongWorkKeepsItsEvents(t *testing.T) {
	bustest.CheckLeaks(t)
	server := testkit.NATS(t)
	_, js := operator(t, server)
	b := connect(t, bus.Config{InProcess: server, AckWait: 600 * time.Millisecond, Options: bustest.Options()})
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := make(chan struct{})
	slow := func(context.Context, event.Event) error {
		<-first
		return nil
	}
	one, two := bustest.Start(t, b, bustest.Beta, slow), bustest.Start(t, b, bustest.Beta, slow)
	bustest.Publish(t, b, bustest.Event(bustest.One, "e1", "a"), bustest.Event(bustest.One, "e2", "a"))
	<-time.After(2 * time.Second) // the server would have given up on the holder several times
	close(first)
	settled(t, js, "EVENTS", bustest.Beta)
	if got := slices.Sorted(slices.Values(slices.Concat(one.Handled(), two.Handled()))); !slices.Equal(got, []string{"e1", "e2"}) {
		t.Errorf("handled %q, want each once", got)
	}
}

// A store that is down must not be asked as often as the machine can, and when
// it is back everything is done soon.
func TestOutageOfTheStore(t *testing.T) {
	const events = 200
	bustest.CheckLeaks(t)
	server := testkit.NATS(t)
	_, js := operator(t, server)
	o := bustest.Options()
	o.Workers = 4
	b := connect(t, bus.Config{InProcess: server, Options: o})
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	down, asked := true, 0
	s := bustest.Start(t, b, bustest.Beta, func(context.Context, event.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if down {
			asked++
			return fmt.Errorf("the store is down")
		}
		return nil
	})
	for i := range events {
		bustest.Publish(t, b, bustest.Event(bustest.One, fmt.Sprint("e", i), fmt.Sprint("k", i)))
	}
	<-time.After(3 * time.Second)
	mu.Lock()
	down = false
	if asked < 8 || asked > 40 {
		t.Errorf("asked %d times in 3 s, want a few per worker", asked)
	}
	mu.Unlock()
	testkit.Eventually(t, bustest.Within, func() error {
		if n := len(s.Handled()); n != events {
			return fmt.Errorf("handled %d of %d", n, events)
		}
		return nil
	})
	settled(t, js, "EVENTS", bustest.Beta)
}

func TestManyEventsAndProcesses(t *testing.T) {
	const events = 3000
	bustest.CheckLeaks(t)
	server := testkit.NATS(t)
	_, js := operator(t, server)
	var ensuring sync.WaitGroup
	var processes []*bus.Bus
	for range 4 {
		b := connect(t, bus.Config{InProcess: server, Options: bustest.Options()})
		processes = append(processes, b)
		ensuring.Go(func() {
			if err := b.Ensure(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	ensuring.Wait()
	var services []*bustest.Service
	for _, b := range processes {
		services = append(services, bustest.Start(t, b, bustest.Beta, nil))
	}
	batch := make([]event.Event, events)
	for i := range batch {
		batch[i] = bustest.Event(bustest.One, fmt.Sprint("e", i), fmt.Sprint("k", i%100))
	}
	bustest.Publish(t, processes[0], batch...)
	handled := func() (n int) {
		for _, s := range services {
			n += len(s.Handled())
		}
		return n
	}
	testkit.Eventually(t, bustest.Within, func() error {
		if n := handled(); n != events {
			return fmt.Errorf("handled %d of %d", n, events)
		}
		return nil
	})
	settled(t, js, "EVENTS", bustest.Beta)
	for _, s := range services {
		s.Stop()
	}
	if n := handled(); n != events {
		t.Errorf("handled %d, want %d, each once", n, events)
	}
}

func TestEnsureChangesWhatDiffers(t *testing.T) {
	bustest.CheckLeaks(t)
	server := testkit.NATS(t)
	_, js := operator(t, server)
	o := bustest.Options()
	o.Table[bustest.Beta] = []string{bustest.Two}
	for _, b := range []*bus.Bus{
		connect(t, bus.Config{InProcess: server, AckWait: time.Second, Options: o}),
		connect(t, bus.Config{InProcess: server, Options: bustest.Options()}),
	} {
		if err := b.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c, err := js.Consumer(t.Context(), "EVENTS", bustest.Beta)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.CachedInfo().Config; got.AckWait != 30*time.Second || !slices.Equal(got.FilterSubjects, []string{"evt.test.one.*"}) {
		t.Errorf("consumer %+v", got)
	}
	refused := connect(t, bus.Config{InProcess: server, Replicas: 3, Options: bustest.Options()})
	if err := refused.Ensure(t.Context()); err == nil {
		t.Error("three replicas on one server")
	}
}

func TestTopologyFitsTheServer(t *testing.T) {
	bustest.CheckLeaks(t)
	server := testkit.NATS(t)
	_, js := operator(t, server)
	b := connect(t, bus.Config{InProcess: server})
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		old, recent := bustest.Event(event.RefProduct, "r1", "p"), bustest.Event(event.RefProduct, "r2", "p")
		bustest.Publish(t, b, old, recent)
	}
	stream, err := js.Stream(t.Context(), "REFERENCE")
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("%d references kept of one product, want the latest", n)
	}
	msg, err := stream.GetLastMsgForSubject(t.Context(), "ref.product.p")
	if err != nil || string(msg.Data) != "r2" {
		t.Errorf("kept %v, %v", msg, err)
	}
	events, err := js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if c := events.CachedInfo().Config; c.MaxAge != 72*time.Hour || c.Duplicates != 2*time.Minute || c.Storage != jetstream.FileStorage {
		t.Errorf("stream %+v", c)
	}
}
