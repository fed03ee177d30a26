package fault

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ToStatus returns the gRPC status for err, with google.rpc.BadRequest details
// naming each violated field. Messages of internal errors stay behind.
func ToStatus(err error) *status.Status {
	if err == nil {
		return status.New(codes.OK, "")
	}
	// A bare status is gRPC's own word (an unimplemented method, a message
	// that is too large) and has no fault inside.
	var e *Error
	if st := statusOf(err); st != nil && !errors.As(err, &e) && spoken(st.Code()) {
		return status.New(st.Code(), Clip(st.Message(), maxMessage))
	}
	e = of(err).bounded()
	code := codeOf(e)
	if code == codes.Internal {
		return status.New(code, publicInternal)
	}
	st := status.New(code, e.text())
	if len(e.Fields) == 0 {
		return st
	}
	bad := &errdetails.BadRequest{}
	for _, f := range e.Fields {
		bad.FieldViolations = append(bad.FieldViolations,
			&errdetails.BadRequest_FieldViolation{Field: f.Path, Description: f.Message})
	}
	detailed, err := st.WithDetails(bad)
	if err != nil {
		return st
	}
	return detailed
}

func codeOf(e *Error) codes.Code {
	switch e.Kind {
	case KindInvalid:
		return codes.InvalidArgument
	case KindNotFound:
		return codes.NotFound
	case KindConflict:
		return codes.FailedPrecondition
	case KindExhausted:
		return codes.ResourceExhausted
	case KindUnauthenticated:
		return codes.Unauthenticated
	case KindDenied:
		return codes.PermissionDenied
	case KindUnavailable:
		switch {
		case errors.Is(e, context.Canceled):
			return codes.Canceled
		case errors.Is(e, context.DeadlineExceeded):
			return codes.DeadlineExceeded
		}
		return codes.Unavailable
	case KindInternal:
	}
	return codes.Internal
}

// spoken says whether the message of a bare status may be passed on. That of an
// unavailable peer names its address.
func spoken(c codes.Code) bool {
	return c != codes.Unknown && c != codes.Internal && c != codes.DataLoss && c != codes.Unavailable
}

func statusOf(err error) *status.Status {
	var g interface{ GRPCStatus() *status.Status }
	if errors.As(err, &g) {
		return g.GRPCStatus()
	}
	return nil
}

// FromStatus turns the error of a gRPC call into a fault. It returns nil for
// nil and leaves faults as they are; io.EOF and other errors that carry no
// status come back unchanged.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	st := statusOf(err)
	if st == nil {
		return err
	}
	return fromStatus(st)
}

// unavailable keeps what the transport says for the log: it names addresses.
func (e *Error) unavailable(message string, cause error) {
	e.Kind, e.Message, e.cause = KindUnavailable, message, cause
}

func fromStatus(st *status.Status) *Error {
	e := &Error{Message: st.Message()}
	switch st.Code() {
	case codes.InvalidArgument, codes.OutOfRange:
		e.Kind = KindInvalid
	case codes.NotFound:
		e.Kind = KindNotFound
	case codes.FailedPrecondition, codes.Aborted, codes.AlreadyExists:
		e.Kind = KindConflict
	case codes.ResourceExhausted:
		e.Kind = KindExhausted
	case codes.Unauthenticated:
		e.Kind = KindUnauthenticated
	case codes.PermissionDenied:
		e.Kind = KindDenied
	case codes.Unavailable:
		e.unavailable("temporarily unavailable", errors.New(st.Message()))
	case codes.Canceled:
		e.unavailable("canceled", fmt.Errorf("%s: %w", st.Message(), context.Canceled))
	case codes.DeadlineExceeded:
		e.unavailable("deadline exceeded", fmt.Errorf("%s: %w", st.Message(), context.DeadlineExceeded))
	case codes.OK, codes.Unknown, codes.Unimplemented, codes.Internal, codes.DataLoss:
		e.Kind = KindInternal
		e.Message = st.Code().String() + ": " + st.Message()
	default:
		e.Kind = KindInternal
	}
	for _, d := range st.Details() {
		bad, ok := d.(*errdetails.BadRequest)
		if !ok {
			continue
		}
		for _, v := range bad.GetFieldViolations() {
			e.Fields = append(e.Fields, Field{Path: v.GetField(), Message: v.GetDescription()})
		}
	}
	if len(e.Fields) > 0 {
		e.Message = ""
	}
	return e.bounded()
}
