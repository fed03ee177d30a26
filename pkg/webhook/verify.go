package webhook

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Verify checks that the body and its id and timestamp were signed with one of the secrets, no more than Tolerance away
// from now. Signatures of other versions are skipped. All secrets and signatures are compared, in constant time each,
// whichever fits. It does not remember ids: a receiver that must not act twice keeps them itself, for longer than
// Tolerance. Errors: ErrSecret, ErrHeaders, ErrTimestamp, ErrSignature.
func Verify(secrets []string, headers http.Header, body []byte, now time.Time) error {
	if len(secrets) == 0 {
		return fmt.Errorf("%w: none given", ErrSecret)
	}
	id, err := single(headers, HeaderID)
	if err != nil {
		return err
	}
	if err := checkID(id); err != nil {
		return err
	}
	timestamp, err := single(headers, HeaderTimestamp)
	if err != nil {
		return err
	}
	if err := checkTimestamp(timestamp, now); err != nil {
		return err
	}
	signatures, err := single(headers, HeaderSignature)
	if err != nil {
		return err
	}

	matches := 0
	for _, secret := range secrets {
		key, err := decodeSecret(secret)
		if err != nil {
			return err
		}
		expected := []byte(sign(key, id, timestamp, body))
		for signature := range strings.SplitSeq(signatures, " ") {
			matches |= subtle.ConstantTimeCompare([]byte(signature), expected)
		}
	}
	if matches == 0 {
		return ErrSignature
	}
	return nil
}

// single returns the value of a header that must be there exactly once: of two, the application might read the one
// that was not checked.
func single(headers http.Header, name string) (string, error) {
	values := headers.Values(name)
	if len(values) != 1 || values[0] == "" {
		return "", fmt.Errorf("%w: %s must be there exactly once", ErrHeaders, name)
	}
	return values[0], nil
}

// checkTimestamp requires a canonical decimal number of seconds since 1970 within Tolerance of now.
func checkTimestamp(timestamp string, now time.Time) error {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || seconds < 0 || strconv.FormatInt(seconds, 10) != timestamp {
		return fmt.Errorf("%w: %s must be seconds since 1970", ErrHeaders, HeaderTimestamp)
	}
	age := now.Sub(time.Unix(seconds, 0))
	switch {
	case age > Tolerance:
		return fmt.Errorf("%w: it is more than %v old", ErrTimestamp, Tolerance)
	case age < -Tolerance:
		return fmt.Errorf("%w: it is more than %v in the future", ErrTimestamp, Tolerance)
	default:
		return nil
	}
}
