package mail

import (
	"bytes"
	"fmt"
	"maps"
	netmail "net/mail"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"
)

const (
	maxID        = 128
	maxPictureID = 64
	// maxHeaderName and maxHeaderValue, in bytes, keep even a value that cannot be folded within the 998 bytes of a
	// line (RFC 5322, section 2.1.1).
	maxHeaderName  = 60
	maxHeaderValue = 900

	idSymbols = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=."
)

var pictureType = regexp.MustCompile(`^image/[a-z0-9.+-]{1,40}$`)

// envelope is a message ready for the wire: bare ASCII addresses, and the data with CRLF line ends.
type envelope struct {
	from, to string
	data     []byte
}

// render checks a message and writes it in the format of RFC 5322. All its errors are *FieldError.
func render(m Message) (envelope, error) {
	if err := checkID("ID", m.ID, maxID); err != nil {
		return envelope{}, err
	}
	if m.Text == "" && m.HTML == "" {
		return envelope{}, &FieldError{"Text", "there is neither Text nor HTML"}
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	from, err := parseAddress("From", m.From)
	if err != nil {
		return envelope{}, err
	}
	msg.FromMailAddress(from)
	to, err := parseAddress("To", m.To)
	if err != nil {
		return envelope{}, err
	}
	msg.ToMailAddress(to)
	if m.ReplyTo != "" {
		replyTo, err := parseAddress("ReplyTo", m.ReplyTo)
		if err != nil {
			return envelope{}, err
		}
		msg.ReplyToMailAddress(replyTo)
	}
	if err := setHeaders(msg, m); err != nil {
		return envelope{}, err
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	msg.SetMessageIDWithValue(m.ID + "@" + domain)

	if m.Text != "" {
		msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	}
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	if err := embed(msg, m.Pictures); err != nil {
		return envelope{}, err
	}
	var data bytes.Buffer
	if _, err := msg.WriteTo(&data); err != nil {
		return envelope{}, &FieldError{"Text", fmt.Sprintf("the message cannot be written: %v", err)}
	}
	return envelope{from: from.Address, to: to.Address, data: data.Bytes()}, nil
}

// embed adds the pictures of the HTML.
func embed(msg *gomail.Msg, pictures []Picture) error {
	for i, p := range pictures {
		if err := checkID(fmt.Sprintf("Pictures[%d].ID", i), p.ID, maxPictureID); err != nil {
			return err
		}
		if !pictureType.MatchString(p.Type) {
			return &FieldError{fmt.Sprintf("Pictures[%d].Type", i), "it must be the media type of a picture"}
		}
		err := msg.EmbedReader(p.ID, bytes.NewReader(p.Data),
			gomail.WithFileContentID("<"+p.ID+">"), gomail.WithFileContentType(gomail.ContentType(p.Type)))
		if err != nil {
			return &FieldError{fmt.Sprintf("Pictures[%d]", i), fmt.Sprintf("it cannot be written: %v", err)}
		}
	}
	return nil
}

// setHeaders sets the subject and the caller's own headers.
func setHeaders(msg *gomail.Msg, m Message) error {
	subject, err := headerValue("Subject", m.Subject)
	if err != nil {
		return err
	}
	msg.Subject(subject)
	seen := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		field := fmt.Sprintf("Headers[%.80q]", name)
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if reason := checkHeaderName(canonical); reason != "" {
			return &FieldError{field, reason}
		}
		if seen[canonical] {
			return &FieldError{field, "given twice in different spellings"}
		}
		seen[canonical] = true
		value, err := headerValue(field, m.Headers[name])
		if err != nil {
			return err
		}
		msg.SetGenHeader(gomail.Header(canonical), value)
	}
	return nil
}

// parseAddress reads an address with an optional display name; its domain comes out in ASCII.
func parseAddress(field, s string) (*netmail.Address, error) {
	if _, err := headerValue(field, s); err != nil {
		return nil, err
	}
	if s == "" {
		return nil, &FieldError{field, "the address is empty"}
	}
	address, err := netmail.ParseAddress(s)
	if err != nil {
		return nil, &FieldError{field, "the address must have the form name@domain or Display Name <name@domain>"}
	}
	// An encoded word in the display name may decode to anything.
	if _, err := headerValue(field, address.Name); err != nil {
		return nil, err
	}
	if address.Address, err = asciiAddress(address.Address); err != nil {
		return nil, &FieldError{field, err.Error()}
	}
	return address, nil
}

// headerValue checks text that becomes part of one header line, and returns it with each run of white space reduced to
// one space: folding relies on there being no longer ones.
func headerValue(field, s string) (string, error) {
	if strings.ContainsAny(s, "\r\n") {
		return "", &FieldError{field, "it must not contain a line break (CR or LF)"}
	}
	if strings.ContainsFunc(s, func(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }) {
		return "", &FieldError{field, "it must not contain control characters"}
	}
	if !utf8.ValidString(s) {
		return "", &FieldError{field, "it must be UTF-8"}
	}
	if len(s) > maxHeaderValue {
		return "", &FieldError{field, fmt.Sprintf("it has %d bytes, more than %d", len(s), maxHeaderValue)}
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' }), " "), nil
}

// checkHeaderName returns why a header cannot be set by the caller, or "".
func checkHeaderName(canonical string) string {
	if canonical == "" || len(canonical) > maxHeaderName {
		return fmt.Sprintf("the name must have 1 to %d characters", maxHeaderName)
	}
	// RFC 5322, section 3.6.8: visible ASCII except the colon.
	if strings.ContainsFunc(canonical, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		return "the name must be visible ASCII without a colon"
	}
	switch lower := strings.ToLower(canonical); {
	case slices.Contains([]string{
		"from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version",
		"return-path", "received",
	}, lower), strings.HasPrefix(lower, "content-"), strings.HasPrefix(lower, "resent-"):
		return "this header is not for callers to set"
	default:
		return ""
	}
}

// checkID requires a dot-atom (RFC 5322, section 3.2.3) of harmless characters.
func checkID(field, id string, most int) error {
	if id == "" || len(id) > most {
		return &FieldError{field, fmt.Sprintf("it must have 1 to %d characters", most)}
	}
	if strings.Trim(id, idSymbols) != "" || id[0] == '.' || id[len(id)-1] == '.' || strings.Contains(id, "..") {
		return &FieldError{field, "it must be ASCII letters, digits and _-+=. with dots only between others"}
	}
	return nil
}
