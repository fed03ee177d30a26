package service_test

// Real: the base of a service on the memory engine. Doubled: the bus, which
// publishes into the void, and the documents that are erased.

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/service"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// consuming hands its handlers out.
type consuming struct {
	idle
	handlers chan map[string]bus.Handler
}

func (c consuming) Consume(ctx context.Context, _ string, handlers map[string]bus.Handler, _ bus.Parker) error {
	c.handlers <- handlers
	<-ctx.Done()
	return nil
}

type person struct {
	Name string `json:"name"`
}

func sold(t *testing.T, name string) event.Event {
	t.Helper()
	e, err := event.New(event.OrderCreated, "order", "ord_1", "ord_1", "acme", time.Now(),
		&eventv1.OrderEvent{Order: &orderv1.Order{Id: "ord_1", MerchantId: "acme", Customer: &orderv1.Customer{Name: name}}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// nameIn is the customer's name in an event.
func nameIn(t *testing.T, e event.Event) string {
	t.Helper()
	fact := &eventv1.OrderEvent{}
	if err := e.Decode(fact); err != nil {
		t.Fatal(err)
	}
	return fact.GetOrder().GetCustomer().GetName()
}

// TestErasing: the document, the events it has announced and what is parked; the
// answer is the same event every time, and comes only when all is done.
func TestErasing(t *testing.T) {
	engine := memory.New()
	b := base(t, "order") // for its parts
	deps := b.Deps
	deps.Engine, deps.Bus = engine, consuming{handlers: make(chan map[string]bus.Handler, 1)}
	b, err := service.New(t.Context(), "delivery", deps)
	if err != nil {
		t.Fatal(err)
	}
	people, err := service.Open(t.Context(), b, docstore.Spec[person]{Name: "people"})
	if err != nil {
		t.Fatal(err)
	}
	var taken []string
	var broken error
	b.On(event.OrderCreated, b.Forgetful(func(_ context.Context, e event.Event) error {
		taken = append(taken, nameIn(t, e))
		return nil
	}))
	then := 0
	b.On(event.CustomerErased, func(context.Context, event.Event) error { then++; return nil })
	if err := service.Erases(t.Context(), b, func(ctx context.Context, merchant, order string) ([]string, error) {
		if broken != nil {
			return nil, broken
		}
		return []string{"pay_1"}, service.Erase(ctx, people.For(merchant), order, func(p *person) bool {
			had := p.Name != ""
			p.Name = ""
			return had
		})
	}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	defer func() { stop(); <-ended }()
	handlers := <-deps.Bus.(consuming).handlers
	give := func(e event.Event) error { return handlers[e.Type](t.Context(), e) }

	if _, err := people.Insert(t.Context(), "ord_1", "acme", &person{Name: "Canary"}, sold(t, "Canary")); err != nil {
		t.Fatal(err)
	}
	about := sold(t, "Canary")
	about.Key = "pay_1"
	for _, e := range []event.Event{sold(t, "Canary"), about} {
		if err := b.Park(t.Context(), e, errors.New("no")); err != nil {
			t.Fatal(err)
		}
	}
	if err := give(sold(t, "Canary")); err != nil {
		t.Fatal(err)
	}
	collections := []string{"people", "parked", "erasures"}
	if found := testkit.Holding(t, engine, collections, "Canary"); len(found) != 3 {
		t.Fatalf("before: %v", found)
	}

	e := sold(t, "")
	e.Type = event.CustomerErased
	broken = errors.New("store is down")
	if err := give(e); !errors.Is(err, broken) || then != 0 {
		t.Fatalf("err %v", err)
	}
	if err := give(sold(t, "Canary")); err != nil { // what comes meanwhile brings nothing back
		t.Fatal(err)
	}
	broken = nil
	for range 2 {
		if err := give(e); err != nil {
			t.Fatal(err)
		}
		if found := testkit.Holding(t, engine, collections, "Canary"); len(found) > 0 {
			t.Errorf("found in %v", found)
		}
	}
	if err := b.Park(t.Context(), sold(t, "Canary"), errors.New("late")); err != nil {
		t.Fatal(err)
	}
	if err := give(sold(t, "Canary")); err != nil {
		t.Fatal(err)
	}
	if found := testkit.Holding(t, engine, collections, "Canary"); len(found) > 0 || !slices.Equal(taken, []string{"Canary", "", ""}) || then != 2 {
		t.Errorf("found in %v, taken %q", found, taken)
	}
	erasures, err := docstore.Open(t.Context(), engine, docstore.Spec[service.Erasure]{Name: "erasures"})
	if err != nil {
		t.Fatal(err)
	}
	docs, _, err := erasures.Find(t.Context(), docstore.Query{AllTenants: true, Limit: 10})
	if err != nil || len(docs) != 1 || len(docs[0].Events) != 1 || docs[0].Events[0].Resend != 1 || docs[0].Body.Order != "ord_1" {
		t.Errorf("%v, %v", docs, err)
	}
}
