package edge

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/fault"
	"quittance/pkg/provider/registry"
	"quittance/pkg/provider/setting"
	"quittance/pkg/reference"
	"quittance/pkg/seal"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// maxOverlap is how long an old key or secret may outlive its successor.
const maxOverlap = 30 * 24 * time.Hour

func overlapOf(d *durationpb.Duration) (time.Duration, error) {
	overlap := d.AsDuration()
	if overlap < 0 || overlap > maxOverlap {
		return 0, fault.Invalid("overlap", "must be between 0 and 30 days")
	}
	return overlap, nil
}

// Merchants implements MerchantService.
type Merchants struct {
	orderv1.UnimplementedMerchantServiceServer
	Reference *reference.Owner
	Keyring   *seal.Keyring
	Providers *registry.Registry
	Now       func() time.Time
}

var _ orderv1.MerchantServiceServer = (*Merchants)(nil)

// PutMerchant implements MerchantService.
func (s *Merchants) PutMerchant(ctx context.Context, req *orderv1.PutMerchantRequest) (*orderv1.Merchant, error) {
	if err := validateMerchant(req.GetMerchant()); err != nil {
		return nil, err
	}
	ref, err := s.Reference.Put(ctx, reference.KindMerchant, req.GetMerchant().GetId(),
		func(old *orderv1.Reference) (*orderv1.Reference, error) {
			m := proto.CloneOf(req.GetMerchant())
			m.ReturnSigning = old.GetMerchant().GetReturnSigning()
			return &orderv1.Reference{Item: &orderv1.Reference_Merchant{Merchant: m}}, nil
		})
	return ref.GetMerchant(), err
}

// GetMerchant implements MerchantService.
func (s *Merchants) GetMerchant(ctx context.Context, req *orderv1.GetMerchantRequest) (*orderv1.Merchant, error) {
	return s.Reference.Merchant(ctx, req.GetMerchantId())
}

// RotateAPIKey implements MerchantService.
func (s *Merchants) RotateAPIKey(ctx context.Context, req *orderv1.RotateAPIKeyRequest) (*orderv1.RotateAPIKeyResponse, error) {
	overlap, err := overlapOf(req.GetOverlap())
	if err != nil {
		return nil, err
	}
	merchantID := req.GetMerchantId()
	if _, err := s.Reference.Merchant(ctx, merchantID); err != nil {
		return nil, err
	}
	// The new key first: a crash in between leaves an extra valid key, not none.
	key, keyID, hash := reference.NewKey()
	put := &orderv1.HashedKey{KeyId: keyID, MerchantId: merchantID, Sha256: hash}
	if _, err := s.Reference.Put(ctx, reference.KindKey, keyID, func(*orderv1.Reference) (*orderv1.Reference, error) {
		return &orderv1.Reference{Item: &orderv1.Reference_Key{Key: put}}, nil
	}); err != nil {
		return nil, err
	}
	return &orderv1.RotateAPIKeyResponse{ApiKey: key}, s.retire(ctx, merchantID, keyID, s.Now().Add(overlap))
}

// retire lets a merchant's other keys end at the given time at the latest.
func (s *Merchants) retire(ctx context.Context, merchantID, except string, at time.Time) error {
	keys, err := s.Reference.Keys(ctx, merchantID)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.GetKeyId() == except {
			continue
		}
		if _, err := s.Reference.Put(ctx, reference.KindKey, k.GetKeyId(), func(old *orderv1.Reference) (*orderv1.Reference, error) {
			if old == nil {
				old = &orderv1.Reference{Item: &orderv1.Reference_Key{Key: k}}
			}
			if end := old.GetKey().GetExpireTime(); end == nil || end.AsTime().After(at) {
				old.GetKey().ExpireTime = timestamppb.New(at)
			}
			return old, nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// PutProviderAccount implements MerchantService.
func (s *Merchants) PutProviderAccount(ctx context.Context, req *orderv1.PutProviderAccountRequest) (*orderv1.ProviderAccount, error) {
	a := req.GetAccount()
	var v fault.Validation
	v.Check(slug.MatchString(a.GetId()), "account.id", "must be 1 to 40 of a-z, 0-9, '-'")
	text(&v, "account.display_name", a.GetDisplayName(), 1, 100)
	v.Check(len(a.GetSettings()) <= maxSettings, "account.settings", "must have at most %d entries", maxSettings)
	v.Check(len(req.GetSecrets()) <= maxSettings, "secrets", "must have at most %d entries", maxSettings)
	p, err := s.Providers.Get(a.GetProvider())
	v.Check(err == nil, "account.provider", "is not known")
	if _, err := setting.PolicyOf(a.GetSettings()); err != nil {
		v.Check(false, "account.settings", "%v", err)
	}
	if err := v.Err(); err != nil {
		return nil, err
	}
	if _, err := s.Reference.Merchant(ctx, a.GetMerchantId()); err != nil {
		return nil, fault.Invalid("account.merchant_id", "%s", fault.Public(err))
	}
	overlap, err := overlapOf(req.GetOverlap())
	if err != nil {
		return nil, err
	}
	ref, err := s.Reference.Put(ctx, reference.KindAccount, a.GetId(), func(old *orderv1.Reference) (*orderv1.Reference, error) {
		next := &orderv1.SealedAccount{}
		if was := old.GetAccount(); was != nil {
			if was.GetAccount().GetMerchantId() != a.GetMerchantId() {
				return nil, fault.Invalid("account.id", "is taken")
			}
			next = proto.CloneOf(was)
		}
		next.Account = a
		now := s.Now()
		if err := s.replace(next, req.GetSecrets(), now, now.Add(overlap)); err != nil {
			return nil, err
		}
		acc, err := reference.Unseal(s.Keyring, next, now)
		if err != nil {
			return nil, err
		}
		if err := p.CheckAccount(acc); err != nil {
			return nil, fault.Invalid("account.settings", "%v", err)
		}
		return &orderv1.Reference{Item: &orderv1.Reference_Account{Account: next}}, nil
	})
	return ref.GetAccount().GetAccount(), err
}
