// Package fault owns the one error type that means something to a caller: what
// kind of thing went wrong, in words that may be shown, and which input fields
// are to blame.
//
// Domain code and edges give a fault; the servers turn it into a gRPC status or
// an HTTP answer, and the gRPC client turns the status back into the same
// fault, so kinds and fields survive a call. An error that is no fault is
// internal: callers learn that something failed, and only the log learns what.
//
// Texts are bounded, whatever they quote: paths to 100 characters, messages to
// 300, fields to 50, all on one line.
package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Kind says what a caller can do about an error.
type Kind uint8

// Kinds of errors. The zero Kind belongs to no error at all.
const (
	// KindInvalid: the request is wrong in itself; Fields say where.
	KindInvalid Kind = iota + 1
	// KindNotFound: there is no such thing, or not for this caller.
	KindNotFound
	// KindConflict: the request is well formed but the state forbids it.
	KindConflict
	// KindExhausted: a quota or rate is used up.
	KindExhausted
	// KindUnauthenticated: no credential, or one that is not valid.
	KindUnauthenticated
	// KindDenied: a valid credential that does not allow this.
	KindDenied
	// KindUnavailable: not now; the same request may work later.
	KindUnavailable
	// KindInternal: our mistake; the message never leaves the process.
	KindInternal
)

// String returns the name of the kind, as used in logs.
func (k Kind) String() string {
	switch k {
	case KindInvalid:
		return "invalid"
	case KindNotFound:
		return "not_found"
	case KindConflict:
		return "conflict"
	case KindExhausted:
		return "exhausted"
	case KindUnauthenticated:
		return "unauthenticated"
	case KindDenied:
		return "denied"
	case KindUnavailable:
		return "unavailable"
	case KindInternal:
		return "internal"
	}
	return "none"
}

// Field is one violated input field.
type Field struct {
	// Path names the field as the request's schema does: "lines[0].quantity".
	Path string
	// Message says what must hold: "must be between 1 and 10000".
	Message string
}

// Error is an error with a meaning for the caller. Message and Fields may be
// shown to the caller unless Kind is KindInternal.
type Error struct {
	Kind    Kind
	Message string
	Fields  []Field
	cause   error
}

// Error returns the message, the fields and the cause, for logs.
func (e *Error) Error() string {
	s := e.text()
	if e.cause != nil {
		s += ": " + clip(e.cause.Error(), maxInternal, true)
	}
	return s
}

// Unwrap returns the cause, if any.
func (e *Error) Unwrap() error { return e.cause }

// Because returns a copy of e with a cause. The cause shows in logs and to
// errors.Is and errors.As; callers of the service never see it.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

func (e *Error) text() string {
	b := e.bounded()
	if len(b.Fields) == 0 {
		return b.Message
	}
	parts := make([]string, len(b.Fields))
	for i, f := range b.Fields {
		parts[i] = f.Path + ": " + f.Message
	}
	return Clip(strings.Join(parts, "; "), maxMessage)
}

// Invalid reports one violated field. Use [Validation] to report all of them.
func Invalid(path, format string, args ...any) *Error {
	return &Error{Kind: KindInvalid, Fields: []Field{field(path, messagef(format, args...))}}
}

// NotFound reports that something is not there: fault.NotFound("order %s", id).
func NotFound(format string, args ...any) *Error {
	const suffix = " not found"
	return &Error{Kind: KindNotFound, Message: Clip(fmt.Sprintf(format, args...), maxMessage-len(suffix)) + suffix}
}

// Conflict reports that the present state forbids the request.
func Conflict(format string, args ...any) *Error {
	return &Error{Kind: KindConflict, Message: messagef(format, args...)}
}

// Exhausted reports a used-up quota or rate.
func Exhausted(format string, args ...any) *Error {
	return &Error{Kind: KindExhausted, Message: messagef(format, args...)}
}

// Unauthenticated reports a missing or invalid credential.
func Unauthenticated(format string, args ...any) *Error {
	return &Error{Kind: KindUnauthenticated, Message: messagef(format, args...)}
}

// Denied reports a credential that does not allow the request.
func Denied(format string, args ...any) *Error {
	return &Error{Kind: KindDenied, Message: messagef(format, args...)}
}

// Unavailable reports that the same request may work later.
func Unavailable(format string, args ...any) *Error {
	return &Error{Kind: KindUnavailable, Message: messagef(format, args...)}
}

// Internal reports our own mistake. The message is for the log only. Any error
// that is no fault counts as internal, so this is rarely needed.
func Internal(format string, args ...any) *Error {
	return &Error{Kind: KindInternal, Message: clip(fmt.Sprintf(format, args...), maxInternal, true)}
}

// KindOf returns the kind of the first fault in err's chain. A canceled or
// timed out context is unavailable, any other error internal, nil no kind.
func KindOf(err error) Kind {
	if err == nil {
		return 0
	}
	return of(err).Kind
}

// FieldsOf returns the violated fields of the first fault in err's chain.
func FieldsOf(err error) []Field {
	if err == nil {
		return nil
	}
	return of(err).bounded().Fields
}

// Public returns the text of err that a caller may see.
func Public(err error) string {
	if err == nil {
		return ""
	}
	e := of(err)
	if e.Kind == KindInternal {
		return publicInternal
	}
	return e.text()
}

const publicInternal = "internal error"

// of finds the fault in err, or the fault that err amounts to.
func of(err error) *Error {
	var e *Error
	if errors.As(err, &e) && e != nil && e.Kind != 0 {
		return e
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Unavailable("canceled").Because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return Unavailable("deadline exceeded").Because(err)
	}
	if st := statusOf(err); st != nil {
		return fromStatus(st)
	}
	return Internal("internal error").Because(err)
}

// StatusClientClosed is the HTTP status of a request whose caller went away.
// Nobody receives it; it keeps logs and metrics apart from real failures.
const StatusClientClosed = 499

// HTTPStatus returns the HTTP status of err, 200 for nil.
func HTTPStatus(err error) int {
	if err == nil {
		return http.StatusOK
	}
	e := of(err)
	switch e.Kind {
	case KindInvalid:
		return http.StatusBadRequest
	case KindNotFound:
		return http.StatusNotFound
	case KindConflict:
		return http.StatusConflict
	case KindExhausted:
		return http.StatusTooManyRequests
	case KindUnauthenticated:
		return http.StatusUnauthorized
	case KindDenied:
		return http.StatusForbidden
	case KindUnavailable:
		switch {
		case errors.Is(e, context.Canceled):
			return StatusClientClosed
		case errors.Is(e, context.DeadlineExceeded):
			return http.StatusGatewayTimeout
		}
		return http.StatusServiceUnavailable
	case KindInternal:
	}
	return http.StatusInternalServerError
}
