package edge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/money"
	"quittance/pkg/reference"
	"quittance/pkg/returns"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order/internal/customers"
	"quittance/services/order/internal/discount"
	"quittance/services/order/internal/discounts"
	"quittance/services/order/internal/order"
	"quittance/services/order/internal/orders"
)

// watchPoll is how often a watched order is looked at for other replicas' writes.
const watchPoll = 500 * time.Millisecond

// Orders implements OrderService.
type Orders struct {
	orderv1.UnimplementedOrderServiceServer
	Orders    *orders.Orders
	Customers *customers.Customers
	Reference *reference.Owner
	Discounts *discounts.Discounts
	// PayURL is the public base URL of the pay pages.
	PayURL string
}

var _ orderv1.OrderServiceServer = (*Orders)(nil)

// CreateOrder implements OrderService.
func (s *Orders) CreateOrder(ctx context.Context, req *orderv1.CreateOrderRequest) (*orderv1.Order, error) {
	merchantID := rpc.MerchantID(ctx)
	if err := validateCreate(req); err != nil {
		return nil, err
	}
	hash, err := requestHash(req)
	if err != nil {
		return nil, err
	}
	orderID := id.Derived("ord", merchantID, req.GetIdempotencyKey())
	o, discount, err := s.build(ctx, merchantID, orderID, req)
	if err == nil {
		err = s.useDiscount(ctx, o, discount)
	}
	if err != nil {
		// The repeat of a request that was good once stays good, whatever
		// became of its products since.
		if doc, e := s.Orders.For(merchantID).Get(ctx, orderID); e == nil {
			return s.repeated(doc, hash)
		}
		return nil, err
	}
	o.Request = hash
	events, err := s.Orders.Events(o, o.Create(s.Orders.Now()))
	if err != nil {
		return nil, err
	}
	doc, err := s.Orders.For(merchantID).Insert(ctx, orderID, o, events...)
	if errors.Is(err, docstore.ErrExists) {
		if doc, err = s.Orders.For(merchantID).Get(ctx, orderID); err == nil {
			return s.repeated(doc, hash)
		}
	}
	if err != nil {
		return nil, err
	}
	return s.answer(&doc.Body), nil
}

func (s *Orders) repeated(doc *docstore.Doc[order.Order], hash string) (*orderv1.Order, error) {
	if doc.Body.Erased() { // with what it was asked for
		return nil, fault.Conflict("idempotency_key was used for order %s, whose customer was erased", doc.ID)
	}
	if doc.Body.Request != hash {
		return nil, fault.Conflict("idempotency_key was used for a different request")
	}
	return s.answer(&doc.Body), nil
}

