package words

import (
	"unicode"
	"unicode/utf8"
)

// Initial stands for a name where there is no picture of it: its first letter or
// digit in upper case, else its first character.
func Initial(name string) string {
	for _, r := range name {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			return string(unicode.ToUpper(r))
		}
	}
	r, _ := utf8.DecodeRuneInString(name)
	return string(r)
}
