package edge

import (
	"context"
	"errors"
	"slices"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	"quittance/services/notification/internal/queue"
	"quittance/services/notification/internal/replays"
)

// Replay implements NotificationService.
func (s *Server) Replay(ctx context.Context, req *notificationv1.ReplayRequest) (*notificationv1.ReplayResponse, error) {
	ep, err := s.get(ctx, req.GetEndpointId())
	if err != nil {
		return nil, err
	}
	if ep.Body.Disabled {
		return nil, fault.Conflict("endpoint %q is disabled", req.GetEndpointId())
	}
	switch {
	case req.GetOrderId() == "" && req.GetEventId() == "":
		return nil, fault.Invalid("order_id", "must be set, or event_id for an event that is about no order")
	case req.GetOrderId() == "":
		return s.replaySingle(ctx, req)
	}
	told, err := s.History.Order(ctx, req.GetOrderId())
	if err != nil {
		return nil, err
	}
	if told.Merchant != rpc.MerchantID(ctx) {
		return nil, fault.NotFound("order %q", req.GetOrderId())
	}
	which := func(queue.Event) bool { return true }
	if one := req.GetEventId(); one != "" {
		if !slices.ContainsFunc(told.Events, func(e queue.Event) bool { return e.ID == one }) {
			return nil, fault.NotFound("event %q of order %q", one, req.GetOrderId())
		}
		which = func(e queue.Event) bool { return e.ID == one }
	}
	n, err := s.Queues.Replay(ctx, &ep.Body, told, true, which)
	return &notificationv1.ReplayResponse{Webhooks: int32(n)}, err
}

// replaySingle sends an event again that is about no order.
func (s *Server) replaySingle(ctx context.Context, req *notificationv1.ReplayRequest) (*notificationv1.ReplayResponse, error) {
	doc, err := s.Queues.For(rpc.MerchantID(ctx)).Get(ctx, queue.DocID(req.GetEventId(), req.GetEndpointId()))
	if errors.Is(err, docstore.ErrNotFound) || err == nil && doc.Body.Order != "" {
		return nil, fault.NotFound("event %q without an order at endpoint %q", req.GetEventId(), req.GetEndpointId())
	}
	if err == nil {
		err = s.Queues.Again(ctx, doc)
	}
	if err != nil {
		return nil, err
	}
	return &notificationv1.ReplayResponse{Webhooks: 1}, nil
}

// ReplayRange implements NotificationService.
func (s *Server) ReplayRange(ctx context.Context, req *notificationv1.ReplayRangeRequest) (*notificationv1.ReplayRun, error) {
	from, to, until := req.GetStartTime().AsTime(), time.Time{}, s.Replays.Now()
	if req.GetEndTime() != nil {
		to = req.GetEndTime().AsTime()
		until = to
	}
	var v fault.Validation
	v.Check(req.GetIdempotencyKey() != "" && len(req.GetIdempotencyKey()) <= 64, "idempotency_key", "must have 1 to 64 characters")
	v.Check(req.GetStartTime() != nil && req.GetStartTime().IsValid(), "start_time", "must be set")
	v.Check(req.GetEndTime() == nil || req.GetEndTime().IsValid(), "end_time", "must be a time")
	v.Check(req.GetStartTime() == nil || from.Before(until), "end_time", "must be after start_time")
	checkTypes(&v, "event_types", req.GetEventTypes())
	if err := v.Err(); err != nil {
		return nil, err
	}
	ep, err := s.get(ctx, req.GetEndpointId())
	if err != nil {
		return nil, err
	}
	if ep.Body.Disabled {
		return nil, fault.Conflict("endpoint %q is disabled", req.GetEndpointId())
	}
	doc, err := s.Replays.Start(ctx, req.GetIdempotencyKey(), replays.Request{
		Merchant: rpc.MerchantID(ctx), Endpoint: ep.Body.ID, From: from, To: to, Types: req.GetEventTypes(), FailedOnly: req.GetFailedOnly(),
	})
	if err != nil {
		return nil, err
	}
	return run(doc), nil
}

// GetReplayRange implements NotificationService.
func (s *Server) GetReplayRange(ctx context.Context, req *notificationv1.GetReplayRangeRequest) (*notificationv1.ReplayRun, error) {
	doc, err := s.Replays.For(rpc.MerchantID(ctx)).Get(ctx, req.GetId())
	if errors.Is(err, docstore.ErrNotFound) {
		return nil, fault.NotFound("replay %q", req.GetId())
	}
	if err != nil {
		return nil, err
	}
	return run(doc), nil
}

func run(doc *docstore.Doc[replays.Run]) *notificationv1.ReplayRun {
	return &notificationv1.ReplayRun{Id: doc.ID, Done: doc.Body.Done, Webhooks: doc.Body.Sent}
}
