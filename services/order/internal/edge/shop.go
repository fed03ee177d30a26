package edge

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/fault"
	"quittance/pkg/reference"
	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Shop implements ShopService.
type Shop struct {
	orderv1.UnimplementedShopServiceServer
	Reference *reference.Owner
	Keyring   *seal.Keyring
	Now       func() time.Time
}

var _ orderv1.ShopServiceServer = (*Shop)(nil)

// GetReturnKey implements ShopService.
func (s *Shop) GetReturnKey(ctx context.Context, _ *orderv1.GetReturnKeyRequest) (*orderv1.ReturnKey, error) {
	m, err := s.Reference.Merchant(ctx, rpc.MerchantID(ctx))
	if err != nil {
		return nil, err
	}
	return s.key(m), nil
}

// RotateReturnKey implements ShopService.
func (s *Shop) RotateReturnKey(ctx context.Context, req *orderv1.RotateReturnKeyRequest) (*orderv1.ReturnKey, error) {
	overlap, err := overlapOf(req.GetOverlap())
	if err != nil {
		return nil, err
	}
	ref, err := s.Reference.Put(ctx, reference.KindMerchant, rpc.MerchantID(ctx), func(old *orderv1.Reference) (*orderv1.Reference, error) {
		m := old.GetMerchant()
		if m == nil {
			return nil, fault.NotFound("merchant")
		}
		m.ReturnSigning = &orderv1.ReturnSigning{
			Generation: m.GetReturnSigning().GetGeneration() + 1, PreviousExpireTime: timestamppb.New(s.Now().Add(overlap)),
		}
		return old, nil
	})
	if err != nil {
		return nil, err
	}
	return s.key(ref.GetMerchant()), nil
}

func (s *Shop) key(m *orderv1.Merchant) *orderv1.ReturnKey {
	keys := reference.ReturnKeys(s.Keyring, m, s.Now())
	out := &orderv1.ReturnKey{Key: keys[0].Reveal()}
	if len(keys) > 1 {
		out.PreviousKey, out.PreviousExpireTime = keys[1].Reveal(), m.GetReturnSigning().GetPreviousExpireTime()
	}
	return out
}
