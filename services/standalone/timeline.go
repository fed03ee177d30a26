package standalone

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/service"
)

// timeline notes every event that goes to the bus.
type timeline struct {
	service.Bus
	mu     sync.Mutex
	events []event.Event
}

// Publish implements service.Bus.
func (t *timeline) Publish(ctx context.Context, events []event.Event) (int, error) {
	t.mu.Lock()
	t.events = append(t.events, events...)
	t.mu.Unlock()
	return t.Bus.Publish(ctx, events)
}

// print writes the events since start, and when the first of a type happened.
func (t *timeline) print(w io.Writer, start time.Time) map[string]time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := map[string]time.Time{}
	seen := map[string]bool{}
	for _, e := range t.events {
		if e.Time.Before(start) || seen[e.ID] || event.IsReference(e.Type) {
			continue
		}
		seen[e.ID] = true
		if _, ok := first[e.Type]; !ok {
			first[e.Type] = e.Time
		}
		fmt.Fprintf(w, "  %8.1f ms  %-13s %-20s %s\n", float64(e.Time.Sub(start).Microseconds())/1000, e.Source, e.Type, e.Subject)
	}
	return first
}
