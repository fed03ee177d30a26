package delivery

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"quittance/pkg/id"
)

// Limits of licence keys, wherever they come from.
const (
	MaxKeyBytes = 4000
	// scanned is how much of an answer's body patterns look at.
	scanned = 4096
)

// Patience and timeout of a web service that says nothing else.
const (
	DefaultTimeout  = 10 * time.Second
	DefaultFallBack = 10 * time.Minute
	DefaultGiveUp   = 3 * 24 * time.Hour
)

// WebService is the stored document of a merchant's web service that licences
// of a product come from.
type WebService struct {
	Merchant          string        `json:"merchant"`
	Product           string        `json:"product"`
	URL               string        `json:"url"`
	Timeout           time.Duration `json:"timeout,omitempty"`
	FallBack          time.Duration `json:"fall_back,omitempty"`
	GiveUp            time.Duration `json:"give_up,omitempty"`
	TemporaryStatuses []int         `json:"temporary_statuses,omitempty"`
	FatalStatuses     []int         `json:"fatal_statuses,omitempty"`
	TemporaryPatterns []string      `json:"temporary_patterns,omitempty"`
	FatalPatterns     []string      `json:"fatal_patterns,omitempty"`
	// Secrets sign the calls, the current one first.
	Secrets []SealedSecret `json:"secrets"`
}

// SealedSecret is a secret of a web service, bound to the document's id.
type SealedSecret struct {
	Sealed string `json:"sealed"`
	// Until is when it no longer signs, zero: it is the current one.
	Until time.Time `json:"until,omitzero"`
}

// WebServiceID is the id of the document of a product's web service.
func WebServiceID(merchant, product string) string { return id.Derived("wsv", merchant, product) }

// Signing lists the sealed secrets that sign at a time.
func (w *WebService) Signing(now time.Time) []string {
	var out []string
	for _, s := range w.Secrets {
		if s.Until.IsZero() || s.Until.After(now) {
			out = append(out, s.Sealed)
		}
	}
	return out
}

// maxSecrets is how many secrets may sign at once.
const maxSecrets = 5

// Rotate makes a sealed secret the current one; older ones sign until a time at
// the latest.
func (w *WebService) Rotate(sealed string, until, now time.Time) {
	kept := []SealedSecret{{Sealed: sealed}}
	for _, s := range w.Secrets {
		if s.Until.IsZero() || s.Until.After(until) {
			s.Until = until
		}
		if s.Until.After(now) && len(kept) < maxSecrets {
			kept = append(kept, s)
		}
	}
	w.Secrets = kept
}

// CallTimeout is the longest a call takes.
func (w *WebService) CallTimeout() time.Duration { return orDefault(w.Timeout, DefaultTimeout) }

// Patience is how long the service may fail.
func (w *WebService) Patience() Patience {
	return Patience{FallBack: orDefault(w.FallBack, DefaultFallBack), GiveUp: orDefault(w.GiveUp, DefaultGiveUp)}
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}

// Answer says what an answer means.
type Answer uint8

// The meanings of an answer.
const (
	// AnswerGood: it should have licences.
	AnswerGood Answer = iota + 1
	// AnswerTemporary: not now.
	AnswerTemporary
	// AnswerFatal: never, until somebody acts.
	AnswerFatal
)

// notNow are the statuses below 500 that ask for another try: Request Timeout,
// Too Early, Too Many Requests.
var notNow = []int{408, 425, 429}

// Judge says what an answer means: its body by the merchant's patterns first,
// then its status by the merchant's lists, then as usual.
func (w *WebService) Judge(status int, body []byte) Answer {
	body = body[:min(len(body), scanned)]
	switch {
	case matches(w.FatalPatterns, body):
		return AnswerFatal
	case matches(w.TemporaryPatterns, body):
		return AnswerTemporary
	case slices.Contains(w.FatalStatuses, status):
		return AnswerFatal
	case slices.Contains(w.TemporaryStatuses, status):
		return AnswerTemporary
	case status >= 200 && status <= 299:
		return AnswerGood
	case status >= 500, slices.Contains(notNow, status):
		return AnswerTemporary
	}
	return AnswerFatal
}

func matches(patterns []string, body []byte) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		re, err := regexp.Compile(p)
		return err == nil && re.Match(body)
	})
}

// CheckKey says in words what is wrong with a licence key, nil if nothing is. It
// never repeats the key.
func CheckKey(key string) error {
	switch {
	case len(key) < 1 || len(key) > MaxKeyBytes || strings.TrimSpace(key) == "":
		return fmt.Errorf("must have 1 to %d bytes and not be blank", MaxKeyBytes)
	case !utf8.ValidString(key):
		return fmt.Errorf("must be UTF-8")
	}
	return nil
}
