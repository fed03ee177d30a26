package memory_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/bus"
	"quittance/pkg/bus/bustest"
	"quittance/pkg/bus/memory"
	"quittance/pkg/event"
)

func TestConformance(t *testing.T) {
	bustest.Run(t, func(_ *testing.T, o bus.Options) func() bus.PublishConsumer {
		b := memory.New(memory.Config{Options: o})
		return func() bus.PublishConsumer { return b }
	})
}

func TestFate(t *testing.T) {
	for name, tc := range map[string]struct {
		fates map[string][]time.Duration // by event id
		want  []string
	}{
		"lost":      {map[string][]time.Duration{"e1": nil}, []string{"e2", "e3"}},
		"doubled":   {map[string][]time.Duration{"e1": {0, 0}}, []string{"e1", "e1", "e2", "e3"}},
		"reordered": {map[string][]time.Duration{"e1": {time.Hour}}, []string{"e2", "e3", "e1"}},
		"set back":  {map[string][]time.Duration{"e2": {0, time.Hour}}, []string{"e1", "e2", "e3", "e2"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := bustest.Options()
				b := memory.New(memory.Config{Options: o, Fate: func(_ string, e event.Event) []time.Duration {
					if fate, ok := tc.fates[e.ID]; ok {
						return fate
					}
					return []time.Duration{0}
				}})
				s := bustest.Start(t, b, bustest.Beta, nil)
				bustest.Publish(t, b, bustest.Event(bustest.One, "e1", "a"), bustest.Event(bustest.One, "e2", "a"), bustest.Event(bustest.One, "e3", "a"))
				<-time.After(2 * time.Hour)
				if got := s.Handled(); !slices.Equal(got, tc.want) {
					t.Errorf("handled %q, want %q", got, tc.want)
				}
			})
		})
	}
}

func TestNextIsWhenSomethingComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		b := memory.New(memory.Config{Options: bustest.Options(), Fate: func(string, event.Event) []time.Duration {
			return []time.Duration{10 * time.Second}
		}})
		bustest.Publish(t, b, bustest.Event(bustest.One, "e1", "a"))
		if at := b.Next(); !at.IsZero() {
			t.Errorf("it comes at %v to nobody", at)
		}
		s := bustest.Start(t, b, bustest.Beta, nil)
		synctest.Wait()
		if at := b.Next(); !at.Equal(began.Add(10 * time.Second)) {
			t.Errorf("next at %v, want %v", at, began.Add(10*time.Second))
		}
		s.Await("e1")
		if at := b.Next(); !at.IsZero() {
			t.Errorf("something comes at %v after all", at)
		}
	})
}

// history runs two services on a bad bus, one of which causes events for the
// other, and returns everything they handled in order.
func history(t *testing.T, seed uint64) (log []string) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 0))
		o := bustest.Options()
		b := memory.New(memory.Config{Options: o, Settle: synctest.Wait, Fate: func(string, event.Event) []time.Duration {
			delays := make([]time.Duration, random.IntN(4))
			for i := range delays {
				delays[i] = time.Duration(random.IntN(3)) * time.Second
			}
			return delays
		}})
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var running sync.WaitGroup
		consume := func(service string, h bus.Handler) {
			handlers := map[string]bus.Handler{}
			for _, typ := range o.Table[service] {
				handlers[typ] = func(ctx context.Context, e event.Event) error {
					mu.Lock()
					log = append(log, service+" "+e.ID)
					mu.Unlock()
					return h(ctx, e)
				}
			}
			running.Go(func() { _ = b.Consume(ctx, service, handlers, &bustest.Service{}) })
		}
		consume(bustest.Alpha, func(context.Context, event.Event) error { return nil })
		consume(bustest.Beta, func(ctx context.Context, e event.Event) error {
			// An outbox would do this from a goroutine of its own, too.
			go func() {
				_, _ = b.Publish(context.WithoutCancel(ctx), []event.Event{bustest.Event(bustest.Two, "after-"+e.ID, e.Key)})
			}()
			return nil
		})
		for i := range 30 {
			bustest.Publish(t, b, bustest.Event(bustest.One, fmt.Sprint("e", i), fmt.Sprint("k", i%5)))
		}
		<-time.After(time.Hour)
		cancel()
		running.Wait()
	})
	return log
}

func TestSettleMakesHistoriesRepeatable(t *testing.T) {
	first := history(t, 1)
	if len(first) < 60 {
		t.Fatalf("only %d events handled", len(first))
	}
	for range 5 {
		if again := history(t, 1); !slices.Equal(first, again) {
			t.Fatalf("one seed, two histories:\n%q\n%q", first, again)
		}
	}
	if other := history(t, 2); slices.Equal(first, other) {
		t.Error("two seeds, one history")
	}
}
