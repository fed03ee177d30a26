package edge

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/money"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order/internal/discount"
	"quittance/services/order/internal/order"
)

var discountCode = regexp.MustCompile(`^[A-Z0-9][A-Z0-9_-]{0,31}$`)

// PutDiscount implements CatalogService.
func (s *Catalog) PutDiscount(ctx context.Context, req *orderv1.PutDiscountRequest) (*orderv1.Discount, error) {
	p := req.GetDiscount()
	if err := validateDiscount(p); err != nil {
		return nil, err
	}
	d := &discount.Discount{
		Code: strings.ToUpper(p.GetCode()), Percent: int64(p.GetPercent()), Products: p.GetProductIds(), MaxUses: p.GetMaxUses(),
		OncePerCustomer: p.GetOncePerCustomer(), Archived: p.GetArchived(),
	}
	for _, m := range p.GetAmounts() {
		d.Amounts = append(d.Amounts, money.Amount{Minor: m.GetMinor(), Currency: m.GetCurrency()})
	}
	if t := p.GetStartTime(); t != nil {
		d.Start = t.AsTime()
	}
	if t := p.GetEndTime(); t != nil {
		d.End = t.AsTime()
	}
	return discountView(d), s.Discounts.Put(ctx, rpc.MerchantID(ctx), d)
}

// GetDiscount implements CatalogService.
func (s *Catalog) GetDiscount(ctx context.Context, req *orderv1.GetDiscountRequest) (*orderv1.Discount, error) {
	d, err := s.Discounts.Get(ctx, rpc.MerchantID(ctx), strings.ToUpper(req.GetCode()))
	if err != nil {
		return nil, missing(err, "discount %q", req.GetCode())
	}
	return discountView(d), nil
}

func discountView(d *discount.Discount) *orderv1.Discount {
	v := &orderv1.Discount{
		Code: d.Code, Percent: int32(d.Percent), ProductIds: d.Products, MaxUses: d.MaxUses, //nolint:gosec // 1 to 100
		OncePerCustomer: d.OncePerCustomer, Archived: d.Archived,
	}
	for _, a := range d.Amounts {
		v.Amounts = append(v.Amounts, &orderv1.Money{Minor: a.Minor, Currency: a.Currency})
	}
	if !d.Start.IsZero() {
		v.StartTime = timestamppb.New(d.Start)
	}
	if !d.End.IsZero() {
		v.EndTime = timestamppb.New(d.End)
	}
	return v
}

func validateDiscount(d *orderv1.Discount) error {
	var v fault.Validation
	v.Check(discountCode.MatchString(strings.ToUpper(d.GetCode())), "discount.code", "must be 1 to 32 of A-Z, 0-9, '-', '_'")
	v.Check(d.GetPercent() >= 0 && d.GetPercent() <= 100, "discount.percent", "must be between 1 and 100")
	v.Check((d.GetPercent() != 0) != (len(d.GetAmounts()) > 0), "discount.percent", "or amounts must be set, and not both")
	v.Check(len(d.GetAmounts()) <= maxPrices, "discount.amounts", "must have at most %d entries", maxPrices)
	seen := map[string]bool{}
	for i, m := range d.GetAmounts() {
		field := fmt.Sprintf("discount.amounts[%d]", i)
		_, known := money.Exponent(m.GetCurrency())
		v.Check(known, field+".currency", "must be an ISO 4217 code in upper case")
		v.Check(!seen[m.GetCurrency()], field+".currency", "is there twice")
		v.Check(m.GetMinor() > 0, field+".minor", "must be greater than 0")
		seen[m.GetCurrency()] = true
	}
	v.Check(len(d.GetProductIds()) <= maxItems, "discount.product_ids", "must have at most %d entries", maxItems)
	for i, p := range d.GetProductIds() {
		v.Check(productID.MatchString(p), fmt.Sprintf("discount.product_ids[%d]", i), "is not a product id")
	}
	v.Check(d.GetStartTime() == nil || d.GetStartTime().IsValid(), "discount.start_time", "is not a time")
	v.Check(d.GetEndTime() == nil || d.GetEndTime().IsValid(), "discount.end_time", "is not a time")
	v.Check(d.GetMaxUses() >= 0 && d.GetMaxUses() <= discount.MaxUses, "discount.max_uses", "must be at most %d", discount.MaxUses)
	return v.Err()
}

// cheaper applies a discount to an order's lines. It returns the discount, nil
// for no code; a code that takes nothing off is an error of its field.
func (s *Orders) cheaper(ctx context.Context, o *order.Order, code string) (*discount.Discount, error) {
	if code == "" {
		return nil, nil
	}
	d, err := s.Discounts.Get(ctx, o.Merchant, strings.ToUpper(code))
	if errors.Is(err, docstore.ErrNotFound) {
		return nil, fault.Invalid("discount_code", "is not known")
	}
	if err != nil {
		return nil, err
	}
	lines := make([]discount.Line, len(o.Lines))
	for i, l := range o.Lines {
		lines[i] = discount.Line{Product: l.Product, Amount: l.Amount}
	}
	off, err := d.Off(lines, s.Orders.Now())
	if err != nil {
		return nil, fault.Invalid("discount_code", "%v", err)
	}
	return d, o.Discounted(d.Code, off)
}

// useDiscount takes a use of the discount for an order that is about to be
// stored.
func (s *Orders) useDiscount(ctx context.Context, o *order.Order, d *discount.Discount) error {
	if d == nil {
		return nil
	}
	err := s.Discounts.Use(ctx, o.Merchant, d, o.ID, o.Customer.Email)
	if errors.Is(err, discount.ErrUsedUp) || errors.Is(err, discount.ErrUsedByMe) {
		return fault.Invalid("discount_code", "%v", err)
	}
	return err
}
