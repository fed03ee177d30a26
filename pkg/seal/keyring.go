package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const (
	// keySize is the size of every key of a spec in bytes: AES-256, and as much for the fingerprint key.
	keySize = 32
	// maxKeyID is the longest key id in characters; every sealed value carries one.
	maxKeyID = 16
	// fingerprintID is the reserved id of the spec entry from which the fingerprint key is derived.
	fingerprintID = "fp"
	// fingerprintInfo separates the fingerprint key from whatever else might be derived from the same entry (RFC 5869).
	fingerprintInfo = "quittance/seal/fingerprint/v1"
)

// Keyring seals with its primary key and opens with any of its keys; ParseKeyring makes one. It prints and logs its key
// ids only. It is safe for concurrent use. Nonces are random, so one key should seal fewer than 2^32 values (NIST SP 800-38D, 8.3).
type Keyring struct {
	ids            []string // in the order of the spec; the first is primary
	ciphers        map[string]cipher.AEAD
	fingerprintKey []byte
}

var (
	_ fmt.Formatter  = (*Keyring)(nil)
	_ slog.LogValuer = (*Keyring)(nil)
)

// ParseKeyring reads a spec of comma-separated "id:key" entries, key being 32 bytes in standard base64 with padding (as
// `openssl rand -base64 32` prints it) and id 1 to 16 of a-z, 0-9, "-" and "_". The first entry is the primary key. The
// entry with the reserved id "fp", wherever it stands, is the source of fingerprints; without it that is the last key
// of the spec, which survives adding keys in front but not removing that last one. Errors name the entry and never
// repeat key material.
func ParseKeyring(spec string) (*Keyring, error) {
	ring := &Keyring{ciphers: make(map[string]cipher.AEAD)}
	var fingerprintSource, lastKey []byte
	for position, entry := range strings.Split(spec, ",") {
		id, key, err := parseEntry(entry)
		if err != nil {
			return nil, fmt.Errorf("seal: keyring entry %d: %w", position+1, err)
		}
		if id == fingerprintID {
			if fingerprintSource != nil {
				return nil, fmt.Errorf("seal: keyring entry %d: second entry with id %q", position+1, id)
			}
			fingerprintSource = key
			continue
		}
		if ring.ciphers[id] != nil {
			return nil, fmt.Errorf("seal: keyring entry %d: second entry with id %q", position+1, id)
		}
		if ring.ciphers[id], err = newCipher(key); err != nil {
			return nil, fmt.Errorf("seal: keyring entry %d: %w", position+1, err)
		}
		ring.ids = append(ring.ids, id)
		lastKey = key
	}
	if len(ring.ids) == 0 {
		return nil, fmt.Errorf("seal: keyring has only the %q entry, and no key to seal with", fingerprintID)
	}
	if fingerprintSource == nil {
		fingerprintSource = lastKey
	}
	var err error
	ring.fingerprintKey, err = hkdf.Key(sha256.New, fingerprintSource, nil, fingerprintInfo, keySize)
	if err != nil {
		return nil, fmt.Errorf("seal: derive fingerprint key: %w", err)
	}
	return ring, nil
}

// Generate returns the spec of a new keyring with one fresh key and a fresh fingerprint entry.
func Generate() string {
	var name [4]byte
	var keys [2][keySize]byte
	for _, random := range [][]byte{name[:], keys[0][:], keys[1][:]} {
		rand.Read(random) // never returns an error since Go 1.24: it ends the process instead
	}
	return fmt.Sprintf("k%s:%s,%s:%s", hex.EncodeToString(name[:]), base64.StdEncoding.EncodeToString(keys[0][:]),
		fingerprintID, base64.StdEncoding.EncodeToString(keys[1][:]))
}

// Format writes the key ids, whatever the verb: "keyring(k2 primary, k1)".
func (k *Keyring) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, k.describe()) }

// LogValue returns the key ids.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(k.describe()) }

func (k *Keyring) describe() string {
	if k == nil || len(k.ids) == 0 {
		return "keyring()"
	}
	return "keyring(" + strings.Join(append([]string{k.ids[0] + " primary"}, k.ids[1:]...), ", ") + ")"
}

// parseEntry splits and checks one "id:key" entry.
func parseEntry(entry string) (id string, key []byte, err error) {
	id, encoded, ok := strings.Cut(strings.TrimSpace(entry), ":")
	if !ok {
		return "", nil, errors.New(`want "id:base64 key"`)
	}
	if !validKeyID(id) {
		return "", nil, fmt.Errorf("the id must be 1 to %d of a-z, 0-9, - and _", maxKeyID)
	}
	key, err = base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") { // the decoder alone would skip line breaks
		return "", nil, fmt.Errorf("key %q is not standard base64 with padding", id)
	}
	if len(key) != keySize {
		return "", nil, fmt.Errorf("key %q has %d bytes, want %d", id, len(key), keySize)
	}
	return id, key, nil
}

func validKeyID(id string) bool {
	if id == "" || len(id) > maxKeyID {
		return false
	}
	return strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// newCipher returns AES-256-GCM that draws a random 96-bit nonce per message and puts it in front of the ciphertext.
func newCipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("set up AES: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("set up GCM: %w", err)
	}
	return aead, nil
}
