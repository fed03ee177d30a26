package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/service"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// tally counts document writes and bus messages by service.
type tally struct {
	mu sync.Mutex
	// writes are inserts, updates, claims and deletes that changed a document;
	// marks are documents marked as published in batches.
	writes, marks, messages map[string]int
	detail                  []string
}

func newTally() *tally {
	t := &tally{}
	t.reset()
	return t
}

func (t *tally) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes, t.marks, t.messages, t.detail = map[string]int{}, map[string]int{}, map[string]int{}, nil
}

func (t *tally) add(counter map[string]int, name string, n int, detail string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	counter[name] += n
	if n > 0 {
		t.detail = append(t.detail, name+": "+detail)
	}
}

func sum(counter map[string]int) (n int) {
	for _, v := range counter {
		n += v
	}
	return n
}

type countingEngine struct {
	docstore.Engine
	name  string
	tally *tally
}

func (e countingEngine) Open(ctx context.Context, spec docstore.StoreSpec) (docstore.Store, error) {
	s, err := e.Engine.Open(ctx, spec)
	return &countingStore{s, e.name, spec.Name, e.tally}, err
}

type countingStore struct {
	docstore.Store
	service, collection string
	tally               *tally
}

func (s *countingStore) wrote(n int, op string) {
	s.tally.add(s.tally.writes, s.service, n, op+" "+s.collection)
}

func (s *countingStore) Insert(ctx context.Context, rec *docstore.Record) error {
	err := s.Store.Insert(ctx, rec)
	if err == nil {
		s.wrote(1, "insert")
	}
	return err
}

func (s *countingStore) Update(ctx context.Context, id string, change func(*docstore.Record) error) (*docstore.Record, error) {
	rec, err := s.Store.Update(ctx, id, change)
	if err == nil {
		s.wrote(1, "update")
	}
	return rec, err
}

func (s *countingStore) Delete(ctx context.Context, id string, version int64) (bool, error) {
	ok, err := s.Store.Delete(ctx, id, version)
	if ok {
		s.wrote(1, "delete")
	}
	return ok, err
}

func (s *countingStore) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]*docstore.Record, error) {
	recs, err := s.Store.Claim(ctx, now, lease, limit)
	s.wrote(len(recs), "claim")
	return recs, err
}

func (s *countingStore) MarkPublished(ctx context.Context, marks []docstore.Mark) error {
	s.tally.add(s.tally.marks, s.service, len(marks), "mark "+s.collection)
	return s.Store.MarkPublished(ctx, marks)
}

type countingBus struct {
	service.Bus
	tally *tally
}

func (b countingBus) Publish(ctx context.Context, events []event.Event) (int, error) {
	for _, e := range events {
		b.tally.add(b.tally.messages, e.Source, 1, "message "+e.Type)
	}
	return b.Bus.Publish(ctx, events)
}

// TestAnOrderCostsFewWrites: one order of one product, one unit, with one
// endpoint that subscribes to the four events of the mission (three of them
// happen), costs at most 20 document writes and 10 messages over all services.
func TestAnOrderCostsFewWrites(t *testing.T) {
	counted := newTally()
	w := start(t, setup{
		options: standalone.Options{
			Engine: func(name string, e docstore.Engine) docstore.Engine { return countingEngine{e, name, counted} },
			Bus:    func(b service.Bus) service.Bus { return countingBus{b, counted} },
		},
	})
	if _, err := w.notifications.PutEndpoint(t.Context(), &notificationv1.PutEndpointRequest{Endpoint: &notificationv1.Endpoint{
		Id: standalone.DemoEndpoint, Url: w.webhookURL,
		EventTypes: []string{event.OrderCreated, event.PaymentSucceeded, event.PaymentFailed, event.ProductDelivered},
	}}); err != nil {
		t.Fatal(err)
	}
	settle := func() { // until nothing is written for as long as batches take
		for {
			counted.mu.Lock()
			before := len(counted.detail)
			counted.mu.Unlock()
			timer := time.NewTimer(4 * time.Second)
			<-timer.C
			counted.mu.Lock()
			after := len(counted.detail)
			counted.mu.Unlock()
			if before == after {
				return
			}
		}
	}
	w.order(item("notepad", 1)) // everything is known everywhere
	settle()
	counted.reset()

	o := w.order(item("notepad", 1))
	if visit := w.pay(o, client.Pay{}); visit.FulfillmentStatus() != "success" {
		t.Fatal(visit.Last.URL)
	}
	w.awaitDelivered(o.GetId())
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered)
	settle()

	counted.mu.Lock()
	defer counted.mu.Unlock()
	t.Logf("%-14s %7s %7s %9s", "service", "writes", "marks", "messages")
	for _, name := range slices.Sorted(maps.Keys(counted.writes)) {
		t.Logf("%-14s %7d %7d %9d", name, counted.writes[name], counted.marks[name], counted.messages[name])
	}
	t.Logf("%-14s %7d %7d %9d", "all", sum(counted.writes), sum(counted.marks), sum(counted.messages))
	if n := sum(counted.writes); n > 20 {
		t.Errorf("%d writes", n)
	}
	if n := sum(counted.messages); n > 10 {
		t.Errorf("%d messages", n)
	}
	if t.Failed() || testing.Verbose() {
		for i, d := range counted.detail {
			t.Log(fmt.Sprintf("%2d ", i+1) + d)
		}
	}
}
