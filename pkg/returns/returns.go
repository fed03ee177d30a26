// Package returns owns the way of a customer's browser back to a shop: which
// addresses a shop may name, what is added to them, and the signatures by which
// the shop tells our word from one that somebody typed.
//
// It takes the shop's return URL, a status and the shop's keys, and gives the
// URL to send the browser to. Shops that are written in Go can verify with it;
// docs/returns.md has the recipe for all others, and testdata/vectors.json what
// a verifier can be held against.
//
// A signature says that the status is ours and when it was given. It does not
// say who holds the browser: that is what an access token is for, which only the
// customer gets who comes straight from paying.
package returns

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"quittance/pkg/seal"
)

// Parameters that are added to a return URL.
const (
	OrderParam     = "orderId"
	StatusParam    = "fulfillmentStatus"
	TimeParam      = "fulfillmentTime"
	SignatureParam = "fulfillmentSignature"
	AccessParam    = "accessToken"
)

var ours = []string{OrderParam, StatusParam, TimeParam, SignatureParam, AccessParam}

// Statuses of a return.
const (
	Success = "success"
	Cancel  = "cancel"
	Error   = "error"
	Unknown = "unknown"
)

// Errors of verification; match them with errors.Is.
var (
	// ErrUnsigned: there is no signature, or a parameter is missing or repeated.
	ErrUnsigned = errors.New("returns: not signed")
	// ErrForged: the signature is none of ours.
	ErrForged = errors.New("returns: signature does not match")
	// ErrStale: it was signed too long ago, or is over.
	ErrStale = errors.New("returns: too old")
)

// skew is how far the clocks of shop and system may differ.
const skew = time.Minute

// Word is what a shop is told of an order when its customer comes back.
type Word struct {
	Order  string
	Status string
	// Time is when that was so, to the second.
	Time time.Time
	// Access is a token of NewAccess, empty for none.
	Access string
}

// Add gives the return URL with the word added and signed with each of the keys
// (more than one while a key is being replaced). The URL's own query stays as
// it is, byte for byte, but for parameters that are named like ours.
func Add(returnURL string, w Word, keys []seal.Secret) (string, error) {
	u, err := url.Parse(returnURL)
	if err != nil {
		return "", errors.New("returns: the return URL can't be read")
	}
	var parts []string
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, _ := strings.Cut(part, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if part != "" && !slices.Contains(ours, name) {
			parts = append(parts, part)
		}
	}
	at := strconv.FormatInt(w.Time.Unix(), 10)
	parts = append(parts, OrderParam+"="+url.QueryEscape(w.Order), StatusParam+"="+w.Status, TimeParam+"="+at)
	if w.Access != "" {
		parts = append(parts, AccessParam+"="+w.Access)
	}
	var signatures []string
	for _, key := range keys {
		signatures = append(signatures, sign(key, "return", w.Order, w.Status, at))
	}
	if len(signatures) > 0 {
		parts = append(parts, SignatureParam+"="+strings.Join(signatures, "."))
	}
	u.RawQuery = strings.Join(parts, "&")
	return u.String(), nil
}

// Verify reads the word of a return and checks that it is signed with one of the
// keys, at most maxAge ago.
func Verify(query url.Values, keys []seal.Secret, now time.Time, maxAge time.Duration) (Word, error) {
	for _, name := range []string{OrderParam, StatusParam, TimeParam, SignatureParam} {
		if len(query[name]) != 1 || query.Get(name) == "" {
			return Word{}, fmt.Errorf("%w: %s comes %d times", ErrUnsigned, name, len(query[name]))
		}
	}
	w := Word{Order: query.Get(OrderParam), Status: query.Get(StatusParam), Access: query.Get(AccessParam)}
	at, err := strconv.ParseInt(query.Get(TimeParam), 10, 64)
	if err != nil {
		return Word{}, fmt.Errorf("%w: %s is no number", ErrUnsigned, TimeParam)
	}
	w.Time = time.Unix(at, 0)
	if !matches(query.Get(SignatureParam), keys, "return", w.Order, w.Status, query.Get(TimeParam)) {
		return Word{}, ErrForged
	}
	if w.Time.After(now.Add(skew)) || now.Sub(w.Time) > maxAge {
		return Word{}, ErrStale
	}
	return w, nil
}

// SignUser is how a shop says in a fulfilment URL who is logged in.
func SignUser(key seal.Secret, order, user string) string { return sign(key, "user", order, user) }

// VerifyUser says whether one of the keys signed that this user has this order.
func VerifyUser(signature, order, user string, keys []seal.Secret) bool {
	return matches(signature, keys, "user", order, user)
}

// sign is the lower-case hex of HMAC-SHA-256 over "quittance.v1", the kind of
// statement and its fields, joined by line feeds. Fields have none themselves.
func sign(key seal.Secret, kind string, fields ...string) string {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte("quittance.v1\n" + kind + "\n" + strings.Join(fields, "\n")))
	return hex.EncodeToString(mac.Sum(nil))
}

// maxSignatures bounds what is compared: one per key during an overlap.
const maxSignatures = 4

func matches(signatures string, keys []seal.Secret, kind string, fields ...string) bool {
	for _, f := range fields {
		if strings.ContainsRune(f, '\n') {
			return false
		}
	}
	ok := false
	for i, given := range strings.Split(signatures, ".") {
		if i == maxSignatures {
			break
		}
		for _, key := range keys {
			if hmac.Equal([]byte(given), []byte(sign(key, kind, fields...))) {
				ok = true
			}
		}
	}
	return ok
}
