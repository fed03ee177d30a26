package reference

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"quittance/pkg/fault"
	"quittance/pkg/id"
)

// keyPrefix begins every API key: qtk_<key id>_<secret>.
const keyPrefix = "qtk_"

// NewKey makes an API key with its id and the hash that is stored of it.
func NewKey() (key, keyID string, hash []byte) {
	keyID = strings.TrimPrefix(id.New("key"), "key_")
	key = keyPrefix + keyID + "_" + id.Token()
	sum := sha256.Sum256([]byte(key))
	return key, keyID, sum[:]
}

// AuthenticateMerchant implements rpc.Authenticator: whose key is it?
func (c *Copy) AuthenticateMerchant(ctx context.Context, key string) (string, error) {
	refused := fault.Unauthenticated("unknown API key")
	keyID, _, ok := strings.Cut(strings.TrimPrefix(key, keyPrefix), "_")
	if !ok || !strings.HasPrefix(key, keyPrefix) || len(keyID) != 32 || len(key) > 200 {
		return "", refused
	}
	ref, err := c.get(ctx, KindKey, keyID)
	if fault.KindOf(err) == fault.KindNotFound {
		return "", refused
	}
	if err != nil {
		return "", fault.Unavailable("API key can't be checked now: %v", err)
	}
	k := ref.GetKey()
	sum := sha256.Sum256([]byte(key))
	if subtle.ConstantTimeCompare(sum[:], k.GetSha256()) != 1 {
		return "", refused
	}
	if k.GetExpireTime() != nil && !c.now().Before(k.GetExpireTime().AsTime()) {
		return "", refused
	}
	return k.GetMerchantId(), nil
}