func requestHash(req *orderv1.CreateOrderRequest) (string, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return "", fmt.Errorf("marshal request: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// PriceOrder implements OrderService.
func (s *Orders) PriceOrder(ctx context.Context, req *orderv1.PriceOrderRequest) (*orderv1.Order, error) {
	var v fault.Validation
	validateItems(&v, req.GetOrder())
	if err := v.Err(); err != nil {
		return nil, err
	}
	o, _, err := s.build(ctx, rpc.MerchantID(ctx), "", req.GetOrder())
	if err != nil {
		return nil, err
	}
	return o.View(), nil
}

// build prices an order from the catalogue, and says which discount made it
// cheaper.
func (s *Orders) build(ctx context.Context, merchantID, orderID string, req *orderv1.CreateOrderRequest) (*order.Order, *discount.Discount, error) {
	var v fault.Validation
	m, err := s.Reference.Merchant(ctx, merchantID)
	if err != nil {
		return nil, nil, err
	}
	if raw := req.GetReturnUrl(); raw != "" {
		if err := returns.Allowed(raw, m.GetReturnUrlAllowList()); err != nil {
			v.Check(false, "return_url", "%v", err)
		}
	}
	o := &order.Order{
		ID: orderID, Merchant: merchantID, Reference: req.GetReference(), TokenHash: orders.TokenHash(s.Orders.Token(orderID)),
		Customer: order.Customer{
			Email: req.GetCustomer().GetEmail(), Name: req.GetCustomer().GetName(), Locale: req.GetCustomer().GetLocale(),
			Company: req.GetCustomer().GetCompany(), VATID: req.GetCustomer().GetVatId(), Address: req.GetCustomer().GetAddress(),
		},
		Consent: consentOf(req.GetConsent()), Prepaid: req.GetPrepaid(), ReturnURL: req.GetReturnUrl(), Metadata: req.GetMetadata(),
		User: req.GetUserId(), Method: req.GetPaymentMethod(), CancelOnFailure: m.GetPolicy().GetCancelOnFailure(),
		Reminders: remindersOf(m.GetCustomerMails()), EraseAfter: m.GetPolicy().GetEraseAfter().AsDuration(),
	}
	for i, it := range req.GetItems() {
		field := fmt.Sprintf("items[%d]", i)
		p, err := s.Reference.Product(ctx, merchantID, it.GetProductId())
		if fault.KindOf(err) == fault.KindNotFound || err == nil && p.GetArchived() {
			v.Check(false, field+".product_id", "no product %q is for sale", it.GetProductId())
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		price, ok := priceIn(p, req.GetCurrency())
		if !v.Check(ok, field+".product_id", "product %q has no price in %s", p.GetId(), req.GetCurrency()) {
			continue
		}
		line, err := order.NewLine(p.GetId(), p.GetName(), it.GetQuantity(), price, p.GetDeliveryMethod(), p.GetMailText())
		if !v.Check(err == nil, field+".quantity", "%v", err) {
			continue
		}
		line.Fallback = p.GetFallbackMethod()
		o.Lines = append(o.Lines, line)
	}
	if err := v.Err(); err != nil {
		return nil, nil, err
	}
	used, err := s.cheaper(ctx, o, req.GetDiscountCode())
	if err != nil {
		return nil, nil, err
	}
	if o.Total, err = order.Sum(o.Lines, req.GetCurrency()); err != nil {
		return nil, nil, fault.Invalid("items", "%v", err)
	}
	return o, used, nil
}

func consentOf(c *orderv1.Consent) *order.Consent {
	if c == nil {
		return nil
	}
	return &order.Consent{TermsVersion: c.GetTermsVersion(), Time: c.GetTime().AsTime()}
}

func priceIn(p *orderv1.Product, currency string) (money.Amount, bool) {
	for _, m := range p.GetPrices() {
		if m.GetCurrency() == currency {
			return money.Amount{Minor: m.GetMinor(), Currency: currency}, true
		}
	}
	return money.Amount{}, false
}

// answer is the order's view with the customer's link.
func (s *Orders) answer(o *order.Order) *orderv1.Order {
	v := o.View()
	v.PayUrl = s.PayURL + "/pay/" + s.Orders.Token(o.ID)
	return v
}

// GetOrder implements OrderService.
func (s *Orders) GetOrder(ctx context.Context, req *orderv1.GetOrderRequest) (*orderv1.Order, error) {
	doc, err := s.Orders.For(rpc.MerchantID(ctx)).Get(ctx, req.GetOrderId())
	if err != nil {
		return nil, missing(err, "order %q", req.GetOrderId())
	}
	return s.answer(&doc.Body), nil
}

// ListOrders implements OrderService.
func (s *Orders) ListOrders(ctx context.Context, req *orderv1.ListOrdersRequest) (*orderv1.ListOrdersResponse, error) {
	size, err := rpc.PageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	docs, next, err := s.Orders.For(rpc.MerchantID(ctx)).Find(ctx, docstore.Query{
		Index: "created", Descending: true, After: req.GetPageToken(), Limit: size,
	})
	if err != nil {
		return nil, badToken(err, "page_token")
	}
	out := &orderv1.ListOrdersResponse{NextPageToken: next}
	for _, d := range docs {
		out.Orders = append(out.Orders, s.answer(&d.Body))
	}
	return out, nil
}

// WatchOrder implements OrderService.
func (s *Orders) WatchOrder(req *orderv1.WatchOrderRequest, stream orderv1.OrderService_WatchOrderServer) error {
	ctx := stream.Context()
	if _, err := s.Orders.For(rpc.MerchantID(ctx)).Get(ctx, req.GetOrderId()); err != nil {
		return missing(err, "order %q", req.GetOrderId())
	}
	var seen int64
	for {
		doc, err := s.Orders.Await(ctx, req.GetOrderId(), watchPoll, func(d *docstore.Doc[order.Order]) bool { return d.Version > seen })
		if err != nil {
			return err
		}
		seen = doc.Version
		if err := stream.Send(s.answer(&doc.Body)); err != nil {
			return err
		}
	}
}
