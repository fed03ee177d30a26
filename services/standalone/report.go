package standalone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quittance/pkg/event"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
)

// demoEvents are the public events of an order of one product, in sequence.
var demoEvents = []string{event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered}

// demoMails are the one with the licences and the receipt.
const demoMails = 2

// report prints what everybody got, and errs if anybody lacks something.
func (d *demo) report(ctx context.Context, start time.Time, o *orderv1.Order) error {
	hooks, err := d.awaitWebhooks(ctx)
	if err != nil {
		return err
	}
	d.say("\nTimeline of the order (since its creation, by the service that announced it):")
	first := d.timeline.print(d.w, start)
	paid, delivered := first[event.PaymentSucceeded], first[event.OrderDelivered]
	mails, err := d.awaitMails(ctx)
	if err != nil {
		return err
	}
	d.say("\nMails caught by the sandbox:")
	keys := 0
	for _, m := range mails {
		d.say("  to %s: %s", m.To, m.Subject)
		for line := range strings.Lines(m.Text) {
			if strings.HasPrefix(strings.TrimSpace(line), "DEMO-") {
				keys++
			}
			d.say("    | %s", strings.TrimRight(line, "\r\n"))
		}
	}
	if keys != 2 {
		return fmt.Errorf("the customer got %d licence keys, bought were 2", keys)
	}
	d.say("\nWebhooks received, signatures verified by the receiver:")
	for _, h := range hooks {
		d.say("  %-20s webhook-id %s", h.Type, h.ID)
	}
	d.say("\nOrder %s is %s and %s.", o.GetId(), word(o.GetPaymentState().String()), word(o.GetDeliveryState().String()))
	d.say("From payment (payment.succeeded) to delivered (order.delivered): %.1f ms.", float64(delivered.Sub(paid).Microseconds())/1000)
	return nil
}

// awaitWebhooks waits until the endpoint has all public events of the order.
func (d *demo) awaitWebhooks(ctx context.Context) ([]client.Webhook, error) {
	return awaitAll(ctx, "webhooks", len(demoEvents), func() ([]client.Webhook, error) {
		hooks, err := d.sandbox.Webhooks(ctx, DemoEndpoint)
		return slices.DeleteFunc(hooks, func(h client.Webhook) bool { return !h.Accepted }), err
	})
}

// awaitMails waits until the customer has the licences and the receipt.
func (d *demo) awaitMails(ctx context.Context) ([]client.Mail, error) {
	return awaitAll(ctx, "mails", demoMails, func() ([]client.Mail, error) { return d.sandbox.Mails(ctx, demoEmail) })
}

// awaitAll lists until there are so many.
func awaitAll[T any](ctx context.Context, what string, want int, list func() ([]T, error)) ([]T, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := list()
		if err != nil {
			return nil, err
		}
		if len(got) >= want {
			return got, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%d of %d %s received", len(got), want, what), ctx.Err())
		case <-tick.C:
		}
	}
}

// word turns PAYMENT_STATE_PAID into paid.
func word(enum string) string {
	_, after, _ := strings.Cut(enum, "_STATE_")
	return strings.ToLower(strings.ReplaceAll(after, "_", " "))
}
