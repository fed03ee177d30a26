package edge

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/reference"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// replace puts new secrets into an account. What they replace stays in use for
// what comes in until the given time; a secret that is the same replaces none.
func (s *Merchants) replace(next *orderv1.SealedAccount, secrets map[string]string, now, until time.Time) error {
	accountID := next.GetAccount().GetId()
	for name, old := range next.GetOldSecrets() {
		if !now.Before(old.GetExpireTime().AsTime()) {
			delete(next.OldSecrets, name)
		}
	}
	for name, plain := range secrets {
		was, had := next.GetSealedSecrets()[name]
		if had {
			if open, err := s.Keyring.Open(was, reference.SecretContext(accountID, name)); err == nil && string(open) == plain {
				continue
			}
		}
		sealed, err := s.Keyring.Seal([]byte(plain), reference.SecretContext(accountID, name))
		if err != nil {
			return err
		}
		if next.SealedSecrets == nil {
			next.SealedSecrets = map[string]string{}
		}
		next.SealedSecrets[name] = sealed
		delete(next.OldSecrets, name)
		if had && until.After(now) {
			if next.OldSecrets == nil {
				next.OldSecrets = map[string]*orderv1.OldSecret{}
			}
			next.OldSecrets[name] = &orderv1.OldSecret{Sealed: was, ExpireTime: timestamppb.New(until)}
		}
	}
	return nil
}

// ResealSecrets implements MerchantService. It may be repeated and run beside
// everything else.
func (s *Merchants) ResealSecrets(ctx context.Context, _ *orderv1.ResealSecretsRequest) (*orderv1.ResealSecretsResponse, error) {
	out := &orderv1.ResealSecretsResponse{}
	err := s.Reference.Each(ctx, reference.KindAccount, func(ref *orderv1.Reference) error {
		if fresh, err := s.resealed(ref.GetAccount()); err != nil || proto.Equal(fresh, ref.GetAccount()) {
			return err
		}
		out.Accounts++
		_, err := s.Reference.Put(ctx, reference.KindAccount, ref.GetId(), func(old *orderv1.Reference) (*orderv1.Reference, error) {
			fresh, err := s.resealed(old.GetAccount())
			return &orderv1.Reference{Item: &orderv1.Reference_Account{Account: fresh}}, err
		})
		return err
	})
	return out, err
}

// resealed is an account whose secrets are all sealed with the primary key.
func (s *Merchants) resealed(a *orderv1.SealedAccount) (*orderv1.SealedAccount, error) {
	next := proto.CloneOf(a)
	again := func(name, sealed string) (string, error) {
		if !s.Keyring.NeedsReseal(sealed) {
			return sealed, nil
		}
		plain, err := s.Keyring.Open(sealed, reference.SecretContext(a.GetAccount().GetId(), name))
		if err != nil {
			return "", err
		}
		return s.Keyring.Seal(plain, reference.SecretContext(a.GetAccount().GetId(), name))
	}
	var err error
	for name, sealed := range next.GetSealedSecrets() {
		if next.SealedSecrets[name], err = again(name, sealed); err != nil {
			return nil, err
		}
	}
	for name, old := range next.GetOldSecrets() {
		if old.Sealed, err = again(name, old.GetSealed()); err != nil {
			return nil, err
		}
	}
	return next, nil
}
