package edge

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order/internal/order"
	"quittance/services/order/internal/orders"
)

// overlap is how far a cursor reaches back behind the latest order it has
// seen: a write that was stamped earlier may become visible later, by as much as
// replicas' clocks disagree and a process or its store stood still in between.
// Events in the overlap are listed again.
const overlap = time.Minute

// finder finds orders, of one merchant or of all.
type finder func(ctx context.Context, q docstore.Query) ([]*docstore.Doc[order.Order], string, error)

// ListEvents implements OrderService.
func (s *Orders) ListEvents(ctx context.Context, req *orderv1.ListEventsRequest) (*orderv1.ListEventsResponse, error) {
	mine := s.Orders.For(rpc.MerchantID(ctx))
	if req.GetOrderId() == "" {
		cursor := req.GetCursor()
		if start := req.GetStartTime(); start != nil && cursor == "" {
			if !start.IsValid() {
				return nil, fault.Invalid("start_time", "must be a time")
			}
			now := s.Orders.Now()
			cursor = orders.TimeKey(earlier(start.AsTime(), now)) + "/"
		}
		return listEvents(ctx, mine.Find, s.Orders.Now(), req.GetPageSize(), cursor)
	}
	doc, err := mine.Get(ctx, req.GetOrderId())
	if err != nil {
		return nil, missing(err, "order %q", req.GetOrderId())
	}
	events, err := public(doc)
	return &orderv1.ListEventsResponse{Events: events}, err
}

// listEvents pages through orders by the time of their latest public event. A
// cursor is "<page>" while there are more, else the time to go on from.
func listEvents(ctx context.Context, find finder, now time.Time, pageSize int32, cursor string) (*orderv1.ListEventsResponse, error) {
	size, err := rpc.PageSize(pageSize)
	if err != nil {
		return nil, err
	}
	from, after, _ := strings.Cut(cursor, "/")
	if at, err := orders.ParseTimeKey(from); from != "" && (err != nil || at.After(now.Add(overlap))) {
		return nil, fault.Invalid("cursor", "is not one of an earlier answer")
	}
	docs, next, err := find(ctx, docstore.Query{Index: "changed", From: from, After: after, Limit: size, AllTenants: true})
	if err != nil {
		return nil, badToken(err, "cursor")
	}
	out := &orderv1.ListEventsResponse{More: next != "", Cursor: from + "/" + next}
	latest := time.Time{}
	for _, d := range docs {
		events, err := public(d)
		if err != nil {
			return nil, err
		}
		out.Events = append(out.Events, events...)
		if d.Body.Changed.After(latest) {
			latest = d.Body.Changed
		}
	}
	if next == "" {
		if latest.IsZero() || latest.After(now) {
			latest = now
		}
		out.Cursor = max(from, orders.TimeKey(latest.Add(-overlap))) + "/"
	}
	return out, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// public lists an order's public events in sequence.
func public(doc *docstore.Doc[order.Order]) ([]*orderv1.PublicEvent, error) {
	var out []*orderv1.PublicEvent
	for _, e := range doc.Events {
		if !slices.Contains(event.Public, e.Type) {
			continue
		}
		p := &eventv1.OrderEvent{}
		if err := e.Decode(p); err != nil {
			return nil, err
		}
		out = append(out, &orderv1.PublicEvent{
			Id: e.ID, Type: e.Type, Time: timestamppb.New(e.Time), OrderId: doc.ID,
			Sequence: p.GetSequence(), Order: p.GetOrder(), LineNumber: p.GetLineNumber(),
		})
	}
	return out, nil
}
