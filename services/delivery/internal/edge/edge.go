// Package edge is the delivery service's gRPC: it decodes and validates
// requests, reads and writes documents, and answers. It sends no mail itself.
package edge

import (
	"context"
	"errors"
	"fmt"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/delivery/internal/deliveries"
	"quittance/services/delivery/internal/delivery"
)

// Products knows which products a merchant has.
type Products interface {
	// Product reads a merchant's product; fault.KindNotFound if there is none.
	Product(ctx context.Context, merchant, product string) (*orderv1.Product, error)
}

// Server implements DeliveryService.
type Server struct {
	deliveryv1.UnimplementedDeliveryServiceServer
	Deliveries *deliveries.Deliveries
	Products   Products
}

var _ deliveryv1.DeliveryServiceServer = (*Server)(nil)

// GetPool implements DeliveryService. It counts by reading the whole pool, page
// by page.
func (s *Server) GetPool(ctx context.Context, req *deliveryv1.GetPoolRequest) (*deliveryv1.Pool, error) {
	merchant, product := rpc.MerchantID(ctx), req.GetProductId()
	if err := s.known(ctx, merchant, product); err != nil {
		return nil, err
	}
	free, err := s.Deliveries.Licenses.Count(ctx, merchant, product, delivery.LicenseFree)
	if err != nil {
		return nil, err
	}
	held, err := s.Deliveries.Licenses.Count(ctx, merchant, product, delivery.LicenseHeld)
	if err != nil {
		return nil, err
	}
	return &deliveryv1.Pool{ProductId: product, Free: free, Held: held}, nil
}

// GetDelivery implements DeliveryService.
func (s *Server) GetDelivery(ctx context.Context, req *deliveryv1.GetDeliveryRequest) (*deliveryv1.Delivery, error) {
	doc, err := s.Deliveries.For(rpc.MerchantID(ctx)).Get(ctx, delivery.ID(req.GetOrderId()))
	if err != nil {
		return nil, missing(err, req.GetOrderId())
	}
	return s.answer(ctx, doc)
}

// ResendEmail implements DeliveryService. It queues the mails; the answer shows
// the delivery as it is before they are sent.
func (s *Server) ResendEmail(ctx context.Context, req *deliveryv1.ResendEmailRequest) (*deliveryv1.Delivery, error) {
	doc, err := s.Deliveries.Resend(ctx, rpc.MerchantID(ctx), req.GetOrderId())
	if errors.Is(err, delivery.ErrState) {
		return nil, fault.Conflict("%v", err)
	}
	if err != nil {
		return nil, missing(err, req.GetOrderId())
	}
	return s.answer(ctx, doc)
}

// answer is a delivery with its keys unsealed, for its own merchant.
func (s *Server) answer(ctx context.Context, doc *docstore.Doc[delivery.Delivery]) (*deliveryv1.Delivery, error) {
	keys, err := s.Deliveries.Keys(ctx, &doc.Body)
	if err != nil {
		return nil, fmt.Errorf("read licence keys: %w", err)
	}
	return doc.Body.View(keys), nil
}

// known refuses a product that the merchant does not have.
func (s *Server) known(ctx context.Context, merchant, product string) error {
	_, err := s.Products.Product(ctx, merchant, product)
	if fault.KindOf(err) == fault.KindNotFound {
		return fault.NotFound("product %q", product)
	}
	return err
}

// missing turns a store's "no such document" into what the caller sees.
func missing(err error, orderID string) error {
	if errors.Is(err, docstore.ErrNotFound) {
		return fault.NotFound("delivery of order %q", orderID)
	}
	return err
}
