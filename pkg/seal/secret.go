package seal

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

var (
	_ fmt.Formatter            = Secret("")
	_ fmt.Stringer             = Secret("")
	_ fmt.GoStringer           = Secret("")
	_ slog.LogValuer           = Secret("")
	_ json.Marshaler           = Secret("")
	_ encoding.TextMarshaler   = Secret("")
	_ encoding.TextUnmarshaler = (*Secret)(nil)
)

// Secret is a string that shows itself as "[redacted]" to fmt (every verb but %p), slog, JSON and text marshalling. Only
// Reveal gives the value.
//
// Go leaves three ways around it. fmt calls no methods on unexported struct fields, so printing a struct that holds a
// Secret in one shows it: keep Secrets in exported fields, or hold the method value secret.Reveal instead. The verb %p,
// which vet refuses here, bypasses methods. And encoding/json writes string map keys as they are.
type Secret string

// Reveal returns the value. Calls of it are the places to look at when secrets are audited.
func (s Secret) Reveal() string { return string(s) }

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// Format writes "[redacted]" whatever the verb, width and flags.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "[redacted]" as a JSON string.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes the value from configuration. It refuses "[redacted]": a secret that has once been marshalled is
// gone, and must not silently become that word.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == redacted {
		return errors.New("seal: the secret is the placeholder " + redacted + ", not a value")
	}
	*s = Secret(text)
	return nil
}
