// Package edge is the notification service's gRPC: it decodes and validates
// requests, reads and writes documents, and answers. To replay, it reads the
// history of the order.
package edge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"quittance/pkg/docstore"
	"quittance/pkg/egress"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/webhook"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/endpoints"
	"quittance/services/notification/internal/history"
	"quittance/services/notification/internal/queues"
	"quittance/services/notification/internal/replays"
)

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
	Replays   *replays.Replays
	History   Historian
	Keyring   *seal.Keyring
	// Egress says which URLs are accepted.
	Egress egress.Policy
	// Longest is the longest that any try takes.
	Longest time.Duration
}

var _ notificationv1.NotificationServiceServer = (*Server)(nil)

// PutEndpoint implements NotificationService.
func (s *Server) PutEndpoint(ctx context.Context, req *notificationv1.PutEndpointRequest) (*notificationv1.Endpoint, error) {
	given := req.GetEndpoint()
	if err := s.validate(given, req.GetCredentials()); err != nil {
		return nil, err
	}
	merchant := rpc.MerchantID(ctx)
	docID := endpoint.DocID(merchant, given.GetId())
	settings := settingsOf(given)
	if req.GetCredentials() != nil {
		if err := s.seal(&settings, docID, req.GetCredentials()); err != nil {
			return nil, err
		}
	}
	now := s.Endpoints.Now()
	doc, err := s.Endpoints.For(merchant).Update(ctx, docID, func(e *endpoint.Endpoint, _ *docstore.Change) error {
		if e.Unordered != given.GetUnordered() {
			return fault.Invalid("endpoint.unordered", "can't be changed: make another endpoint")
		}
		mine := settings
		if req.GetCredentials() == nil {
			mine.Credentials, mine.HeaderNames, mine.Authorization = e.Credentials, e.HeaderNames, e.Authorization
		}
		if !e.Put(mine, now) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	if errors.Is(err, docstore.ErrNotFound) {
		return s.create(ctx, merchant, given, settings)
	}
	if err != nil {
		return nil, err
	}
	return s.answer(&doc.Body), nil
}

// create makes a new endpoint; its secret is in the answer, and never again.
func (s *Server) create(ctx context.Context, merchant string, given *notificationv1.Endpoint, settings endpoint.Settings) (*notificationv1.Endpoint, error) {
	others, err := s.Endpoints.Of(ctx, merchant)
	if err != nil {
		return nil, err
	}
	if len(others) >= endpoints.MaxPerMerchant {
		return nil, fault.Exhausted("a merchant has at most %d endpoints", endpoints.MaxPerMerchant)
	}
	docID := endpoint.DocID(merchant, given.GetId())
	secret := webhook.NewSecret()
	sealed, err := s.Keyring.Seal([]byte(secret), docID)
	if err != nil {
		return nil, fmt.Errorf("seal the endpoint's secret: %w", err)
	}
	e := &endpoint.Endpoint{
		Settings: settings, Merchant: merchant, ID: given.GetId(), Unordered: given.GetUnordered(),
		Secret: sealed, Created: s.Endpoints.Now(),
	}
	if settings.Disabled {
		e.DisabledBy = endpoint.ByMerchant
	}
	doc, err := s.Endpoints.For(merchant).Insert(ctx, docID, e)
	if errors.Is(err, docstore.ErrExists) {
		return nil, fault.Conflict("endpoint %q is being created by another request", given.GetId())
	}
	if err != nil {
		return nil, err
	}
	out := s.answer(&doc.Body)
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
		out.Endpoints = append(out.Endpoints, s.answer(e))
	}
	return out, nil
}

// get reads one of the merchant's endpoints.
func (s *Server) get(ctx context.Context, endpointID string) (*docstore.Doc[endpoint.Endpoint], error) {
	merchant := rpc.MerchantID(ctx)
	doc, err := s.Endpoints.For(merchant).Get(ctx, endpoint.DocID(merchant, endpointID))
	return doc, endpoints.Missing(err, endpointID)
}

// change changes one of the merchant's endpoints.
func (s *Server) change(ctx context.Context, endpointID string, change func(*endpoint.Endpoint) bool) (*endpoint.Endpoint, error) {
	merchant := rpc.MerchantID(ctx)
	doc, err := s.Endpoints.For(merchant).Update(ctx, endpoint.DocID(merchant, endpointID), func(e *endpoint.Endpoint, _ *docstore.Change) error {
		if !change(e) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	if err != nil {
		return nil, endpoints.Missing(err, endpointID)
	}
	return &doc.Body, nil
}

// answer is the endpoint without its secrets.
func (s *Server) answer(e *endpoint.Endpoint) *notificationv1.Endpoint {
	out := &notificationv1.Endpoint{
		Id: e.ID, Url: e.URL, EventTypes: e.Types, Disabled: e.Disabled, ProductIds: e.Products, Metadata: e.Metadata,
		MaxInFlight: int32(e.InFlight), MaxPerSecond: int32(e.PerSecond), Unordered: e.Unordered, NotifyEmail: e.Notify,
		HeaderNames: e.HeaderNames, Authorization: e.Authorization, RotationEndTime: stamp(e.RotationEnd(s.Endpoints.Now())),
		CreateTime: stamp(e.Created),
		Health: &notificationv1.EndpointHealth{
			State: notificationv1.HealthState_HEALTH_STATE_OK, FailingSince: stamp(e.Failing), DisabledBy: string(e.DisabledBy),
			Problem: e.Problem,
		},
	}
	switch {
	case e.Disabled:
		out.Health.State = notificationv1.HealthState_HEALTH_STATE_DISABLED
	case !e.Failing.IsZero():
		out.Health.State = notificationv1.HealthState_HEALTH_STATE_FAILING
	}
	if e.Timeout > 0 {
		out.Timeout = durationpb.New(e.Timeout)
	}
	for _, pause := range e.Retries {
		out.RetryDelays = append(out.RetryDelays, durationpb.New(pause))
	}
	return out
}
