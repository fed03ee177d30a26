package returns

import (
	"strconv"
	"strings"
	"time"

	"quittance/pkg/seal"
)

// accessVersion opens every access token.
const accessVersion = "qta1"

// NewAccess makes the token of a customer who has just paid: it lets the shop
// open what was bought before the customer has an account there. It is
// "qta1.<order>.<end in Unix seconds>.<signature>", and holds until end.
func NewAccess(key seal.Secret, order string, end time.Time) string {
	at := strconv.FormatInt(end.Unix(), 10)
	return strings.Join([]string{accessVersion, order, at, sign(key, "access", order, at)}, ".")
}

// CheckAccess gives the order that a token opens, and until when.
func CheckAccess(token string, keys []seal.Secret, now time.Time) (order string, end time.Time, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 4 || parts[0] != accessVersion {
		return "", time.Time{}, ErrUnsigned
	}
	if !matches(parts[3], keys, "access", parts[1], parts[2]) {
		return "", time.Time{}, ErrForged
	}
	at, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return "", time.Time{}, ErrForged
	}
	if end = time.Unix(at, 0); !now.Before(end) {
		return "", time.Time{}, ErrStale
	}
	return parts[1], end, nil
}
