package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// version opens every sealed value; a later format gets another.
const version = "s1"

// bodyEncoding is base64url without padding. Strict and parse, which refuses line breaks, leave one spelling per value.
var bodyEncoding = base64.RawURLEncoding.Strict()

// Errors of Open; match them with errors.Is. None of them goes away by trying again with the same keyring.
var (
	// ErrMalformed: the value is not of the form "s1.<key id>.<base64url>".
	ErrMalformed = errors.New("seal: malformed sealed value")
	// ErrUnknownKey: the value was sealed with a key that this keyring does not have.
	ErrUnknownKey = errors.New("seal: sealed with a key that is not in the keyring")
	// ErrNotAuthentic: the value was altered, belongs to another context, or its key id now names another key.
	ErrNotAuthentic = errors.New("seal: sealed value is not authentic in this context")
)

// Seal encrypts plaintext with the primary key and returns the printable "s1.<key id>.<base64url of nonce, ciphertext
// and tag>". Context, typically the kind and id of the document that owns the secret, is authenticated but not stored:
// Open needs the same one, so a sealed value copied into another document does not open there. Sealing the same
// plaintext twice gives different strings. Both may be empty.
func (k *Keyring) Seal(plaintext []byte, context string) (string, error) {
	if len(k.ids) == 0 {
		return "", errors.New("seal: empty keyring; use ParseKeyring")
	}
	id := k.ids[0]
	box := k.ciphers[id].Seal(nil, nil, plaintext, additionalData(id, context))
	return version + "." + id + "." + bodyEncoding.EncodeToString(box), nil
}

// Open returns the plaintext of a value that Seal made for the same context, or ErrMalformed, ErrUnknownKey or
// ErrNotAuthentic.
func (k *Keyring) Open(sealed, context string) ([]byte, error) {
	id, body, err := parse(sealed)
	if err != nil {
		return nil, err
	}
	aead := k.ciphers[id]
	if aead == nil {
		return nil, fmt.Errorf("%w: %q", ErrUnknownKey, id)
	}
	box, err := bodyEncoding.DecodeString(body)
	if err != nil || len(box) < aead.Overhead() {
		return nil, fmt.Errorf("%w: bad body", ErrMalformed)
	}
	plaintext, err := aead.Open(nil, nil, box, additionalData(id, context))
	if err != nil {
		return nil, ErrNotAuthentic
	}
	return plaintext, nil
}

// NeedsReseal reports whether the value was sealed with another key than the primary one. It is false for what is not a
// sealed value at all: sealing that again would not help.
func (k *Keyring) NeedsReseal(sealed string) bool {
	id, _, err := parse(sealed)
	return err == nil && len(k.ids) > 0 && id != k.ids[0]
}

// Primary returns the id of the key that seals, empty for an empty keyring.
func (k *Keyring) Primary() string {
	if len(k.ids) == 0 {
		return ""
	}
	return k.ids[0]
}

// Fingerprint returns a keyed hash of plaintext as 64 hex digits: HMAC-SHA-256 under a key derived (HKDF, RFC 5869) from
// the spec's fp entry. Equal plaintexts have equal fingerprints within one purpose and unrelated ones across purposes;
// without the keyring nobody can test guesses. Rotating the sealing keys does not change it. On a Keyring that did not
// come from ParseKeyring it panics rather than hash without a key.
func (k *Keyring) Fingerprint(plaintext []byte, purpose string) string {
	if len(k.fingerprintKey) == 0 {
		panic("seal: Fingerprint on an empty keyring; use ParseKeyring")
	}
	mac := hmac.New(sha256.New, k.fingerprintKey)
	// The purpose's length in front keeps (purpose, plaintext) pairs apart.
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(purpose))))
	mac.Write([]byte(purpose))
	mac.Write(plaintext)
	return hex.EncodeToString(mac.Sum(nil))
}

// parse takes a sealed value apart without decoding its body.
func parse(sealed string) (id, body string, err error) {
	parts := strings.SplitN(sealed, ".", 4)
	if strings.ContainsAny(sealed, "\r\n") || len(parts) != 3 || parts[0] != version || !validKeyID(parts[1]) || parts[1] == fingerprintID {
		return "", "", fmt.Errorf("%w: want %s.<key id>.<base64url>", ErrMalformed, version)
	}
	return parts[1], parts[2], nil
}

// additionalData binds a value to its format, key id and context. Key ids have no dot, so the parts cannot run together.
func additionalData(id, context string) []byte {
	return []byte(version + "." + id + "." + context)
}
