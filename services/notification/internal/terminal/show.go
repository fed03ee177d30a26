package terminal

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/money"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// story tells all about an order.
func story(ctx context.Context, c *client, flags *flag.FlagSet, args []string) error {
	if err := parse(flags, args, 1); err != nil {
		return err
	}
	id := flags.Arg(0)
	o, err := c.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: id})
	if err != nil {
		return err
	}
	c.line("%s  %s  %s", o.GetId(), amount(o.GetTotal()), o.GetReference())
	c.line("  payment   %s", word(o.GetPaymentState()))
	c.line("  delivery  %s", word(o.GetDeliveryState()))
	c.line("  customer  %s %s", o.GetCustomer().GetEmail(), o.GetCustomer().GetName())
	for what, problem := range map[string]string{
		"hold": o.GetHold().GetDetail(), "payment problem": o.GetPaymentProblem(), "delivery problem": o.GetDeliveryProblem(),
	} {
		if problem != "" {
			c.line("  %s: %s", what, problem)
		}
	}
	for _, l := range o.GetLines() {
		c.line("  line %d    %d × %s  %s  %s", l.GetNumber(), l.GetQuantity(), l.GetProductId(), amount(l.GetAmount()), word(l.GetDeliveryState()))
	}
	listed, err := c.orders.ListEvents(ctx, &orderv1.ListEventsRequest{OrderId: id})
	if err != nil {
		return err
	}
	hooks, err := c.webhooks(ctx, &notificationv1.ListDeliveriesRequest{OrderId: id, PageSize: 200})
	if err != nil {
		return err
	}
	for _, e := range listed.GetEvents() {
		c.line("%s  #%d %s", e.GetTime().AsTime().Local().Format(clock), e.GetSequence(), e.GetType())
		for _, h := range hooks {
			if h.GetEventId() != e.GetId() {
				continue
			}
			if err := c.tries(ctx, h); err != nil {
				return err
			}
		}
	}
	return nil
}

// tries shows a webhook with its tries.
func (c *client) tries(ctx context.Context, h *notificationv1.Webhook) error {
	c.line("    %-16s %s", h.GetEndpointId(), outcome(h))
	full, err := c.hooks.GetDelivery(ctx, &notificationv1.GetDeliveryRequest{
		EndpointId: h.GetEndpointId(), EventId: h.GetEventId(), OrderId: h.GetOrderId(),
	})
	if err != nil {
		return err
	}
	c.attempts(full)
	return nil
}

func (c *client) attempts(h *notificationv1.Webhook) {
	for _, a := range h.GetAttempts() {
		status := "no answer"
		if a.GetStatus() != 0 {
			status = fmt.Sprint(a.GetStatus())
		}
		c.line("      %s  try %d  %s  %s  %s", a.GetTime().AsTime().Local().Format(clock), a.GetNumber(), status,
			a.GetLatency().AsDuration().Round(time.Millisecond), a.GetResponse())
	}
}

func outcome(h *notificationv1.Webhook) string {
	s := word(h.GetState())
	if h.GetNextTryTime() != nil {
		s += ", next try " + h.GetNextTryTime().AsTime().Local().Format(clock)
	}
	if h.GetLastResult() != "" {
		s += ": " + h.GetLastResult()
	}
	return s
}

// webhooks lists all pages.
func (c *client) webhooks(ctx context.Context, req *notificationv1.ListDeliveriesRequest) ([]*notificationv1.Webhook, error) {
	var all []*notificationv1.Webhook
	for {
		resp, err := c.hooks.ListDeliveries(ctx, req)
		if err != nil {
			return nil, err
		}
		all = append(all, resp.GetWebhooks()...)
		if req.PageToken = resp.GetNextPageToken(); req.GetPageToken() == "" {
			return all, nil
		}
	}
}

// endpoints shows the endpoints.
func endpoints(ctx context.Context, c *client, flags *flag.FlagSet, args []string) error {
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	resp, err := c.hooks.ListEndpoints(ctx, &notificationv1.ListEndpointsRequest{})
	if err != nil {
		return err
	}
	for _, e := range resp.GetEndpoints() {
		state := word(e.GetHealth().GetState())
		if since := e.GetHealth().GetFailingSince(); since != nil {
			state += " since " + since.AsTime().Local().Format(clock)
		}
		if by := e.GetHealth().GetDisabledBy(); by != "" {
			state += " by " + by
		}
		c.line("%-16s %s  %s  %s", e.GetId(), state, e.GetUrl(), strings.Join(e.GetEventTypes(), " "))
		if p := e.GetHealth().GetProblem(); p != "" {
			c.line("                 %s", p)
		}
	}
	return nil
}

// deliveries shows webhooks.
func deliveries(ctx context.Context, c *client, flags *flag.FlagSet, args []string) error {
	endpoint := flags.String("endpoint", "", "")
	order := flags.String("order", "", "")
	typ := flags.String("type", "", "")
	state := flags.String("state", "", "")
	since := flags.Duration("since", 24*time.Hour, "")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	req := &notificationv1.ListDeliveriesRequest{
		EndpointId: *endpoint, OrderId: *order, EventType: *typ, PageSize: 200, StartTime: timestamppb.New(time.Now().Add(-*since)),
	}
	if *state != "" {
		n, known := notificationv1.WebhookState_value["WEBHOOK_STATE_"+strings.ToUpper(*state)]
		if !known {
			return usage(fmt.Sprintf("-state is pending, delivered or exhausted, not %q", *state))
		}
		req.State = notificationv1.WebhookState(n)
	}
	all, err := c.webhooks(ctx, req)
	if err != nil {
		return err
	}
	for _, h := range all {
		c.line("%s  %-16s %-24s %s  %s  %s", h.GetEventTime().AsTime().Local().Format(clock), h.GetEndpointId(), h.GetEventType(),
			h.GetOrderId(), h.GetEventId(), outcome(h))
	}
	return nil
}

// word is an enum's value without the enum's name, in lower case.
func word(e protoreflect.Enum) string {
	d := e.Descriptor()
	v := d.Values().ByNumber(e.Number())
	if v == nil || e.Number() == 0 {
		return "unknown"
	}
	prefix := strings.TrimSuffix(string(d.Values().ByNumber(0).Name()), "UNSPECIFIED")
	return strings.ToLower(strings.TrimPrefix(string(v.Name()), prefix))
}

func amount(m *orderv1.Money) string {
	a, err := money.New(m.GetMinor(), m.GetCurrency())
	if err != nil {
		return fmt.Sprintf("%d %s", m.GetMinor(), m.GetCurrency())
	}
	return a.String()
}
