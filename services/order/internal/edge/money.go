package edge

import (
	"context"
	"errors"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/money"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order/internal/order"
)

// maxReason bounds what a merchant notes for its own books.
const maxReason = 200

// ResolveHold implements OrderService.
func (s *Orders) ResolveHold(ctx context.Context, req *orderv1.ResolveHoldRequest) (*orderv1.Order, error) {
	switch req.GetDecision() {
	case orderv1.HoldDecision_HOLD_DECISION_ACCEPT, orderv1.HoldDecision_HOLD_DECISION_REFUND:
	case orderv1.HoldDecision_HOLD_DECISION_UNSPECIFIED:
		return nil, fault.Invalid("decision", "must be set")
	default:
		return nil, fault.Invalid("decision", "is not known")
	}
	return s.change(ctx, req.GetOrderId(), func(o *order.Order) ([]order.Announcement, error) {
		return o.Resolve(req.GetDecision(), s.Orders.Now())
	})
}

// RefundOrder implements OrderService.
func (s *Orders) RefundOrder(ctx context.Context, req *orderv1.RefundOrderRequest) (*orderv1.Order, error) {
	var v fault.Validation
	text(&v, "idempotency_key", req.GetIdempotencyKey(), 1, 64)
	text(&v, "reason", req.GetReason(), 0, maxReason)
	if m := req.GetAmount(); m != nil {
		_, known := money.Exponent(m.GetCurrency())
		v.Check(known, "amount.currency", "must be an ISO 4217 code in upper case")
		v.Check(m.GetMinor() > 0, "amount.minor", "must be more than 0")
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	wish := order.RefundRequest{
		Key: req.GetIdempotencyKey(), Attempt: req.GetAttemptId(), Reason: req.GetReason(),
		Amount: money.Amount{Minor: req.GetAmount().GetMinor(), Currency: req.GetAmount().GetCurrency()},
	}
	return s.change(ctx, req.GetOrderId(), func(o *order.Order) ([]order.Announcement, error) {
		return o.Refund(wish, s.Orders.Now())
	})
}

// CapturePayment implements OrderService.
func (s *Orders) CapturePayment(ctx context.Context, req *orderv1.CapturePaymentRequest) (*orderv1.Order, error) {
	return s.change(ctx, req.GetOrderId(), func(o *order.Order) ([]order.Announcement, error) {
		return o.Capture(orderv1.OperationCause_OPERATION_CAUSE_MERCHANT, s.Orders.Now())
	})
}

// CancelOrder implements OrderService.
func (s *Orders) CancelOrder(ctx context.Context, req *orderv1.CancelOrderRequest) (*orderv1.Order, error) {
	return s.change(ctx, req.GetOrderId(), func(o *order.Order) ([]order.Announcement, error) {
		return o.Cancel(s.Orders.Now())
	})
}

// change runs a transition on an order of the calling merchant. One that
// announces nothing and decides nothing has happened before.
func (s *Orders) change(ctx context.Context, orderID string, transition func(*order.Order) ([]order.Announcement, error)) (*orderv1.Order, error) {
	doc, err := s.Orders.For(rpc.MerchantID(ctx)).Update(ctx, orderID, func(o *order.Order, ch *docstore.Change) error {
		resolved := o.Resolved
		list, err := transition(o)
		var field *order.FieldError
		switch {
		case errors.As(err, &field):
			return fault.Invalid(field.Field, "%s", field.Problem)
		case err != nil:
			return fault.Conflict("%v", err)
		case len(list) == 0 && o.Resolved == resolved:
			return docstore.ErrUnchanged
		}
		return s.Orders.Announce(ch, o, list)
	})
	if err != nil {
		return nil, missing(err, "order %q", orderID)
	}
	return s.answer(&doc.Body), nil
}
