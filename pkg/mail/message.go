package mail

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// Message is one e-mail to one recipient. Its text may hold licence keys, so it prints and logs its id only.
type Message struct {
	// ID becomes the part of the Message-ID header before the @, whose other part is the domain of From. It identifies
	// the message over all attempts to send it. Letters, digits and "_-+=.", no dot at the ends or beside another, at
	// most 128.
	ID string
	// From and ReplyTo are addresses with or without a display name: "Shop <shop@example.com>". ReplyTo is optional.
	From, ReplyTo string
	// To is the recipient's address, with or without a display name.
	To string
	// Subject is one line; runs of white space in it become one space.
	Subject string
	// Text and HTML are the bodies. At least one is needed; with both, the reader's program chooses.
	Text, HTML string
	// Pictures belong to HTML, which shows them as "cid:<ID>", so that it loads nothing from elsewhere.
	Pictures []Picture
	// Headers are further headers, such as "Auto-Submitted" or "List-Unsubscribe". Those that other fields or the
	// sender set are refused.
	Headers map[string]string
}

// Picture is a picture in the HTML of a message.
type Picture struct {
	// ID is what HTML names it by, in the form of Message.ID and at most 64 characters.
	ID string
	// Type is its media type, "image/png".
	Type string
	Data []byte
}

// Sender hands messages over to a mail system.
type Sender interface {
	// Send blocks until the mail system has taken responsibility for m (nil), or it has not or might not have (error),
	// at the latest until ctx ends. After a temporary error (see IsPermanent) the caller MUST repeat the message with
	// the same ID; the recipient may then get it twice. Send does not retry. It is safe for concurrent use.
	Send(ctx context.Context, m Message) error
}

var (
	_ fmt.Formatter  = Message{}
	_ slog.LogValuer = Message{}
)

// Format writes "mail.Message(<id>)", whatever the verb.
func (m Message) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, m.describe()) }

// LogValue returns "mail.Message(<id>)".
func (m Message) LogValue() slog.Value { return slog.StringValue(m.describe()) }

func (m Message) describe() string { return "mail.Message(" + m.ID + ")" }
