package seal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quittance/pkg/seal"
)

// key returns the base64 of a 32-byte key that is n times the same byte.
func key(n byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{n}, 32)) }

func parse(t testing.TB, spec string) *seal.Keyring {
	t.Helper()
	ring, err := seal.ParseKeyring(spec)
	if err != nil {
		t.Fatalf("ParseKeyring: %v", err)
	}
	return ring
}

func mustSeal(t testing.TB, ring *seal.Keyring, plaintext, context string) string {
	t.Helper()
	sealed, err := ring.Seal([]byte(plaintext), context)
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	return sealed
}

func TestParseKeyringRefuses(t *testing.T) {
	short := base64.StdEncoding.EncodeToString(make([]byte, 16))
	tests := map[string]struct{ spec, want string }{
		"nothing":           {"", `entry 1: want "id:base64 key"`},
		"no id":             {key(1), `entry 1: want "id:base64 key"`},
		"empty id":          {":" + key(1), "entry 1: the id must be"},
		"id with a dot":     {"k.1:" + key(1), "entry 1: the id must be"},
		"id in upper case":  {"K1:" + key(1), "entry 1: the id must be"},
		"id too long":       {"k1234567890123456:" + key(1), "entry 1: the id must be"},
		"trailing comma":    {"k1:" + key(1) + ",", "entry 2"},
		"short key":         {"k1:" + short, `key "k1" has 16 bytes, want 32`},
		"not base64":        {"k1:!!!", `key "k1" is not standard base64`},
		"line break":        {"k1:" + key(1)[:20] + "\n" + key(1)[20:], `key "k1" is not standard base64`},
		"no padding":        {"k1:" + strings.TrimRight(key(1), "="), `key "k1" is not standard base64`},
		"same id twice":     {"k1:" + key(1) + ",k1:" + key(2), `entry 2: second entry with id "k1"`},
		"fp twice":          {"k1:" + key(1) + ",fp:" + key(2) + ",fp:" + key(3), `entry 3: second entry with id "fp"`},
		"fingerprints only": {"fp:" + key(1), "no key to seal with"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := seal.ParseKeyring(tt.spec)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q in it", err, tt.want)
			}
			for _, material := range []string{key(1), key(2), short, "!!!"} {
				if strings.Contains(err.Error(), strings.TrimRight(material, "=")) {
					t.Errorf("error repeats key material: %v", err)
				}
			}
		})
	}
}

func TestGenerate(t *testing.T) {
	spec := seal.Generate()
	if spec == seal.Generate() {
		t.Fatal("Generate repeated itself")
	}
	ring := parse(t, spec)
	sealed := mustSeal(t, ring, "hunter2", "acc_1")
	if plain, err := ring.Open(sealed, "acc_1"); err != nil || string(plain) != "hunter2" {
		t.Errorf("Open = %q, %v", plain, err)
	}
	if !strings.Contains(spec, ",fp:") {
		t.Error("Generate gave no fingerprint entry")
	}
}

func TestKeyringHidesItsKeys(t *testing.T) {
	ring := parse(t, "new:"+key('A')+", old:"+key('B')+", fp:"+key('C'))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(verb, ring); got != "keyring(new primary, old)" {
			t.Errorf("Sprintf(%q) = %s", verb, got)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "ring", ring)
	if !strings.Contains(log.String(), `"ring":"keyring(new primary, old)"`) {
		t.Errorf("slog wrote %s", log.String())
	}
}

func TestOpenRefuses(t *testing.T) {
	ring := parse(t, "k1:"+key(1)+",k2:"+key(2))
	sealed := mustSeal(t, ring, "hunter2", "acc_1")
	body := strings.TrimPrefix(sealed, "s1.k1.")
	flipped := "A" + body[1:]
	if body[0] == 'A' {
		flipped = "B" + body[1:]
	}
	foreign := mustSeal(t, parse(t, "k9:"+key(1)), "hunter2", "acc_1")
	tests := map[string]struct {
		sealed, context string
		want            error
	}{
		"another context":   {sealed, "acc_2", seal.ErrNotAuthentic},
		"no context":        {sealed, "", seal.ErrNotAuthentic},
		"another key's id":  {"s1.k2." + body, "acc_1", seal.ErrNotAuthentic},
		"altered":           {"s1.k1." + flipped, "acc_1", seal.ErrNotAuthentic},
		"unknown key":       {foreign, "acc_1", seal.ErrUnknownKey},
		"truncated":         {"s1.k1." + body[:20], "acc_1", seal.ErrMalformed},
		"no body":           {"s1.k1.", "acc_1", seal.ErrMalformed},
		"not base64url":     {"s1.k1.+/+/" + body, "acc_1", seal.ErrMalformed},
		"line break":        {sealed + "\n", "acc_1", seal.ErrMalformed},
		"padding":           {sealed + "=", "acc_1", seal.ErrMalformed},
		"another version":   {"s2.k1." + body, "acc_1", seal.ErrMalformed},
		"fourth part":       {sealed + ".x", "acc_1", seal.ErrMalformed},
		"fingerprint entry": {"s1.fp." + body, "acc_1", seal.ErrMalformed},
		"plain text":        {"hunter2", "acc_1", seal.ErrMalformed},
		"nothing":           {"", "acc_1", seal.ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			plain, err := ring.Open(tt.sealed, tt.context)
			if !errors.Is(err, tt.want) || plain != nil {
				t.Errorf("Open = %q, %v; want %v", plain, err, tt.want)
			}
		})
	}
	if _, err := new(seal.Keyring).Seal(nil, ""); err == nil {
		t.Error("an empty keyring seals")
	}
}

