package reference

import (
	"context"
	"strconv"
	"time"

	"quittance/pkg/seal"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// returnKeyPrefix begins every return key.
const returnKeyPrefix = "qtr_"

// ReturnKeys are the keys with which a merchant's returns are signed, the newest
// first, and the older one for as long as it is in use. They are derived from
// the keyring, so that whoever signs needs no secret of the bus or a store.
func (c *Copy) ReturnKeys(ctx context.Context, merchant string) ([]seal.Secret, error) {
	m, err := c.Merchant(ctx, merchant)
	if err != nil {
		return nil, err
	}
	return ReturnKeys(c.keys, m, c.now()), nil
}

// ReturnKeys are those of a merchant at a time.
func ReturnKeys(keys *seal.Keyring, m *orderv1.Merchant, now time.Time) []seal.Secret {
	signing := m.GetReturnSigning()
	of := func(generation int64) seal.Secret {
		return seal.Secret(returnKeyPrefix +
			keys.Fingerprint([]byte(m.GetId()+"/"+strconv.FormatInt(generation, 10)), "return key"))
	}
	out := []seal.Secret{of(signing.GetGeneration())}
	if end := signing.GetPreviousExpireTime(); end != nil && now.Before(end.AsTime()) {
		out = append(out, of(signing.GetGeneration()-1))
	}
	return out
}
