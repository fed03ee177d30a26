package event

import (
	"fmt"
	"strings"
)

// Roots of the bus subjects: facts, and reference data of which only the latest
// per item is kept.
const (
	rootEvents    = "evt"
	rootReference = "ref"
)

// maxToken bounds the length of the last token of a subject.
const maxToken = 200

// Subject returns where on the bus the event goes: "evt.<type>.<subject>", or
// for reference data, whose type starts with "ref.", "<type>.<subject>". It
// refuses a type or subject that would change the number of tokens or match
// more than itself.
func Subject(e Event) (string, error) {
	prefix, err := SubjectPrefix(e.Type)
	if err != nil {
		return "", err
	}
	if !validToken(e.Subject) {
		return "", fmt.Errorf("event %s %s: subject %q is not one token of 1 to %d printable characters without dot, space or wildcard",
			e.Type, e.ID, e.Subject, maxToken)
	}
	return prefix + "." + e.Subject, nil
}

// SubjectPrefix returns what the bus subjects of all events of a type start
// with; a dot and the event's subject follow.
func SubjectPrefix(typ string) (string, error) {
	tokens := strings.Split(typ, ".")
	valid := len(tokens) > 1
	for _, token := range tokens {
		valid = valid && validName(token)
	}
	if IsReference(typ) {
		if !valid || len(tokens) != 2 {
			return "", fmt.Errorf("event type %q is not of the form ref.kind", typ)
		}
		return typ, nil
	}
	if !valid {
		return "", fmt.Errorf("event type %q is not a dotted name of lower-case words", typ)
	}
	return rootEvents + "." + typ, nil
}

// IsReference reports whether the type is one of reference data.
func IsReference(typ string) bool { return strings.HasPrefix(typ, rootReference+".") }

func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != ""
}

func validToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '.' || c == '*' || c == '>' {
			return false
		}
	}
	return s != "" && len(s) <= maxToken
}
