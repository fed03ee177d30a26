package bustest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	"quittance/pkg/testkit"
)

func testKeyOrder(t *testing.T, open Open) {
	const keys, perKey = 5, 40
	b := open(t, Options())()
	var events []event.Event
	for i := range perKey {
		for k := range keys {
			events = append(events, Event(One, fmt.Sprintf("k%d-%02d", k, i), fmt.Sprintf("key%d", k)))
		}
	}
	var mu sync.Mutex
	running := map[string]bool{}
	order := map[string][]string{}
	Start(t, b, Beta, func(_ context.Context, e event.Event) error {
		mu.Lock()
		if running[e.Key] {
			t.Errorf("%s is handled while another of %s is", e.ID, e.Key)
		}
		running[e.Key] = true
		mu.Unlock()
		<-time.After(time.Millisecond) // a chance to overtake
		mu.Lock()
		defer mu.Unlock()
		running[e.Key] = false
		order[e.Key] = append(order[e.Key], e.ID)
		return nil
	})
	Publish(t, b, events...)
	testkit.Eventually(t, Within, func() error {
		mu.Lock()
		defer mu.Unlock()
		for k := range keys {
			if got := order[fmt.Sprintf("key%d", k)]; len(got) != perKey {
				return fmt.Errorf("key%d: %d of %d", k, len(got), perKey)
			}
		}
		return nil
	})
	mu.Lock()
	defer mu.Unlock()
	for key, got := range order {
		if !slices.IsSorted(got) {
			t.Errorf("%s handled in the order %q", key, got)
		}
	}
}

func testParallel(t *testing.T, open Open) {
	b := open(t, Options())()
	together := make(chan struct{})
	var mu sync.Mutex
	running := 0
	s := Start(t, b, Beta, func(ctx context.Context, _ event.Event) error {
		mu.Lock()
		if running++; running == 2 {
			close(together)
		}
		mu.Unlock()
		select {
		case <-together:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	var want []string
	for i := range 8 {
		id := fmt.Sprint("e", i)
		want = append(want, id)
		Publish(t, b, Event(One, id, fmt.Sprint("key", i)))
	}
	s.Await(want...)
}

func testShare(t *testing.T, open Open) {
	connect := open(t, Options())
	publisher := connect()
	first, second := Start(t, connect(), Beta, nil), Start(t, connect(), Beta, nil)
	var want []string
	testkit.Eventually(t, Within, func() error {
		for range 20 {
			id := fmt.Sprint("e", len(want))
			want = append(want, id)
			// What others get in between must not make it always the same one's turn.
			Publish(t, publisher, Event(One, id, id), Event(Two, "between "+id, id))
		}
		if len(first.Handled()) == 0 || len(second.Handled()) == 0 {
			return fmt.Errorf("of %d events the first has handled %d, the second %d",
				len(want), len(first.Handled()), len(second.Handled()))
		}
		return nil
	})
	slices.Sort(want)
	testkit.Eventually(t, Within, func() error {
		if got := slices.Sorted(slices.Values(slices.Concat(first.Handled(), second.Handled()))); !slices.Equal(got, want) {
			return fmt.Errorf("handled %d events, want %d, each once", len(got), len(want))
		}
		return nil
	})
}

func testServices(t *testing.T, open Open) {
	connect := open(t, Options())
	b := connect()
	alpha := Start(t, connect(), Alpha, nil)
	Publish(t, b, Event(One, "e1", "a"), Event(Two, "e2", "a"), Event(Ref, "e3", "a"), Event("test.none", "e4", "a"))
	alpha.Await("e1", "e2", "e3")
	// It gets what was published before it first consumed.
	Start(t, connect(), Beta, nil).Await("e1")
}

func testDrain(t *testing.T, open Open) {
	connect := open(t, Options())
	b := connect()
	begun, release := make(chan struct{}), make(chan struct{})
	s := Start(t, connect(), Beta, func(ctx context.Context, _ event.Event) error {
		close(begun)
		<-release
		return ctx.Err()
	})
	Publish(t, b, Event(One, "e1", "a"), Event(One, "e2", "a"))
	<-begun
	s.cancel()
	select {
	case <-s.done:
		t.Error("Consume ended before its handler")
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	s.Stop()
	s.Await("e1")
	// What had not begun is left to the next one, what has ended is not.
	Start(t, connect(), Beta, nil).Await("e2")
}

func testHandlers(t *testing.T, open Open) {
	b := open(t, Options())()
	h := func(context.Context, event.Event) error { return nil }
	for name, tc := range map[string]struct {
		service  string
		handlers map[string]bus.Handler
		parker   bus.Parker
		want     string
	}{
		"missing":         {Alpha, map[string]bus.Handler{One: h, Ref: h}, &Service{}, Two},
		"too much":        {Beta, map[string]bus.Handler{One: h, "test.more": h}, &Service{}, "test.more"},
		"unknown service": {"gamma", nil, &Service{}, "gamma"},
		"no parker":       {Beta, map[string]bus.Handler{One: h}, nil, "park"},
	} {
		wantError(t, name, b.Consume(t.Context(), tc.service, tc.handlers, tc.parker), tc.want)
	}
}
