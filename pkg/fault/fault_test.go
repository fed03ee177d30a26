package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"quittance/pkg/fault"
)

func TestKindsMapToStatusAndBack(t *testing.T) {
	tests := []struct {
		err  error
		kind fault.Kind
		code codes.Code
		http int
		text string
	}{
		{fault.Invalid("lines[0].quantity", "must be between %d and %d", 1, 10000), fault.KindInvalid, codes.InvalidArgument, 400, "lines[0].quantity: must be between 1 and 10000"},
		{fault.NotFound("order %s", "ord_1"), fault.KindNotFound, codes.NotFound, 404, "order ord_1 not found"},
		{fault.Conflict("order is paid"), fault.KindConflict, codes.FailedPrecondition, 409, "order is paid"},
		{fault.Exhausted("too many requests"), fault.KindExhausted, codes.ResourceExhausted, 429, "too many requests"},
		{fault.Unauthenticated("no key"), fault.KindUnauthenticated, codes.Unauthenticated, 401, "no key"},
		{fault.Denied("not yours"), fault.KindDenied, codes.PermissionDenied, 403, "not yours"},
		{fault.Internal("disk %d is on fire", 7), fault.KindInternal, codes.Internal, 500, "internal error"},
		{errors.New("pq: password is hunter2"), fault.KindInternal, codes.Internal, 500, "internal error"},
		{fmt.Errorf("load: %w", context.Canceled), fault.KindUnavailable, codes.Canceled, 499, "canceled"},
		{fmt.Errorf("load: %w", context.DeadlineExceeded), fault.KindUnavailable, codes.DeadlineExceeded, 504, "deadline exceeded"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			wrapped := fmt.Errorf("do it: %w", tt.err)
			if got := fault.KindOf(wrapped); got != tt.kind {
				t.Errorf("KindOf = %v, want %v", got, tt.kind)
			}
			st := fault.ToStatus(wrapped)
			if st.Code() != tt.code || st.Message() != tt.text {
				t.Errorf("ToStatus = %v %q, want %v %q", st.Code(), st.Message(), tt.code, tt.text)
			}
			if got := fault.HTTPStatus(wrapped); got != tt.http {
				t.Errorf("HTTPStatus = %d, want %d", got, tt.http)
			}
			if got := fault.Public(wrapped); got != tt.text {
				t.Errorf("Public = %q, want %q", got, tt.text)
			}
			back := fault.FromStatus(st.Err())
			if got := fault.KindOf(back); got != tt.kind {
				t.Errorf("kind after the call = %v, want %v", got, tt.kind)
			}
			if got := fault.HTTPStatus(back); got != tt.http {
				t.Errorf("HTTP status after the call = %d, want %d", got, tt.http)
			}
			if got := fault.Public(back); got != tt.text {
				t.Errorf("Public after the call = %q, want %q", got, tt.text)
			}
		})
	}
}

func TestNilIsNoError(t *testing.T) {
	if fault.KindOf(nil) != 0 || fault.Public(nil) != "" || fault.HTTPStatus(nil) != http.StatusOK {
		t.Error("nil has a kind, a text or a bad status")
	}
	if fault.ToStatus(nil).Code() != codes.OK || fault.FromStatus(nil) != nil {
		t.Error("nil does not stay nil over a call")
	}
}

func TestValidationNamesEveryField(t *testing.T) {
	var v fault.Validation
	if v.Err() != nil {
		t.Fatal("no check, yet an error")
	}
	v.Check(true, "email", "must be set")
	v.Check(false, "lines", "must have at least %d line", 1)
	v.Add("lines[1]", fault.Invalid("sku", "is unknown"))
	v.Add("amount", errors.New("secret detail"))
	v.Add("unused", nil)
	want := []fault.Field{
		{Path: "lines", Message: "must have at least 1 line"},
		{Path: "lines[1].sku", Message: "is unknown"},
		{Path: "amount", Message: "internal error"},
	}
	if diff := cmp.Diff(want, fault.FieldsOf(v.Err())); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}

	st := fault.ToStatus(v.Err())
	bad, ok := st.Details()[0].(*errdetails.BadRequest)
	if !ok || len(bad.GetFieldViolations()) != 3 || bad.GetFieldViolations()[1].GetField() != "lines[1].sku" {
		t.Errorf("details = %v", st.Details())
	}
	if diff := cmp.Diff(want, fault.FieldsOf(fault.FromStatus(st.Err()))); diff != "" {
		t.Errorf("fields after the call (-want +got):\n%s", diff)
	}
}

// P10: what we say to ourselves is not what we say to callers.
func TestCauseStaysInside(t *testing.T) {
	cause := errors.New("dial mongo.internal: refused")
	err := fault.Unavailable("try again").Because(cause)
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "mongo.internal") {
		t.Error("the log does not see the cause")
	}
	for _, e := range []error{err, fault.FromStatus(status.Error(codes.Unavailable, "dial tcp mongo.internal: refused"))} {
		if strings.Contains(fault.Public(e)+fault.ToStatus(e).Message(), "mongo.internal") {
			t.Errorf("the caller sees the cause of %v", e)
		}
	}
}

func TestBareStatusOfTheLibraryPasses(t *testing.T) {
	if got := fault.ToStatus(status.Error(codes.Unimplemented, "method X not implemented")); got.Code() != codes.Unimplemented {
		t.Errorf("code = %v", got.Code())
	}
	if got := fault.ToStatus(status.Error(codes.Internal, "stack trace")); strings.Contains(got.Message(), "stack") {
		t.Errorf("message = %q", got.Message())
	}
	if got := fault.ToStatus(status.Error(codes.Unavailable, "dial tcp 10.0.0.1")); got.Code() != codes.Unavailable || strings.Contains(got.Message(), "10.") {
		t.Errorf("status = %v", got)
	}
}

func TestFromStatusLeavesOtherErrors(t *testing.T) {
	if err := fault.FromStatus(io.EOF); !errors.Is(err, io.EOF) {
		t.Errorf("EOF became %v", err)
	}
	f := fault.Conflict("x")
	if err := fault.FromStatus(f); any(err) != any(f) {
		t.Errorf("fault became %v", err)
	}
	if !errors.Is(fault.FromStatus(status.Error(codes.Canceled, "bye")), context.Canceled) {
		t.Error("cancellation is lost over the call")
	}
}
