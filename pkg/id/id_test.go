package id_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quittance/pkg/id"
)

func TestNew(t *testing.T) {
	var ids []string
	for range 2000 {
		ids = append(ids, id.New("ord"))
	}
	for _, fresh := range ids {
		if !id.Valid("ord", fresh) {
			t.Fatalf("New gave the invalid id %q", fresh)
		}
		if version := fresh[len("ord_")+12]; version != '7' {
			t.Fatalf("%q is a UUID of version %c, want 7", fresh, version)
		}
	}
	if !slices.IsSorted(ids) {
		t.Error("ids are not in the order of their creation")
	}
	if len(slices.Compact(ids)) != 2000 {
		t.Error("New repeated an id")
	}
}

// TestDerivedIsForEver pins values: ids in stores were derived from them.
func TestDerivedIsForEver(t *testing.T) {
	tests := []struct {
		want  string
		parts []string
	}{
		{"txn_e3b0c44298fc1c149afbf4c8996fb924", nil},
		{"txn_3fafa1cf2f19a7c1129beb20cf0983f7", []string{"a", "bc"}},
		{"txn_601d5476e2ccfe2c87a2bba7a3226597", []string{"ab", "c"}},
	}
	for _, tt := range tests {
		if got := id.Derived("txn", tt.parts...); got != tt.want {
			t.Errorf("Derived(%q) = %s, want %s", tt.parts, got, tt.want)
		}
	}
}

// TestDerivedTellsPartsApart: two lists of parts have the same id only if they are the same list.
func TestDerivedTellsPartsApart(t *testing.T) {
	lists := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "ab", "a\x00", "\x00", "_"}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		a, b := lists.Draw(t, "a"), lists.Draw(t, "b")
		if (id.Derived("x", a...) == id.Derived("x", b...)) != slices.Equal(a, b) {
			t.Fatalf("Derived confuses %q and %q", a, b)
		}
		if !id.Valid("x", id.Derived("x", a...)) {
			t.Fatalf("Derived(%q) is not valid", a)
		}
	})
}

func TestValid(t *testing.T) {
	digits := strings.Repeat("0123456789abcdef", 2)
	tests := []struct {
		prefix, s string
		want      bool
	}{
		{"ord", "ord_" + digits, true},
		{"ord", "pay_" + digits, false},
		{"ord", "ord" + digits, false},
		{"ord", "ord_" + digits[1:], false},
		{"ord", "ord_" + digits + "0", false},
		{"ord", "ord_" + strings.ToUpper(digits), false},
		{"ord", "ord_" + digits[1:] + "g", false},
		{"ord", "ord_" + digits[1:] + "\n", false},
		{"ord", " ord_" + digits, false},
		{"ord", "", false},
		{"", "_" + digits, true},
	}
	for _, tt := range tests {
		if got := id.Valid(tt.prefix, tt.s); got != tt.want {
			t.Errorf("Valid(%q, %q) = %t, want %t", tt.prefix, tt.s, got, tt.want)
		}
	}
}

func TestToken(t *testing.T) {
	seen := make(map[string]bool)
	for range 100 {
		token := id.Token()
		secret, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(secret) != 32 {
			t.Fatalf("Token %q is not 32 bytes of base64url: %v", token, err)
		}
		if seen[token] {
			t.Fatal("Token repeated itself")
		}
		seen[token] = true
	}
}
