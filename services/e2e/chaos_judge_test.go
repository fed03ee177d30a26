package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	callbackv1 "quittance/proto/gen/go/quittance/callback/v1"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// Kinds of findings.
const (
	lost    = "lost"
	doubled = "doubled"
	wrongly = "paid wrongly"
)

// finding is a broken promise: what the system says and the books don't.
type finding struct {
	kind, order, text string
	// settled: it will not come right, however long it is waited for.
	settled bool
}

func (f finding) Error() string { return fmt.Sprintf("%s: order %s: %s", f.kind, f.order, f.text) }

type findings []finding

func (fs findings) err() error {
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = f
	}
	return errors.Join(errs...)
}

// orders are those that something was found of, each once.
func (fs findings) orders() []string {
	of := map[string]bool{}
	for _, f := range fs {
		of[f.order] = true
	}
	return slices.Sorted(maps.Keys(of))
}

func (fs findings) count(kind string) (n int) {
	for _, f := range fs {
		if f.kind == kind {
			n++
		}
	}
	return n
}

// verdict is what became of a run.
type verdict struct {
	findings findings
	// states of the orders, counted.
	states map[string]int
}

// judge waits until all books agree, and gives what does not. It ends at once
// when what was found will not come right.
func (c *chaos) judge(ctx context.Context) (v verdict, err error) {
	owners, before := map[string]string{}, map[finding]bool{}
	err = slowly(ctx, c.patience, func() error {
		if v, err = c.look(ctx, owners); err != nil {
			return err
		}
		hopeless := false
		for _, f := range v.findings {
			hopeless = hopeless || f.settled && before[f]
			before[f] = true
		}
		if hopeless {
			return nil
		}
		return v.findings.err()
	})
	if len(v.findings) > 0 {
		err = nil // that is what it says
	}
	return v, err
}

// look compares all books once.
func (c *chaos) look(ctx context.Context, owners map[string]string) (v verdict, err error) {
	ids, buyers := make([]string, 0, len(c.acknowledged)), map[string]string{}
	for _, o := range c.acknowledged {
		ids = append(ids, o.id)
		buyers[o.email] = o.id
	}
	books, err := c.books(ctx, owners)
	if err != nil {
		return v, err
	}
	v.states = map[string]int{}
	v.findings = c.differing(ctx, ids, books, v.states)
	goods, failed := c.checkGoods(ctx, buyers)
	_, events, unread := c.missingEvents(ctx, ids)
	callbacks, unlisted := c.missingCallbacks(ctx, owners)
	v.findings = slices.Concat(v.findings, goods, events, callbacks)
	return v, errors.Join(failed, unread, unlisted)
}

// checkGoods compares, for the one order of each buyer, what the merchant sees
// delivered with what was mailed: as many keys as units, each key of one order
// only, one mail each, and none for an order that isn't delivered, nor goods for
// money of which the provider only ever named too little.
func (c *chaos) checkGoods(ctx context.Context, buyers map[string]string) (found findings, err error) {
	all, err := c.sandbox.Mails(ctx, "")
	if err != nil {
		return nil, err
	}
	find := func(kind, order, format string, args ...any) {
		found = append(found, finding{kind, order, fmt.Sprintf(format, args...), kind != lost})
	}
	mailed, owner, had := mailedKeys(all), map[string]string{}, map[string]string{}
	for _, email := range slices.Sorted(maps.Keys(buyers)) {
		orderID, got := buyers[email], mailed[email]
		for _, key := range slices.Sorted(maps.Keys(got)) {
			if len(got[key]) > 1 {
				find(doubled, orderID, "P3: key %s came in %d mails", key, len(got[key]))
			}
			if other := had[key]; other != "" {
				find(doubled, orderID, "P3: key %s was mailed for %s too", key, other)
			}
			had[key] = orderID
		}
		o, err := c.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: orderID})
		if err != nil {
			return nil, err
		}
		if o.GetDeliveryState() != delivered {
			if len(got) > 0 {
				find(lost, orderID, "P6: %v, but %d keys were mailed", o.GetDeliveryState(), len(got))
			}
			continue
		}
		if c.misnamed[orderID] {
			find(wrongly, orderID, "P1: delivered, but the provider never named the whole amount")
		}
		d, err := c.deliveries.GetDelivery(ctx, &deliveryv1.GetDeliveryRequest{OrderId: orderID})
		if err != nil {
			return nil, err
		}
		units, keys := int(o.GetLines()[0].GetQuantity()), d.GetLines()[0].GetLicenseKeys()
		if max(len(keys), len(got)) > units {
			find(doubled, orderID, "P3: %d keys, %d mailed, for %d units", len(keys), len(got), units)
		} else if min(len(keys), len(got)) < units {
			find(lost, orderID, "P3: %d keys, %d mailed, for %d units", len(keys), len(got), units)
		}
		for _, key := range keys {
			if got[key] == nil {
				find(lost, orderID, "P3: key %s was not mailed", key)
			}
			if other := owner[key]; other != "" {
				find(doubled, orderID, "P3: key %s is that of %s too", key, other)
			}
			owner[key] = orderID
		}
	}
	return found, nil
}

