// Package history reads orders and their public history from their owner, the
// order service: what the bus lost is still there.
package history

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"quittance/pkg/fault"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/payload"
	"quittance/services/notification/internal/queue"
)

const (
	// timeout bounds one question.
	timeout = 5 * time.Second
	// most is how many questions are open at once: after an outage there may be
	// thousands to ask, and the order service has better things to do.
	most = 16
	// pageSize is how many orders a page of the history covers; fewer if they
	// don't fit into one message.
	pageSize = 50
)

// Client asks the order service's internal gRPC.
type Client struct {
	rpc    orderv1.ReferenceServiceClient
	places chan struct{}
	log    *slog.Logger
}

// New returns a client over a connection to the order service's internal listener.
func New(conn grpc.ClientConnInterface, log *slog.Logger) *Client {
	return &Client{rpc: orderv1.NewReferenceServiceClient(conn), places: make(chan struct{}, most), log: log}
}

// Page is a part of the history of all orders.
type Page struct {
	Orders []Order
	// Cursor goes on from here; More: there is more right now.
	Cursor string
	More   bool
}

// Order is the history of one order, in sequence.
type Order struct {
	Merchant, ID string
	Events       []queue.Event
}

// Order reads all events of one order. fault.KindNotFound if there is none.
func (c *Client) Order(ctx context.Context, order string) (Order, error) {
	resp, err := c.list(ctx, &orderv1.ListEventsForServiceRequest{OrderId: order})
	if err != nil {
		return Order{}, fmt.Errorf("read the history of order %s: %w", order, err)
	}
	if orders := c.group(ctx, resp.GetEvents()); len(orders) > 0 {
		return orders[0], nil
	}
	return Order{ID: order}, nil
}

// Get reads an order as it is now, with the customer's link. fault.KindNotFound
// if there is none.
func (c *Client) Get(ctx context.Context, order string) (*orderv1.Order, error) {
	o, err := asked(ctx, c, func(ctx context.Context) (*orderv1.Order, error) {
		return c.rpc.GetOrderForService(ctx, &orderv1.GetOrderForServiceRequest{OrderId: order})
	})
	if err != nil {
		return nil, fmt.Errorf("read order %s: %w", order, err)
	}
	return o, nil
}

// Page reads on from a cursor; empty: from the beginning.
func (c *Client) Page(ctx context.Context, cursor string) (Page, error) {
	for size := int32(pageSize); ; size /= 2 {
		resp, err := c.list(ctx, &orderv1.ListEventsForServiceRequest{Cursor: cursor, PageSize: size})
		switch {
		case err == nil:
			return Page{Orders: c.group(ctx, resp.GetEvents()), Cursor: resp.GetCursor(), More: resp.GetMore()}, nil
		case fault.KindOf(err) != fault.KindExhausted || size == 1:
			return Page{}, fmt.Errorf("read the history: %w", err)
		}
	}
}

func (c *Client) list(ctx context.Context, req *orderv1.ListEventsForServiceRequest) (*orderv1.ListEventsResponse, error) {
	return asked(ctx, c, func(ctx context.Context) (*orderv1.ListEventsResponse, error) {
		return c.rpc.ListEventsForService(ctx, req)
	})
}

// asked asks when there is a place.
func asked[A any](ctx context.Context, c *Client, question func(context.Context) (A, error)) (answer A, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case c.places <- struct{}{}:
		defer func() { <-c.places }()
	case <-ctx.Done():
		return answer, ctx.Err()
	}
	answer, err = question(ctx)
	return answer, fault.FromStatus(err)
}

// group puts the events of each order together. An event that can't be one is
// left out, so that it stops nothing but itself.
func (c *Client) group(ctx context.Context, events []*orderv1.PublicEvent) []Order {
	var orders []Order
	for _, p := range events {
		e, err := payload.FromHistory(p)
		if err != nil {
			c.log.ErrorContext(ctx, "event of the history is left out", "order", p.GetOrderId(), "error", err)
			continue
		}
		id, merchant := p.GetOrder().GetId(), p.GetOrder().GetMerchantId()
		if n := len(orders); n == 0 || orders[n-1].ID != id {
			orders = append(orders, Order{Merchant: merchant, ID: id})
		}
		last := &orders[len(orders)-1]
		last.Events = append(last.Events, e)
	}
	return orders
}
