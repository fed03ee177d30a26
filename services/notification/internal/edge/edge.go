// Package edge is the notification service's gRPC: it decodes and validates
// requests, reads and writes documents, and answers. To replay, it reads the
// history of the order.
package edge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"quittance/pkg/docstore"
	"quittance/pkg/egress"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/webhook"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/endpoints"
	"quittance/services/notification/internal/history"
	"quittance/services/notification/internal/queues"
)

var slug = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// Historian reads the history of an order: fault.KindNotFound if there is no
// such order, fault.KindUnavailable if its owner can't be asked.
type Historian interface {
	Order(ctx context.Context, order string) (history.Order, error)
}

// Server implements NotificationService.
type Server struct {
	notificationv1.UnimplementedNotificationServiceServer
	Endpoints *endpoints.Endpoints
	Queues    *queues.Queues
	History   Historian
	Keyring   *seal.Keyring
	// Egress says which URLs are accepted.
	Egress egress.Policy
}

var _ notificationv1.NotificationServiceServer = (*Server)(nil)

// PutEndpoint implements NotificationService.
func (s *Server) PutEndpoint(ctx context.Context, req *notificationv1.PutEndpointRequest) (*notificationv1.Endpoint, error) {
	given := req.GetEndpoint()
	if err := s.validate(given); err != nil {
		return nil, err
	}
	merchant := rpc.MerchantID(ctx)
	settings := endpoint.Settings{
		URL: given.GetUrl(), Types: slices.Clone(given.GetEventTypes()), Disabled: given.GetDisabled(),
	}
	now := s.Endpoints.Now()
	doc, err := s.Endpoints.For(merchant).Update(ctx, endpoint.DocID(merchant, given.GetId()), func(e *endpoint.Endpoint, _ *docstore.Change) error {
		if !e.Put(settings, now) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	if errors.Is(err, docstore.ErrNotFound) {
		return s.create(ctx, merchant, given.GetId(), settings)
	}
	if err != nil {
		return nil, err
	}
	return answer(&doc.Body), nil
}

// create makes a new endpoint; its secret is in the answer, and never again.
func (s *Server) create(ctx context.Context, merchant, endpointID string, settings endpoint.Settings) (*notificationv1.Endpoint, error) {
	others, err := s.Endpoints.Of(ctx, merchant)
	if err != nil {
		return nil, err
	}
	if len(others) >= endpoints.MaxPerMerchant {
		return nil, fault.Exhausted("a merchant has at most %d endpoints", endpoints.MaxPerMerchant)
	}
	docID := endpoint.DocID(merchant, endpointID)
	secret := webhook.NewSecret()
	sealed, err := s.Keyring.Seal([]byte(secret), docID)
	if err != nil {
		return nil, fmt.Errorf("seal the endpoint's secret: %w", err)
	}
	e := &endpoint.Endpoint{
		Merchant: merchant, ID: endpointID, URL: settings.URL, Types: settings.Types, Disabled: settings.Disabled,
		Secret: sealed, Created: s.Endpoints.Now(),
	}
	doc, err := s.Endpoints.For(merchant).Insert(ctx, docID, e)
	if errors.Is(err, docstore.ErrExists) {
		return nil, fault.Conflict("endpoint %q is being created by another request", endpointID)
	}
	if err != nil {
		return nil, err
	}
	out := answer(&doc.Body)
	out.Secret = secret
	return out, nil
}

// ListEndpoints implements NotificationService.
func (s *Server) ListEndpoints(ctx context.Context, _ *notificationv1.ListEndpointsRequest) (*notificationv1.ListEndpointsResponse, error) {
	eps, err := s.Endpoints.Of(ctx, rpc.MerchantID(ctx))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(eps, func(a, b *endpoint.Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	out := &notificationv1.ListEndpointsResponse{}
	for _, e := range eps {
		out.Endpoints = append(out.Endpoints, answer(e))
	}
	return out, nil
}

// Replay implements NotificationService.
func (s *Server) Replay(ctx context.Context, req *notificationv1.ReplayRequest) (*notificationv1.ReplayResponse, error) {
	merchant := rpc.MerchantID(ctx)
	ep, err := s.Endpoints.For(merchant).Get(ctx, endpoint.DocID(merchant, req.GetEndpointId()))
	if err != nil {
		return nil, missing(err, "endpoint %q", req.GetEndpointId())
	}
	if ep.Body.Disabled {
		return nil, fault.Conflict("endpoint %q is disabled", req.GetEndpointId())
	}
	if req.GetOrderId() == "" {
		return nil, fault.Invalid("order_id", "must be set")
	}
	told, err := s.History.Order(ctx, req.GetOrderId())
	if err != nil {
		return nil, err
	}
	if told.Merchant != merchant {
		return nil, fault.NotFound("order %q", req.GetOrderId())
	}
	n, err := s.Queues.Replay(ctx, &ep.Body, told)
	return &notificationv1.ReplayResponse{Webhooks: int32(n)}, err
}

// answer is the endpoint without its secret.
func answer(e *endpoint.Endpoint) *notificationv1.Endpoint {
	return &notificationv1.Endpoint{Id: e.ID, Url: e.URL, EventTypes: e.Types, Disabled: e.Disabled}
}

// missing turns a store's "no such document" into what the caller sees.
func missing(err error, format string, args ...any) error {
	if errors.Is(err, docstore.ErrNotFound) {
		return fault.NotFound(format, args...)
	}
	return err
}

func (s *Server) validate(e *notificationv1.Endpoint) error {
	var v fault.Validation
	v.Check(slug.MatchString(e.GetId()), "endpoint.id", "must be 1 to 40 of a-z, 0-9, '-'")
	if err := s.Egress.CheckURL(e.GetUrl()); err != nil {
		v.Check(false, "endpoint.url", "%v", err)
	}
	v.Check(len(e.GetEventTypes()) <= len(event.Public), "endpoint.event_types", "must have at most %d entries", len(event.Public))
	for i, typ := range e.GetEventTypes() {
		if i == len(event.Public) {
			break
		}
		field := fmt.Sprintf("endpoint.event_types[%d]", i)
		v.Check(slices.Contains(event.Public, typ), field, "is not a type of public events")
		v.Check(!slices.Contains(e.GetEventTypes()[:i], typ), field, "is there twice")
	}
	return v.Err()
}
