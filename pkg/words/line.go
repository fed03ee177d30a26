package words

import (
	"strings"
	"unicode"
)

// Line makes a text of somebody's one line that can't change those around it:
// without control characters, without marks that turn the direction of what
// follows, and not longer than so many characters.
func Line(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most-1]) + "…"
	}
	return s
}

// Name is a person's name as a line, empty if it holds a link: anybody can have a
// mail sent to a stranger by ordering in their name, and it must not carry what
// they want to be clicked at.
func Name(s string, most int) string {
	s = Line(s, most)
	if low := strings.ToLower(s); strings.Contains(low, "://") || strings.Contains(low, "www.") {
		return ""
	}
	return s
}
