package edge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/webhook"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/payload"
	"quittance/services/notification/internal/queue"
)

const (
	defaultOverlap = 24 * time.Hour
	maxOverlap     = 7 * 24 * time.Hour
	// testPoll is how often the store is asked for a test that another process
	// sends; testMargin is what it may take beside the try.
	testPoll   = 200 * time.Millisecond
	testMargin = 5 * time.Second
)

// PauseEndpoint implements NotificationService.
func (s *Server) PauseEndpoint(ctx context.Context, req *notificationv1.PauseEndpointRequest) (*notificationv1.Endpoint, error) {
	return s.toggle(ctx, req.GetEndpointId(), true)
}

// ResumeEndpoint implements NotificationService.
func (s *Server) ResumeEndpoint(ctx context.Context, req *notificationv1.ResumeEndpointRequest) (*notificationv1.Endpoint, error) {
	return s.toggle(ctx, req.GetEndpointId(), false)
}

func (s *Server) toggle(ctx context.Context, endpointID string, disabled bool) (*notificationv1.Endpoint, error) {
	now := s.Endpoints.Now()
	e, err := s.change(ctx, endpointID, func(e *endpoint.Endpoint) bool { return e.Switch(disabled, now) })
	if err != nil {
		return nil, err
	}
	return s.answer(e), nil
}

// DeleteEndpoint implements NotificationService.
func (s *Server) DeleteEndpoint(ctx context.Context, req *notificationv1.DeleteEndpointRequest) (*notificationv1.DeleteEndpointResponse, error) {
	for {
		doc, err := s.get(ctx, req.GetEndpointId())
		if err != nil {
			return nil, err
		}
		gone, err := s.Endpoints.Delete(ctx, doc.ID, doc.Version)
		if err != nil {
			return nil, err
		}
		if gone {
			return &notificationv1.DeleteEndpointResponse{}, nil
		}
	}
}

// RotateSecret implements NotificationService.
func (s *Server) RotateSecret(ctx context.Context, req *notificationv1.RotateSecretRequest) (*notificationv1.RotateSecretResponse, error) {
	overlap := defaultOverlap
	if d := req.GetOverlap(); d != nil {
		if overlap = d.AsDuration(); !d.IsValid() || overlap < 0 || overlap > maxOverlap {
			return nil, fault.Invalid("overlap", "must be from 0 to %s", maxOverlap)
		}
	}
	secret := req.GetSecret()
	if secret == "" {
		secret = webhook.NewSecret()
	} else if webhook.CheckSecret(secret) != nil {
		return nil, fault.Invalid("secret", "must be whsec_ and the base64 of 24 to 64 bytes")
	}
	doc, err := s.get(ctx, req.GetEndpointId())
	if err != nil {
		return nil, err
	}
	sealed, err := s.Keyring.Seal([]byte(secret), doc.ID)
	if err != nil {
		return nil, fmt.Errorf("seal the endpoint's secret: %w", err)
	}
	now := s.Endpoints.Now()
	e, err := s.change(ctx, req.GetEndpointId(), func(e *endpoint.Endpoint) bool {
		e.Rotate(sealed, now.Add(overlap), now)
		return true
	})
	if err != nil {
		return nil, err
	}
	return &notificationv1.RotateSecretResponse{Secret: secret, OverlapEndTime: stamp(e.RotationEnd(now))}, nil
}

// SendTest implements NotificationService.
func (s *Server) SendTest(ctx context.Context, req *notificationv1.SendTestRequest) (*notificationv1.Webhook, error) {
	typ := req.GetEventType()
	if typ == "" {
		typ = types()[0]
	}
	var v fault.Validation
	checkTypes(&v, "event_type", []string{typ})
	if err := v.Err(); err != nil {
		return nil, fault.Invalid("event_type", "is not a type of public events")
	}
	ep, err := s.get(ctx, req.GetEndpointId())
	if err != nil {
		return nil, err
	}
	e, err := payload.Example(id.New("evt"), typ, ep.Tenant, s.Queues.Now())
	if err != nil {
		return nil, err
	}
	e.Test = true
	if err := s.Queues.Test(ctx, &ep.Body, e); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Longest+testMargin)
	defer cancel()
	doc, err := s.Queues.Await(ctx, queue.DocID(e.ID, ep.Body.ID), testPoll, func(d *docstore.Doc[queue.Queue]) bool {
		return len(d.Body.Events) == 1 && d.Body.Events[0].State != queue.Pending
	})
	if err != nil && (doc == nil || !errors.Is(err, context.DeadlineExceeded)) {
		return nil, err
	}
	return s.detail(ctx, &ep.Body, &doc.Body, doc.Body.Events[0])
}
