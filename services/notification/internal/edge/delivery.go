package edge

import (
	"context"
	"errors"
	"net/url"
	"slices"

	"google.golang.org/protobuf/types/known/durationpb"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/payload"
	"quittance/services/notification/internal/queue"
)

// GetDelivery implements NotificationService.
func (s *Server) GetDelivery(ctx context.Context, req *notificationv1.GetDeliveryRequest) (*notificationv1.Webhook, error) {
	ep, err := s.get(ctx, req.GetEndpointId())
	if err != nil {
		return nil, err
	}
	key := req.GetEventId()
	if req.GetOrderId() != "" && !ep.Body.Unordered {
		key = req.GetOrderId()
	}
	missing := fault.NotFound("event %q at endpoint %q", req.GetEventId(), req.GetEndpointId())
	doc, err := s.Queues.For(rpc.MerchantID(ctx)).Get(ctx, queue.DocID(key, req.GetEndpointId()))
	if errors.Is(err, docstore.ErrNotFound) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(doc.Body.Events, func(e queue.Event) bool {
		return e.ID == req.GetEventId() && e.State != queue.Skipped
	})
	if at < 0 || doc.Body.Order != req.GetOrderId() {
		return nil, missing
	}
	return s.detail(ctx, &ep.Body, &doc.Body, doc.Body.Events[at])
}

// detail is a webhook with its request and its tries. The body of one that is
// settled is made from the order's history; it is left out if that can't be had.
func (s *Server) detail(ctx context.Context, ep *endpoint.Endpoint, q *queue.Queue, e queue.Event) (*notificationv1.Webhook, error) {
	w := webhookOf(q, e)
	if u, err := url.Parse(ep.URL); err == nil {
		u.RawQuery = ""
		w.RequestUrl = u.String()
	}
	for _, a := range e.Attempts {
		w.Attempts = append(w.Attempts, &notificationv1.Attempt{
			Time: stamp(a.At), Latency: durationpb.New(a.Took), Status: int32(a.Status), Response: a.Response, Number: int32(a.Try),
		})
	}
	if e.Data == nil && q.Order != "" {
		told, err := s.History.Order(ctx, q.Order)
		if kind := fault.KindOf(err); err != nil && kind != fault.KindUnavailable && kind != fault.KindNotFound {
			return nil, err
		}
		if i := slices.IndexFunc(told.Events, func(h queue.Event) bool { return h.ID == e.ID }); i >= 0 {
			e.Data = told.Events[i].Data
		}
	}
	if e.Data == nil {
		return w, nil
	}
	body, err := payload.Render(e)
	w.RequestBody = string(body)
	return w, err
}
