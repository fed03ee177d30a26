// Package id owns how identifiers look and how they come about.
//
// It takes a short prefix that names the kind of thing ("ord", "pay") and gives identifiers of the form
// "<prefix>_<32 lowercase hex digits>": fresh and time-ordered, or derived from a natural key so that two writers with
// the same cause arrive at the same document. It also gives unguessable tokens for links.
package id

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/google/uuid"
)

const (
	separator = "_"
	// bytesPerID is the size of a UUID, and of the part of a SHA-256 sum that a derived id keeps: 128 bits.
	bytesPerID = 16
	// bytesPerToken is the size of a token's random part: 256 bits.
	bytesPerToken = 32
)

// New returns a fresh id: prefix, "_" and a UUIDv7 (RFC 9562) as 32 lowercase hex digits. Ids of one process and prefix
// sort in the order of their creation; those of different processes sort by their clocks, to the millisecond.
func New(prefix string) string {
	// Must cannot fire: NewV7 fails only where crypto/rand does, and that ends the process by itself.
	fresh := uuid.Must(uuid.NewV7())
	return prefix + separator + hex.EncodeToString(fresh[:])
}

// Derived returns the id of a natural key: prefix, "_" and the first 32 hex digits of the SHA-256 of the parts, each
// with its length in front, so that ("a","bc") and ("ab","c") differ. The same parts give the same id for ever; the
// prefix is not part of what is hashed.
func Derived(prefix string, parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		hash.Write([]byte(part))
	}
	return prefix + separator + hex.EncodeToString(hash.Sum(nil)[:bytesPerID])
}

// Valid reports whether s has the form of an id with this prefix. It says nothing about whether the thing exists.
func Valid(prefix, s string) bool {
	digits, ok := strings.CutPrefix(s, prefix+separator)
	if !ok || len(digits) != hex.EncodedLen(bytesPerID) {
		return false
	}
	for i := range len(digits) {
		c := digits[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Token returns an unguessable secret for a link or a session: 32 bytes of crypto/rand as 43 URL-safe characters
// (base64url without padding). Store its hash rather than the token where it grants access.
func Token() string {
	var secret [bytesPerToken]byte
	rand.Read(secret[:]) // never returns an error since Go 1.24: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(secret[:])
}
