package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"quittance/pkg/event"
	"quittance/pkg/testkit"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// TestATraceLeadsFromTheOrderToTheMail: from the span of CreateOrder the span of
// the licence mail can be reached, over parents and links, and every hop of the
// bus on the way is a span that continues its cause's trace.
func TestATraceLeadsFromTheOrderToTheMail(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	w := start(t, setup{config: func(c *standalone.Config) {
		c.Telemetry.SpanProcessors = []sdktrace.SpanProcessor{sdktrace.NewSimpleSpanProcessor(spans)}
	}})
	spans.Reset()
	o := w.order(item("notepad", 1))
	w.pay(o, client.Pay{})
	w.awaitDelivered(o.GetId())
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)

	var all tracetest.SpanStubs
	hops := []string{
		event.PaymentStarted, event.CallbackReceived, event.PaymentVerified, event.PaymentSucceeded,
		event.DeliveryCompleted, event.ProductDelivered, event.OrderDelivered, event.OrderCreated,
	}
	testkit.Eventually(t, patience, func() error {
		all = spans.GetSpans()
		for _, hop := range hops {
			if !slices.ContainsFunc(all, func(s tracetest.SpanStub) bool { return s.Name == "process "+hop }) {
				return fmt.Errorf("no span for %s", hop)
			}
		}
		// Webhooks' work ends some seconds after the last one.
		if !slices.ContainsFunc(all, func(s tracetest.SpanStub) bool { return s.Name == "work queues" }) {
			return errors.New("the webhooks' span has not ended")
		}
		return nil
	})
	// Spans of one trace are one group; links join groups.
	group := map[trace.TraceID]trace.TraceID{}
	var find func(trace.TraceID) trace.TraceID
	find = func(id trace.TraceID) trace.TraceID {
		if up, ok := group[id]; ok && up != id {
			return find(up)
		}
		return id
	}
	ids := map[trace.SpanID]bool{}
	for _, s := range all {
		ids[s.SpanContext.SpanID()] = true
		for _, l := range s.Links {
			group[find(s.SpanContext.TraceID())] = find(l.SpanContext.TraceID())
		}
	}
	named := func(part string) tracetest.SpanStub {
		t.Helper()
		i := slices.IndexFunc(all, func(s tracetest.SpanStub) bool { return strings.Contains(s.Name, part) })
		if i < 0 {
			t.Fatalf("no span %q among %v", part, names(all))
		}
		return all[i]
	}
	root := find(named("OrderService/CreateOrder").SpanContext.TraceID())
	for _, want := range append([]string{"work deliveries", "work verifications", "work queues", "/callbacks/", "/return/", "/pay/"}, hops...) {
		s := named(want)
		if find(s.SpanContext.TraceID()) != root {
			t.Errorf("%q can't be reached from CreateOrder", s.Name)
		}
	}
	for _, s := range all { // across the bus: a consumer's parent is a span of the cause's trace
		if strings.HasPrefix(s.Name, "process ") && !strings.HasPrefix(s.Name, "process ref.") && !ids[s.Parent.SpanID()] {
			t.Errorf("%q has no known parent", s.Name)
		}
	}
	mail := named("work deliveries")
	if mail.SpanContext.TraceID() != named("process "+event.PaymentSucceeded).SpanContext.TraceID() {
		t.Error("the mail is not in the trace of payment.succeeded")
	}
}

func names(spans tracetest.SpanStubs) []string {
	out := map[string]bool{}
	for _, s := range spans {
		out[s.Name] = true
	}
	list := []string{}
	for n := range out {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}