// mailedKeys are the licence keys in mails: for each address and key, the
// Message-IDs of the mails that it came in.
func mailedKeys(all []client.Mail) map[string]map[string]map[string]bool {
	mailed := map[string]map[string]map[string]bool{}
	for _, m := range all {
		to := m.EnvelopeTo[0]
		for line := range strings.Lines(m.Text) {
			key := strings.TrimSpace(line)
			if !strings.HasPrefix(key, "STORM-") && !strings.HasPrefix(key, "DEMO-") {
				continue
			}
			if mailed[to] == nil {
				mailed[to] = map[string]map[string]bool{}
			}
			if mailed[to][key] == nil {
				mailed[to][key] = map[string]bool{}
			}
			mailed[to][key][m.MessageID] = true
		}
	}
	return mailed
}

// missingEvents compares the orders' public histories, of so many events in all,
// with what the orders have counted and with what the endpoint got.
func (w *world) missingEvents(ctx context.Context, orderIDs []string) (events int, found findings, err error) {
	hooks, err := w.sandbox.Webhooks(ctx, standalone.DemoEndpoint)
	if err != nil {
		return 0, nil, err
	}
	got := map[string]bool{}
	for _, h := range hooks {
		got[h.ID] = got[h.ID] || h.Accepted
	}
	for _, orderID := range orderIDs {
		o, err := w.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: orderID})
		if err != nil {
			return 0, nil, err
		}
		list, err := w.orders.ListEvents(ctx, &orderv1.ListEventsRequest{OrderId: orderID})
		if err != nil {
			return 0, nil, err
		}
		if counted, listed := o.GetSequence(), int64(len(list.GetEvents())); listed < counted {
			found = append(found, finding{lost, orderID, fmt.Sprintf("P6: has counted %d events, tells of %d", counted, listed), true})
		}
		for _, e := range list.GetEvents() {
			if events++; !got[e.GetId()] {
				found = append(found, finding{lost, orderID, fmt.Sprintf("P7: %s %d did not arrive", e.GetType(), e.GetSequence()), false})
			}
		}
	}
	return events, found, nil
}

// onBus is how long a callback that no store took may be on the bus alone.
const onBus = 90 * time.Second

// missingCallbacks names the payments at FlexPay of which a callback was
// acknowledged and none is on record. Where the store could not take one the bus
// is all that has it (P2), for a moment: what was acknowledged right before the
// bus lost everything is not looked for. Owners are the payments' orders.
func (c *chaos) missingCallbacks(ctx context.Context, owners map[string]string) (found findings, err error) {
	recorded := map[string]bool{}
	for next := ""; ; {
		list, err := c.callbacks.ListCallbacks(ctx, &callbackv1.ListCallbacksRequest{PageToken: next})
		if err != nil {
			return nil, err
		}
		for _, cb := range list.GetCallbacks() {
			recorded[cb.GetAttemptId()] = recorded[cb.GetAttemptId()] || cb.GetAccepted()
		}
		if next = list.GetNextPageToken(); next == "" {
			break
		}
	}
	book, err := c.sandbox.Book(ctx)
	if err != nil {
		return nil, err
	}
	for _, sale := range book.Sales {
		for _, p := range sale.Postbacks {
			excused := slices.ContainsFunc(c.emptied, func(at time.Time) bool { return at.After(p.At) && at.Before(p.At.Add(onBus)) })
			if p.OK && !p.Forged && !excused && !recorded[sale.ReferenceID] {
				found = append(found, finding{lost, owners[sale.ReferenceID], "P2: the callback of " + sale.ReferenceID + " was acknowledged, and is not on record", false})
				break
			}
		}
	}
	return found, nil
}

// story prints an order's whole timeline.
func (c *chaos) story(ctx context.Context, orderID string) {
	o, err := c.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: orderID})
	if err != nil {
		c.t.Logf("%s: %v", orderID, err)
		return
	}
	c.t.Logf("%s: %v", orderID, o)
	list, err := c.orders.ListEvents(ctx, &orderv1.ListEventsRequest{OrderId: orderID})
	if err != nil {
		c.t.Log(err)
	}
	for _, e := range list.GetEvents() {
		c.t.Logf("  %v %s %d", e.GetTime().AsTime().Format(time.StampMilli), e.GetType(), e.GetSequence())
	}
	d, err := c.deliveries.GetDelivery(ctx, &deliveryv1.GetDeliveryRequest{OrderId: orderID})
	c.t.Logf("  delivery: %v %v", d, err)
	hooks, err := c.notifications.ListDeliveries(ctx, &notificationv1.ListDeliveriesRequest{OrderId: orderID})
	for _, h := range hooks.GetWebhooks() {
		c.t.Logf("  webhook: %v", h)
	}
	if err != nil {
		c.t.Log(err)
	}
}
