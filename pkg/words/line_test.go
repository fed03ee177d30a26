package words_test

import (
	"testing"

	"quittance/pkg/words"
)

func TestLineAndName(t *testing.T) {
	for typed, want := range map[string]struct{ line, name string }{
		" Ada\tLovelace ":            {"Ada Lovelace", "Ada Lovelace"},
		"Ada\r\nBcc: x":              {"Ada Bcc: x", "Ada Bcc: x"},
		"a\u202eb\u2066c\u2028d\x00": {"abc d", "abc d"},
		"عربي 🎉":                     {"عربي 🎉", "عربي 🎉"},
		"12345678901234567890123":    {"1234567890123456789…", "1234567890123456789…"},
		"Win: HTTPS://evil.test":     {"Win: HTTPS://evil.t…", ""},
		"see WWW.evil.test":          {"see WWW.evil.test", ""},
		"\xff":                       {"\uFFFD", "\uFFFD"},
	} {
		if got := words.Line(typed, 20); got != want.line {
			t.Errorf("%q as a line: %q, want %q", typed, got, want.line)
		}
		if got := words.Name(typed, 20); got != want.name {
			t.Errorf("%q as a name: %q, want %q", typed, got, want.name)
		}
	}
}
