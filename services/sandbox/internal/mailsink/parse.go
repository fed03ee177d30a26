package mailsink

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"
)

// maxDepth bounds how deeply parts may nest.
const maxDepth = 5

// Mail is a letter, read.
type Mail struct {
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	// EnvelopeTo are the addresses that the mail went to.
	EnvelopeTo []string `json:"envelopeTo"`
	// From, To and Subject are headers, decoded.
	From      string `json:"from"`
	To        string `json:"to"`
	Subject   string `json:"subject"`
	MessageID string `json:"messageID"`
	// Text and HTML are the bodies, decoded.
	Text string `json:"text"`
	HTML string `json:"html,omitempty"`
	// Pictures are those that HTML names as "cid:…".
	Pictures []Picture `json:"pictures,omitempty"`
	// Header holds all headers as they came.
	Header map[string][]string `json:"header"`
	// Problem says why the mail can't be read; Text is then what came.
	Problem string `json:"problem,omitempty"`
}

// Picture is a picture of the HTML.
type Picture struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Data []byte `json:"data"`
}

// parse reads a letter. What can't be read is shown as it came.
func parse(letter Letter) Mail {
	m := Mail{Number: letter.Number, At: letter.At, EnvelopeTo: letter.EnvelopeTo}
	message, err := mail.ReadMessage(bytes.NewReader(letter.Raw))
	if err != nil {
		m.Problem, m.Text = err.Error(), valid(letter.Raw)
		return m
	}
	header := textHeader(message.Header)
	m.Header = message.Header
	m.From, m.To, m.Subject = header.word("From"), header.word("To"), header.word("Subject")
	m.MessageID = strings.Trim(header.word("Message-Id"), "<>")
	if err := m.read(header, message.Body, 0); err != nil {
		m.Problem = err.Error()
		if m.Text == "" {
			m.Text = valid(letter.Raw)
		}
	}
	return m
}

// rendered is the HTML with its pictures in it.
func (m *Mail) rendered() string {
	pairs := make([]string, 0, 2*len(m.Pictures))
	for _, p := range m.Pictures {
		pairs = append(pairs, "cid:"+p.ID, "data:"+p.Type+";base64,"+base64.StdEncoding.EncodeToString(p.Data))
	}
	return strings.NewReplacer(pairs...).Replace(m.HTML)
}

// read takes the first text and the first HTML part, and the pictures.
func (m *Mail) read(header textHeader, body io.Reader, depth int) error {
	kind, params, err := mime.ParseMediaType(header.get("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") && depth < maxDepth {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			part, err := parts.NextRawPart()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := m.read(textHeader(part.Header), part, depth+1); err != nil {
				return err
			}
		}
	}
	text, err := io.ReadAll(decoded(header.get("Content-Transfer-Encoding"), body))
	if err != nil {
		return err
	}
	switch {
	case kind == "text/plain" && m.Text == "":
		m.Text = unixLines(valid(text))
	case kind == "text/html" && m.HTML == "":
		m.HTML = unixLines(valid(text))
	case strings.HasPrefix(kind, "image/") && header.get("Content-Id") != "":
		m.Pictures = append(m.Pictures, Picture{ID: strings.Trim(header.get("Content-Id"), "<>"), Type: kind, Data: text})
	}
	return nil
}

func decoded(encoding string, body io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	default:
		return body
	}
}

func unixLines(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

func valid(text []byte) string { return strings.ToValidUTF8(string(text), "\uFFFD") }

// textHeader is a mail's or a part's header, with canonical names.
type textHeader map[string][]string

func (h textHeader) get(name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// word gives a header with its encoded words decoded.
func (h textHeader) word(name string) string {
	value, err := new(mime.WordDecoder).DecodeHeader(h.get(name))
	if err != nil {
		return h.get(name)
	}
	return value
}
