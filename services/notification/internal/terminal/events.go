package terminal

import (
	"context"
	"flag"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/payload"
)

const (
	// poll is the pause between looks for new events.
	poll = time.Second
	// remember is how many events are known to have been shown: the API lists
	// those of the last seconds again.
	remember = 10_000
	clock    = "2006-01-02 15:04:05"
)

// follow hands the merchant's events from a time on to take, each once; until
// there are no more, or for ever.
func (c *client) follow(ctx context.Context, since time.Time, forever bool, take func(*orderv1.PublicEvent) error) error {
	seen := newMemory(remember)
	cursor := ""
	for {
		req := &orderv1.ListEventsRequest{PageSize: 100, Cursor: cursor}
		if cursor == "" {
			req.StartTime = timestamppb.New(since)
		}
		resp, err := c.orders.ListEvents(ctx, req)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (cursor == "" || !forever):
			return err
		case err != nil:
			c.line("%s  waiting: %v", time.Now().Format(clock), err)
		default:
			for _, e := range resp.GetEvents() {
				if e.GetTime().AsTime().Before(since) || !seen.add(e.GetId()) {
					continue
				}
				if err := take(e); err != nil {
					return err
				}
			}
			cursor = resp.GetCursor()
			if resp.GetMore() {
				continue
			}
			if !forever {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
		}
	}
}

// memory knows the latest of many ids.
type memory struct {
	known map[string]bool
	order []string
	next  int
}

func newMemory(size int) *memory {
	return &memory{known: map[string]bool{}, order: make([]string, size)}
}

// add reports whether the id is new.
func (m *memory) add(id string) bool {
	if m.known[id] {
		return false
	}
	delete(m.known, m.order[m.next])
	m.order[m.next] = id
	m.next = (m.next + 1) % len(m.order)
	m.known[id] = true
	return true
}

// events shows what happened.
func events(ctx context.Context, c *client, flags *flag.FlagSet, args []string) error {
	forever := flags.Bool("follow", false, "")
	since := flags.Duration("since", 0, "")
	typ := flags.String("type", "", "")
	order := flags.String("order", "", "")
	raw := flags.Bool("json", false, "")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	if *since == 0 && !*forever {
		*since = time.Hour
	}
	return c.follow(ctx, time.Now().Add(-*since), *forever, func(e *orderv1.PublicEvent) error {
		if *typ != "" && *typ != e.GetType() || *order != "" && *order != e.GetOrderId() {
			return nil
		}
		if !*raw {
			c.event(e)
			return nil
		}
		body, err := bodyOf(e)
		if err == nil {
			c.line("%s", body)
		}
		return err
	})
}

func (c *client) event(e *orderv1.PublicEvent) {
	o := e.GetOrder()
	c.line("%s  %-24s %s  #%d  %s %s  %s", e.GetTime().AsTime().Local().Format(clock), e.GetType(), e.GetOrderId(), e.GetSequence(),
		amount(o.GetTotal()), o.GetReference(), o.GetCustomer().GetEmail())
}

// bodyOf is an event's webhook.
func bodyOf(e *orderv1.PublicEvent) ([]byte, error) {
	q, err := payload.FromHistory(e)
	if err != nil {
		return nil, err
	}
	return payload.Render(q)
}
