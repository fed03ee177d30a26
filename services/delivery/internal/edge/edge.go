// Package edge is the delivery service's gRPC: it decodes and validates
// requests, reads and writes documents, and answers. It sends no mail itself.
package edge

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/egress"
	"quittance/pkg/fault"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/delivery/internal/deliveries"
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
	// Egress says which web services may be called.
	Egress egress.Policy
}

var _ deliveryv1.DeliveryServiceServer = (*Server)(nil)

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

// badToken names the token of a page that the store does not know.
func badToken(err error, field string) error {
	if errors.Is(err, docstore.ErrCursor) {
		return fault.Invalid(field, "is not one of an earlier answer")
	}
	return err
}

// checkReason checks what is kept on record as the reason of a change.
func checkReason(reason string) error {
	n := utf8.RuneCountInString(reason)
	if n < 1 || n > 200 || !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) {
		return fault.Invalid("reason", "must be one line of 1 to 200 characters")
	}
	return nil
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
