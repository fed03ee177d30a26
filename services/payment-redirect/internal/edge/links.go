package edge

import (
	"context"
	"net/url"
	"strconv"

	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
)

// SignCheckoutLink implements PaymentService.
func (s *Payments) SignCheckoutLink(ctx context.Context, req *paymentv1.SignCheckoutLinkRequest) (*paymentv1.SignCheckoutLinkResponse, error) {
	q := url.Values{
		paramAdd: req.GetAdd(), paramCurrency: {req.GetCurrency()}, paramDiscount: {req.GetDiscountCode()},
		paramReference: {req.GetReference()}, paramReturn: {req.GetReturnUrl()},
	}
	if req.GetQuantity() != 0 {
		q.Set(paramQuantity, strconv.FormatInt(req.GetQuantity(), 10))
	}
	if t := req.GetExpireTime(); t != nil {
		q.Set(paramExpires, strconv.FormatInt(t.GetSeconds(), 10))
	}
	merchant := rpc.MerchantID(ctx)
	var v fault.Validation
	v.Check(len(q.Encode()) <= maxLink, "add", "and the others make the link too long")
	v.Check(productID.MatchString(req.GetProductId()), "product_id", "is not a product id")
	itemsOf(&v, req.GetProductId(), q)
	if err := v.Err(); err != nil {
		return nil, err
	}
	p, err := s.Checkout.Reference.Product(ctx, merchant, req.GetProductId())
	if err != nil || p.GetArchived() {
		return nil, orNotFound(err, "product")
	}
	return &paymentv1.SignCheckoutLinkResponse{Url: s.Checkout.Link(merchant, req.GetProductId(), q)}, nil
}
