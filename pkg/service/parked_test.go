package service_test

// Real: the base of a service on the memory engine, the operator's API behind a
// gRPC server. Doubled: the bus, which consumes nothing, and the handler.

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"quittance/pkg/bus"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	operationsv1 "quittance/proto/gen/go/quittance/operations/v1"
)

type idle struct{}

func (idle) Publish(_ context.Context, events []event.Event) (int, error) { return len(events), nil }

func (idle) Consume(ctx context.Context, _ string, _ map[string]bus.Handler, _ bus.Parker) error {
	<-ctx.Done()
	return nil
}

func base(t *testing.T, name string) *service.Base {
	t.Helper()
	b, err := service.New(t.Context(), name, service.Deps{
		Engine: memory.New(), Bus: idle{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// operator dials the operator's API of services with a key.
func operator(t *testing.T, key seal.Secret, services ...*service.Base) operationsv1.ParkedEventServiceClient {
	t.Helper()
	server, err := rpc.NewServer(rpc.ServerOptions{OperatorKey: "the operator's", Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	operationsv1.RegisterParkedEventServiceServer(server.Registrar(), service.NewOperations(services...))
	l, dial := rpc.InProcess()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()
	conn, err := rpc.Dial("service", rpc.DialOptions{APIKey: key, Dialer: dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return operationsv1.NewParkedEventServiceClient(conn)
}

func parkedEvent(t *testing.T, b *service.Base, order string) event.Event {
	t.Helper()
	e, err := event.New(event.DeliveryCompleted, "delivery", order, order, "acme", b.Now(), &eventv1.DeliveryCompleted{OrderId: order})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Park(t.Context(), e, errors.New("order "+order+" is not known")); err != nil {
		t.Fatal(err)
	}
	return e
}

// P4: what a handler refused for good is visible, says why, and is run again
// when what was wrong is put right.
func TestP4ParkedEventsAreListedAndRunAgain(t *testing.T) {
	orders, other := base(t, "order"), base(t, "delivery")
	var known atomic.Bool
	var handled atomic.Int64
	orders.On(event.DeliveryCompleted, func(context.Context, event.Event) error {
		if !known.Load() {
			return bus.Permanent(errors.New("still not known"))
		}
		handled.Add(1)
		return nil
	})
	e := parkedEvent(t, orders, "ord_1")
	parkedEvent(t, orders, "ord_2")
	if err := orders.Park(t.Context(), e, errors.New("parked twice")); err != nil {
		t.Fatal(err)
	}
	ops := operator(t, "the operator's", orders, other)

	first, err := ops.ListParkedEvents(t.Context(), &operationsv1.ListParkedEventsRequest{Service: "order", PageSize: 1})
	if err != nil || len(first.GetEvents()) != 1 || first.GetNextPageToken() == "" {
		t.Fatalf("first page %v, %v", first, err)
	}
	rest, err := ops.ListParkedEvents(t.Context(), &operationsv1.ListParkedEventsRequest{Service: "order", PageToken: first.GetNextPageToken()})
	if err != nil || len(rest.GetEvents()) != 1 || rest.GetNextPageToken() != "" {
		t.Fatalf("second page %v, %v", rest, err)
	}
	var mine *operationsv1.ParkedEvent
	for _, p := range append(first.GetEvents(), rest.GetEvents()...) {
		if p.GetEventId() == e.ID {
			mine = p
		}
	}
	if mine.GetType() != event.DeliveryCompleted || mine.GetMerchantId() != "acme" || mine.GetService() != "order" || mine.GetError() != "order ord_1 is not known" {
		t.Fatalf("parked %v", mine)
	}

	again, err := ops.RerunParkedEvent(t.Context(), &operationsv1.RerunParkedEventRequest{Service: "order", Id: mine.GetId()})
	if err != nil || again.GetDone() || !strings.Contains(again.GetError(), "still not known") {
		t.Fatalf("run in vain: %v, %v", again, err)
	}
	known.Store(true)
	again, err = ops.RerunParkedEvent(t.Context(), &operationsv1.RerunParkedEventRequest{Service: "order", Id: mine.GetId()})
	if err != nil || !again.GetDone() || handled.Load() != 1 {
		t.Fatalf("run again: %v, %v, handled %d times", again, err, handled.Load())
	}
	left, err := ops.ListParkedEvents(t.Context(), &operationsv1.ListParkedEventsRequest{Service: "order"})
	if err != nil || len(left.GetEvents()) != 1 || left.GetEvents()[0].GetId() == mine.GetId() {
		t.Fatalf("left %v, %v", left, err)
	}
	if _, err := ops.DiscardParkedEvent(t.Context(), &operationsv1.DiscardParkedEventRequest{Service: "order", Id: left.GetEvents()[0].GetId()}); err != nil {
		t.Fatal(err)
	}
	if _, err := ops.RerunParkedEvent(t.Context(), &operationsv1.RerunParkedEventRequest{Service: "order", Id: left.GetEvents()[0].GetId()}); fault.KindOf(err) != fault.KindNotFound || handled.Load() != 1 {
		t.Errorf("a discarded event: %v", err)
	}
}

func TestParkedEventsNameTheService(t *testing.T) {
	orders, other := base(t, "order"), base(t, "delivery")
	both, one := operator(t, "the operator's", orders, other), operator(t, "the operator's", orders)
	for _, name := range []string{"", "orders"} {
		_, err := both.ListParkedEvents(t.Context(), &operationsv1.ListParkedEventsRequest{Service: name})
		if fault.KindOf(err) != fault.KindInvalid || !strings.Contains(err.Error(), "delivery, order") {
			t.Errorf("service %q of two: %v", name, err)
		}
	}
	if _, err := one.ListParkedEvents(t.Context(), &operationsv1.ListParkedEventsRequest{}); err != nil {
		t.Errorf("the only service: %v", err)
	}
	parkedEvent(t, orders, "ord_1")
	list, err := one.ListParkedEvents(t.Context(), &operationsv1.ListParkedEventsRequest{})
	if err != nil || len(list.GetEvents()) != 1 {
		t.Fatal(list, err)
	}
	if _, err := one.RerunParkedEvent(t.Context(), &operationsv1.RerunParkedEventRequest{Id: list.GetEvents()[0].GetId()}); fault.KindOf(err) != fault.KindConflict {
		t.Errorf("an event that has no handler any more: %v", err)
	}
}

// P8: merchants don't see them.
func TestP8ParkedEventsAreTheOperators(t *testing.T) {
	_, err := operator(t, "somebody's", base(t, "order")).ListParkedEvents(t.Context(), &operationsv1.ListParkedEventsRequest{})
	if fault.KindOf(err) != fault.KindUnauthenticated {
		t.Errorf("err %v", err)
	}
}