func TestRotation(t *testing.T) {
	fingerprints := ",fp:" + key(7)
	before := parse(t, "k1:"+key(1)+fingerprints)
	during := parse(t, "k2:"+key(2)+",k1:"+key(1)+fingerprints)
	after := parse(t, fingerprints[1:]+",k2:"+key(2))

	old := mustSeal(t, before, "hunter2", "acc_1")
	plain, err := during.Open(old, "acc_1")
	if err != nil || string(plain) != "hunter2" {
		t.Fatalf("the new ring opens the old value as %q, %v", plain, err)
	}
	if before.NeedsReseal(old) || !during.NeedsReseal(old) || !after.NeedsReseal(old) {
		t.Error("NeedsReseal must be false under the primary key and true under any other")
	}
	resealed := mustSeal(t, during, "hunter2", "acc_1")
	if during.NeedsReseal(resealed) {
		t.Error("a resealed value needs resealing")
	}
	if _, err := after.Open(resealed, "acc_1"); err != nil {
		t.Errorf("after the rotation the value does not open: %v", err)
	}
	for _, notSealed := range []string{"", "hunter2", "s1.k1"} {
		if during.NeedsReseal(notSealed) {
			t.Errorf("NeedsReseal(%q) is true", notSealed)
		}
	}
	fingerprint := before.Fingerprint([]byte("KEY-1"), "licence")
	if during.Fingerprint([]byte("KEY-1"), "licence") != fingerprint ||
		after.Fingerprint([]byte("KEY-1"), "licence") != fingerprint {
		t.Error("the rotation changed a fingerprint")
	}
}

func TestFingerprint(t *testing.T) {
	ring := parse(t, "k1:"+key(1)+",fp:"+key(7))
	// Computed independently: HMAC-SHA-256 with HKDF-SHA-256(32*0x07, info "quittance/seal/fingerprint/v1").
	const want = "f1c45904420af20aee374bc17d7512482d8ad5b39fda56b5e4a393fd731c27d0"
	got := ring.Fingerprint([]byte("KEY-1"), "licence")
	if got != want {
		t.Errorf("Fingerprint = %s, want %s", got, want)
	}
	if ring.Fingerprint([]byte("KEY-2"), "licence") == got || ring.Fingerprint([]byte("KEY-1"), "api key") == got {
		t.Error("another plaintext or purpose has the same fingerprint")
	}
	if ring.Fingerprint([]byte("ab"), "c") == ring.Fingerprint([]byte("b"), "ca") {
		t.Error("purpose and plaintext run together")
	}
	if parse(t, "k1:"+key(1)+",fp:"+key(8)).Fingerprint([]byte("KEY-1"), "licence") == got {
		t.Error("another keyring has the same fingerprint")
	}

	t.Run("without fp entry the last key counts", func(t *testing.T) {
		grown := parse(t, "k2:"+key(2)+",k1:"+key(1))
		if grown.Fingerprint(nil, "x") != parse(t, "k1:"+key(1)).Fingerprint(nil, "x") {
			t.Error("adding a key in front changed a fingerprint")
		}
	})
	t.Run("empty keyring", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("an empty keyring fingerprints without a key")
			}
		}()
		new(seal.Keyring).Fingerprint(nil, "x")
	})
}

func TestSealOpenRoundTrip(t *testing.T) {
	ring := parse(t, "k1:"+key(1))
	rapid.Check(t, func(t *rapid.T) {
		plaintext := rapid.SliceOf(rapid.Byte()).Draw(t, "plaintext")
		context, other := rapid.String().Draw(t, "context"), rapid.String().Draw(t, "other")
		sealed, err := ring.Seal(plaintext, context)
		if err != nil {
			t.Fatalf("Seal: %v", err)
		}
		opened, err := ring.Open(sealed, context)
		if err != nil || !bytes.Equal(opened, plaintext) {
			t.Fatalf("Open = %x, %v; want %x", opened, err, plaintext)
		}
		if again, _ := ring.Seal(plaintext, context); again == sealed {
			t.Fatal("Seal is deterministic")
		}
		if _, err := ring.Open(sealed, other); (err == nil) != (other == context) {
			t.Fatalf("sealed for %q, Open for %q: %v", context, other, err)
		}
	})
}

// reference seals "hunter2" for acc_1 under the key k1 (32 bytes of 1) with an all-zero nonce: the format written down a
// second time, for ever, because stores are full of it.
func reference(t testing.TB) string {
	t.Helper()
	block, err := aes.NewCipher(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, 12)
	return "s1.k1." + base64.RawURLEncoding.EncodeToString(gcm.Seal(nonce, nonce, []byte("hunter2"), []byte("s1.k1.acc_1")))
}

func TestFormatIsForEver(t *testing.T) {
	plain, err := parse(t, "k1:"+key(1)).Open(reference(t), "acc_1")
	if err != nil || string(plain) != "hunter2" {
		t.Errorf("Open = %q, %v", plain, err)
	}
}

func FuzzOpen(f *testing.F) {
	ring := parse(f, "k1:"+key(1))
	genuine := reference(f)
	f.Add(genuine)
	f.Add("s1.k1.")
	f.Add("s1..")
	f.Fuzz(func(t *testing.T, sealed string) {
		if _, err := ring.Open(sealed, "acc_1"); err == nil && sealed != genuine {
			t.Fatalf("forged %q opens", sealed)
		}
	})
}

func FuzzParseKeyring(f *testing.F) {
	f.Add("k1:" + key(1) + ",fp:" + key(2))
	f.Add("k1:,")
	f.Fuzz(func(t *testing.T, spec string) {
		ring, err := seal.ParseKeyring(spec)
		if err != nil {
			return
		}
		if ring.NeedsReseal(mustSeal(t, ring, "x", "")) {
			t.Fatal("a fresh value needs resealing")
		}
	})
}
