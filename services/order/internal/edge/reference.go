package edge

import (
	"context"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/reference"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order/internal/orders"
)

// Refs implements the internal ReferenceService.
type Refs struct {
	orderv1.UnimplementedReferenceServiceServer
	Reference *reference.Owner
	Orders    *Orders
}

var _ orderv1.ReferenceServiceServer = (*Refs)(nil)

// GetReference implements ReferenceService.
func (s *Refs) GetReference(ctx context.Context, req *orderv1.GetReferenceRequest) (*orderv1.Reference, error) {
	return s.Reference.Reference(ctx, req.GetKind(), req.GetId())
}

// ListReferences implements ReferenceService.
func (s *Refs) ListReferences(ctx context.Context, req *orderv1.ListReferencesRequest) (*orderv1.ListReferencesResponse, error) {
	refs, err := s.Reference.References(ctx, req.GetKind(), req.GetMerchantId())
	return &orderv1.ListReferencesResponse{References: refs}, err
}

// GetOrderForService implements ReferenceService.
func (s *Refs) GetOrderForService(ctx context.Context, req *orderv1.GetOrderForServiceRequest) (*orderv1.Order, error) {
	doc, err := s.Orders.Orders.Get(ctx, req.GetOrderId())
	if err != nil {
		return nil, missing(err, "order %q", req.GetOrderId())
	}
	return s.Orders.answer(&doc.Body), nil
}

// GetOrderByToken implements ReferenceService.
func (s *Refs) GetOrderByToken(ctx context.Context, req *orderv1.GetOrderByTokenRequest) (*orderv1.Order, error) {
	if req.GetToken() == "" {
		return nil, fault.NotFound("order")
	}
	docs, _, err := s.Orders.Orders.Find(ctx, docstore.Query{AllTenants: true, Index: "token", Equal: orders.TokenHash(req.GetToken()), Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 {
		return nil, fault.NotFound("order")
	}
	return s.Orders.answer(&docs[0].Body), nil
}

// ListDeliveredForService implements ReferenceService.
func (s *Refs) ListDeliveredForService(ctx context.Context, req *orderv1.ListDeliveredForServiceRequest) (*orderv1.ListDeliveredForServiceResponse, error) {
	size, err := rpc.PageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	docs, next, err := s.Orders.Orders.Find(ctx, docstore.Query{AllTenants: true, After: req.GetPageToken(), Limit: size})
	if err != nil {
		return nil, badToken(err, "page_token")
	}
	out := &orderv1.ListDeliveredForServiceResponse{NextPageToken: next}
	for _, d := range docs {
		if record := d.Body.Record(); record != nil {
			out.Orders = append(out.Orders, record)
		}
	}
	return out, nil
}

// ListEventsForService implements ReferenceService.
func (s *Refs) ListEventsForService(ctx context.Context, req *orderv1.ListEventsForServiceRequest) (*orderv1.ListEventsResponse, error) {
	if req.GetOrderId() != "" {
		doc, err := s.Orders.Orders.Get(ctx, req.GetOrderId())
		if err != nil {
			return nil, missing(err, "order %q", req.GetOrderId())
		}
		events, err := public(doc)
		return &orderv1.ListEventsResponse{Events: events}, err
	}
	return listEvents(ctx, s.Orders.Orders.Find, s.Orders.Orders.Now(), req.GetPageSize(), req.GetCursor())
}
