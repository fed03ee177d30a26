// Package webhook owns the signatures of webhooks: the symmetric scheme of Standard Webhooks 1.0.
//
// It takes a message id, a time, a body and the endpoint's secrets ("whsec_" and base64), and gives the three headers
// of a signed request, or checks them on a received one. Several secrets at once mean several signatures: that is how a
// secret is rotated without losing a message.
//
// Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md, version 1.0.0.
package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed webhook.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// Tolerance is how far a timestamp may lie in the past or in the future of the receiver's clock, inclusive.
const Tolerance = 5 * time.Minute

const (
	secretPrefix = "whsec_"
	// Sizes of a secret's key in bytes; the specification asks for 192 to 512 bits.
	minKey, newKey, maxKey = 24, 32, 64
	// signatureVersion marks HMAC-SHA-256; "v1a" would be ed25519, which this package neither makes nor checks.
	signatureVersion = "v1"
	// maxID is the longest accepted message id in bytes, a limit of our own.
	maxID = 256
)

// Errors of signing and verifying; match them with errors.Is. No error text contains a secret or a signature.
var (
	// ErrSecret: no secret was given, or one is not "whsec_" with the standard base64 of 24 to 64 bytes.
	ErrSecret = errors.New("webhook: unusable secret")
	// ErrHeaders: a header is missing, repeated or malformed, or the id or time to sign could not stand in one.
	ErrHeaders = errors.New("webhook: unusable id, timestamp or signature header")
	// ErrTimestamp: the timestamp is more than Tolerance away from now.
	ErrTimestamp = errors.New("webhook: timestamp outside the tolerance")
	// ErrSignature: no signature fits any of the secrets.
	ErrSignature = errors.New("webhook: no matching signature")
)

// NewSecret returns a fresh secret: "whsec_" and the base64 of 32 random bytes.
func NewSecret() string {
	var key [newKey]byte
	rand.Read(key[:]) // never returns an error since Go 1.24: it ends the process instead
	return secretPrefix + base64.StdEncoding.EncodeToString(key[:])
}

// CheckSecret returns ErrSecret with the reason if secret is not usable, such as one that a merchant brings along.
func CheckSecret(secret string) error {
	_, err := decodeSecret(secret)
	return err
}

// Sign returns the signature of one secret, "v1," and base64. The id stays the same over all attempts to deliver a
// message; ts is the time of the attempt, of which whole seconds count. Errors: ErrSecret, ErrHeaders.
func Sign(secret, id string, ts time.Time, body []byte) (string, error) {
	key, err := decodeSecret(secret)
	if err != nil {
		return "", err
	}
	if err := checkID(id); err != nil {
		return "", err
	}
	timestamp, err := formatTimestamp(ts)
	if err != nil {
		return "", err
	}
	return sign(key, id, timestamp, body), nil
}

// Headers returns the three headers of a delivery attempt, with one signature per secret in the order given: the
// current secret first, those being phased out after it. Errors: ErrSecret, ErrHeaders.
func Headers(secrets []string, id string, ts time.Time, body []byte) (http.Header, error) {
	if len(secrets) == 0 {
		return nil, fmt.Errorf("%w: none given", ErrSecret)
	}
	signatures := make([]string, len(secrets))
	for i, secret := range secrets {
		signature, err := Sign(secret, id, ts, body)
		if err != nil {
			return nil, err
		}
		signatures[i] = signature
	}
	headers := make(http.Header, 3)
	headers.Set(HeaderID, id)
	headers.Set(HeaderTimestamp, strconv.FormatInt(ts.Unix(), 10))
	headers.Set(HeaderSignature, strings.Join(signatures, " "))
	return headers, nil
}

// sign computes HMAC-SHA-256 over "id.timestamp.body".
func sign(key []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return signatureVersion + "," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// decodeSecret returns the key in a secret.
func decodeSecret(secret string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(secret, secretPrefix)
	if !ok {
		return nil, fmt.Errorf("%w: it must start with %s", ErrSecret, secretPrefix)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	// The decoder skips line breaks; other receivers of the same secret might not.
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return nil, fmt.Errorf("%w: what follows %s must be standard base64 with padding", ErrSecret, secretPrefix)
	}
	if len(key) < minKey || len(key) > maxKey {
		return nil, fmt.Errorf("%w: its key has %d bytes, want %d to %d", ErrSecret, len(key), minKey, maxKey)
	}
	return key, nil
}

// checkID accepts visible ASCII without a dot. With a dot, the signed "id.timestamp.body" of one message would also be
// that of another (specification, "Signature scheme").
func checkID(id string) error {
	if id == "" || len(id) > maxID {
		return fmt.Errorf("%w: the id must have 1 to %d characters", ErrHeaders, maxID)
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' || id[i] == '.' {
			return fmt.Errorf("%w: the id must be visible ASCII without a dot", ErrHeaders)
		}
	}
	return nil
}

// formatTimestamp gives whole seconds since 1970 in decimal. An earlier time is a forgotten one.
func formatTimestamp(ts time.Time) (string, error) {
	seconds := ts.Unix()
	if seconds < 0 {
		return "", fmt.Errorf("%w: the time lies before 1970", ErrHeaders)
	}
	return strconv.FormatInt(seconds, 10), nil
}
