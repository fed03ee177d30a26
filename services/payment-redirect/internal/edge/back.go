package edge

import (
	"context"
	"fmt"
	"time"

	"quittance/pkg/fault"
	"quittance/pkg/returns"
	"quittance/pkg/seal"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/payment-redirect/internal/attempt"
)

// returnKeys are the keys that a merchant's storefront verifies us with.
func (c *Checkout) returnKeys(ctx context.Context, merchant string) ([]seal.Secret, error) {
	keys, err := c.Reference.ReturnKeys(ctx, merchant)
	if err != nil {
		return nil, fault.Unavailable("return key can't be read now").Because(err)
	}
	return keys, nil
}

// back is the shop's URL with the signed status of the order. The customer who
// comes from the attempt (nil: from none) that has just paid gets an access
// token as well.
func (c *Checkout) back(ctx context.Context, o *orderv1.Order, shop, status string, from *attempt.Attempt) (string, error) {
	keys, err := c.returnKeys(ctx, o.GetMerchantId())
	if err != nil {
		return "", err
	}
	now := c.Attempts.Now()
	w := returns.Word{Order: o.GetId(), Status: status, Time: now}
	if end, ok := c.access(o, status, from, now); ok {
		w.Access = returns.NewAccess(keys[0], o.GetId(), end)
	}
	target, err := returns.Add(shop, w, keys)
	if err != nil {
		return "", fmt.Errorf("way back of order %s: %w", o.GetId(), err)
	}
	return target, nil
}

// access says until when the customer who comes from an attempt may see what
// was bought. The way that the attempt came by is known to that customer and the
// provider only, but stays in the browser's history: so the time counts from the
// payment and not from the visit.
func (c *Checkout) access(o *orderv1.Order, status string, from *attempt.Attempt, now time.Time) (time.Time, bool) {
	if from == nil || status != returns.Success || o.GetPaidAttemptId() != from.ID || o.GetPaidTime() == nil {
		return time.Time{}, false
	}
	end := o.GetPaidTime().AsTime().Add(c.AccessFor)
	return end, now.Before(end)
}
