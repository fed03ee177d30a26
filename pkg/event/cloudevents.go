package event

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Names of the message headers. The CloudEvents ones follow the NATS protocol
// binding 1.0 in binary mode: "ce-" and the attribute's name.
const (
	headerSpecVersion = "ce-specversion"
	headerID          = "ce-id"
	headerType        = "ce-type"
	headerSource      = "ce-source"
	headerSubject     = "ce-subject"
	headerTime        = "ce-time"
	headerContentType = "ce-datacontenttype"
	headerKey         = "ce-partitionkey"
	headerMerchant    = "ce-merchant"
	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
	headerMessageID   = "Nats-Msg-Id"
)

const (
	specVersion  = "1.0"
	contentType  = "application/protobuf"
	sourcePrefix = "/quittance/"
	// resendMark separates the id from the number of the re-send in the id that
	// the server de-duplicates by.
	resendMark = "#"
)

// Header returns the event's envelope as message headers: a CloudEvents 1.0
// event in binary mode, whose data is [Event.Data]; the W3C trace context; and
// the id by which the server recognizes repeats, which a deliberate re-send
// changes. Attributes without a value are left out.
func (e Event) Header() map[string][]string {
	h := map[string][]string{
		headerSpecVersion: {specVersion},
		headerContentType: {contentType},
		headerMessageID:   {e.MessageID()},
	}
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{encodeValue(value)}
		}
	}
	set(headerID, e.ID)
	set(headerType, e.Type)
	if e.Source != "" {
		set(headerSource, sourcePrefix+e.Source)
	}
	set(headerSubject, e.Subject)
	if !e.Time.IsZero() {
		set(headerTime, e.Time.UTC().Format(time.RFC3339Nano))
	}
	set(headerKey, e.Key)
	set(headerMerchant, e.Merchant)
	if e.TraceParent != "" {
		h[headerTraceParent] = []string{e.TraceParent}
		if e.TraceState != "" {
			h[headerTraceState] = []string{e.TraceState}
		}
	}
	return h
}

// MessageID is what tells this sending of the event from others: the id, with
// "#n" on the n-th deliberate re-send.
func (e Event) MessageID() string {
	if e.Resend == 0 {
		return e.ID
	}
	return e.ID + resendMark + strconv.Itoa(e.Resend)
}

// FromMessage is the inverse of [Event.Header]. With an error, the event holds
// whatever could be read, so that a person can look at it.
func FromMessage(header map[string][]string, data []byte) (Event, error) {
	e := Event{Data: data, TraceParent: lookup(header, headerTraceParent), TraceState: lookup(header, headerTraceState)}
	var errs []error
	attribute := func(name string, required bool) string {
		value, err := decodeValue(lookup(header, name))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		} else if value == "" && required {
			errs = append(errs, fmt.Errorf("%s is missing", name))
		}
		return value
	}
	if v := attribute(headerSpecVersion, true); v != "" && v != specVersion {
		errs = append(errs, fmt.Errorf("%s is %q, not %q", headerSpecVersion, v, specVersion))
	}
	if v := attribute(headerContentType, true); v != "" && v != contentType {
		errs = append(errs, fmt.Errorf("%s is %q, not %q", headerContentType, v, contentType))
	}
	e.ID = attribute(headerID, true)
	e.Type = attribute(headerType, true)
	e.Subject = attribute(headerSubject, true)
	e.Key = attribute(headerKey, false)
	e.Merchant = attribute(headerMerchant, false)

	source := attribute(headerSource, true)
	var ours bool
	if e.Source, ours = strings.CutPrefix(source, sourcePrefix); !ours && source != "" {
		errs = append(errs, fmt.Errorf("%s %q does not start with %q", headerSource, source, sourcePrefix))
	}
	if v := attribute(headerTime, false); v != "" {
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", headerTime, err))
		}
		e.Time = t.UTC()
	}
	if n, ok := strings.CutPrefix(lookup(header, headerMessageID), e.ID+resendMark); ok {
		resend, err := strconv.Atoi(n)
		if err != nil || resend < 1 {
			errs = append(errs, fmt.Errorf("%s: re-send %q is no positive number", headerMessageID, n))
		} else {
			e.Resend = resend
		}
	}
	if len(errs) > 0 {
		return e, fmt.Errorf("message is no event of ours: %w", errors.Join(errs...))
	}
	return e, nil
}

// lookup finds a header whatever the case of its name; the binding leaves that
// to the sender.
func lookup(header map[string][]string, name string) string {
	if v := header[name]; len(v) > 0 {
		return v[0]
	}
	for k, v := range header {
		if len(v) > 0 && strings.EqualFold(k, name) {
			return v[0]
		}
	}
	return ""
}

// encodeValue percent-encodes what the binding says must be: space, double
// quote, percent and everything outside printable ASCII.
func encodeValue(s string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '"' && c != '%' {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&0xf])
		}
	}
	return b.String()
}

// decodeValue undoes one round of percent-encoding, and before it the double
// quotes that older senders put around a value.
func decodeValue(s string) (string, error) {
	if n := len(s); n >= 2 && s[0] == '"' && s[n-1] == '"' {
		s = unquote(s[1 : n-1])
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errors.New("ends within a percent-encoding")
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%q is no percent-encoding", s[i:i+3])
		}
		b.WriteByte(byte(c))
		i += 2
	}
	if !utf8.ValidString(b.String()) {
		return "", errors.New("is not valid UTF-8")
	}
	return b.String(), nil
}

func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
