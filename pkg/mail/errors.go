package mail

import (
	"errors"
	"fmt"
	"net/textproto"
)

// FieldError says which field of a Message cannot be sent, and why. It is permanent.
type FieldError struct {
	// Field is the name as in Message: "To", "Subject", `Headers["X-Id"]`.
	Field string
	// Reason completes "<Field>: …" and does not repeat the value.
	Reason string
}

// Error returns "mail: <field>: <reason>".
func (e *FieldError) Error() string { return "mail: " + e.Field + ": " + e.Reason }

// SendError is a failed attempt to hand over a valid message.
type SendError struct {
	// Step is what failed: "connect", "open session", "MAIL FROM", "RCPT TO", "DATA", "message".
	Step string
	// Code is the SMTP reply code, or 0 if there was no reply.
	Code int
	// Permanent is true if the server refused this message for good.
	Permanent bool
	// Err is the cause: the server's reply, a network error, the context's error.
	Err error
}

// Error returns the step and the cause. The server's words are in it, which may repeat an address but no message text.
func (e *SendError) Error() string { return fmt.Sprintf("mail: %s: %v", e.Step, e.Err) }

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// IsPermanent reports whether err, as returned by Send, says that the message will never be accepted: a field of it is
// unusable, or the server answered 5xx to its sender, recipient or content. Everything else is worth another attempt:
// 4xx, network errors, time-outs, and whatever goes wrong before the message is presented or is about our login rather
// than the message (a wrong password must not cost a customer the licence).
func IsPermanent(err error) bool {
	var field *FieldError
	if errors.As(err, &field) {
		return true
	}
	var send *SendError
	return errors.As(err, &send) && send.Permanent
}

// Part is what of a message a refusal is about.
type Part string

// The parts.
const (
	PartRecipient Part = "recipient"
	PartSender    Part = "sender"
	PartContent   Part = "content"
)

// Explain says why Send failed, for people, in words of ours: the mail server's may repeat what it refuses. part is what
// must be put right before the message can be accepted, empty if it may be accepted later as it is (see IsPermanent).
func Explain(err error) (problem string, part Part) {
	step, code := "unknown", 0
	var field *FieldError
	var send *SendError
	switch {
	case errors.As(err, &field):
		step = field.Field
	case errors.As(err, &send):
		step, code = send.Step, send.Code
	}
	if !IsPermanent(err) {
		return fmt.Sprintf("the mail server does not take the mail now (%s, code %d)", step, code), ""
	}
	switch step {
	case "To", "RCPT TO":
		return fmt.Sprintf("the recipient's address was refused (code %d)", code), PartRecipient
	case "From", "MAIL FROM":
		return fmt.Sprintf("the sender's address was refused (code %d)", code), PartSender
	default:
		return fmt.Sprintf("the mail was refused (%s, code %d)", step, code), PartContent
	}
}

// sessionError classes a failure that is not about the message. It is always temporary.
func sessionError(step string, err error) *SendError {
	return &SendError{Step: step, Code: replyCode(err), Err: err}
}

// messageError classes a failure while the message was being presented.
func messageError(step string, err error) *SendError {
	code := replyCode(err)
	return &SendError{Step: step, Code: code, Permanent: code/100 == 5 && !aboutLogin(code), Err: err}
}

// aboutLogin lists the replies that mean "authenticate first", "mechanism too weak", "wrong credentials" and
// "encryption required" (RFC 4954, section 6). Servers give them to MAIL FROM as well.
func aboutLogin(code int) bool {
	return code == 530 || code == 534 || code == 535 || code == 538
}

func replyCode(err error) int {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code
	}
	return 0
}
