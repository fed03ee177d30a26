// Package bustest says, as tests, what every bus must do.
//
// It takes a way to open a bus and runs the whole suite on it. Real: the bus
// and its clock. Doubled: the services, of which there are two with made-up
// event types. Asserted: what handlers and parkers see, never how.
package bustest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	"quittance/pkg/testkit"
)

// Services and types of the suite's own table.
const (
	Alpha = "alpha"
	Beta  = "beta"
	One   = "test.one"
	Two   = "test.two"
	Ref   = "ref.thing"
)

// Table is the suite's own table: both services consume [One].
func Table() bus.Table { return bus.Table{Alpha: {One, Two, Ref}, Beta: {One}} }

// Within is how long the suite waits for what must happen.
const Within = 20 * time.Second

// Open makes an empty bus with these options and returns how to connect to it;
// each connection stands for a process of its own. It ends with the test.
type Open func(t *testing.T, o bus.Options) (connect func() bus.PublishConsumer)

// Options returns those the suite uses: its table, and no log.
func Options() bus.Options {
	return bus.Options{Table: Table(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"an event arrives as it was sent":           testArrives,
		"a repeat is swallowed":                     testRepeat,
		"a re-send arrives":                         testResend,
		"an invalid event ends the published ones":  testInvalid,
		"events of one key keep their order":        testKeyOrder,
		"events of different keys don't wait":       testParallel,
		"an infrastructure error comes again later": testInfrastructure,
		"a permanent error is parked":               testPermanent,
		"parking is tried again":                    testParkingFails,
		"handlers must be those of the table":       testHandlers,
		"consumers of one service share":            testShare,
		"each service gets all of its own":          testServices,
		"the end lets handlers finish":              testDrain,
		"the trace goes on":                         testTrace,
	} {
		t.Run(name, func(t *testing.T) {
			CheckLeaks(t)
			test(t, open)
		})
	}
}

// CheckLeaks fails the test if goroutines are left when everything that is
// opened from now on has ended.
func CheckLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// Event returns an event of the type about the subject, which is its key too.
func Event(typ, id, subject string) event.Event {
	return event.Event{
		ID: id, Type: typ, Source: "suite", Subject: subject, Key: subject, Merchant: "mer_1",
		Time: time.Now().UTC(), Data: []byte(id),
	}
}

// Publish publishes all events or ends the test.
func Publish(t *testing.T, b bus.Publisher, events ...event.Event) {
	t.Helper()
	n, err := b.Publish(t.Context(), events)
	if err != nil || n != len(events) {
		t.Fatalf("published %d of %d: %v", n, len(events), err)
	}
}

// Service is a consuming service that remembers what it saw.
type Service struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan struct{}
	err    error

	mu      sync.Mutex
	handled []event.Event // in the order in which handlers ended without an error
	parked  []event.Event
	causes  []error
	parking error
}

// Start consumes with one handler for all types of the service. It stops with
// the test, or before by Stop.
func Start(t *testing.T, b bus.Consumer, service string, handle bus.Handler) *Service {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &Service{t: t, cancel: cancel, done: make(chan struct{})}
	handlers := map[string]bus.Handler{}
	for _, typ := range Table()[service] {
		handlers[typ] = func(ctx context.Context, e event.Event) error {
			if handle != nil {
				if err := handle(ctx, e); err != nil {
					return err
				}
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.handled = append(s.handled, e)
			return nil
		}
	}
	go func() {
		defer close(s.done)
		s.err = b.Consume(ctx, service, handlers, s)
	}()
	t.Cleanup(s.Stop)
	return s
}

// Stop ends consuming and waits for it.
func (s *Service) Stop() {
	s.cancel()
	select {
	case <-s.done:
	case <-time.After(Within):
		s.t.Errorf("Consume has not ended within %s", Within)
		return
	}
	if s.err != nil {
		s.t.Errorf("Consume: %v", s.err)
	}
}

// Park implements bus.Parker.
func (s *Service) Park(_ context.Context, e event.Event, cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parked, s.causes = append(s.parked, e), append(s.causes, cause)
	return s.parking
}

// Handled returns the ids of what was handled, in order.
func (s *Service) Handled() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ids(s.handled)
}

// Parked returns what was to be parked, and why.
func (s *Service) Parked() ([]event.Event, []error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.parked), slices.Clone(s.causes)
}

// Await waits until exactly these ids have been handled, in any order.
func (s *Service) Await(want ...string) {
	s.t.Helper()
	want = slices.Sorted(slices.Values(want))
	testkit.Eventually(s.t, Within, func() error {
		if got := slices.Sorted(slices.Values(s.Handled())); !slices.Equal(got, want) {
			return fmt.Errorf("handled %q, want %q", got, want)
		}
		return nil
	})
}

// AwaitParked waits until so many tries to park have been made.
func (s *Service) AwaitParked(n int) {
	s.t.Helper()
	testkit.Eventually(s.t, Within, func() error {
		if got, causes := s.Parked(); len(got) != n {
			return fmt.Errorf("parked %q because of %v, want %d", ids(got), causes, n)
		}
		return nil
	})
}

func ids(events []event.Event) []string {
	list := make([]string, 0, len(events))
	for _, e := range events {
		list = append(list, e.ID)
	}
	return list
}
