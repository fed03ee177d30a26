package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"quittance/pkg/fault"
)

// hostile is what a client may send as a name.
var hostile = strings.Repeat("\x1b[31mä\r\n\xff\x00\u2028", 20_000)

// Whatever a client sends, an error quotes little of it, on one line.
func TestTextsAreBounded(t *testing.T) {
	var many fault.Validation
	path := fmt.Sprintf("metadata[%q]", hostile)
	for range 60 {
		many.Check(false, path, "%s", hostile)
	}
	var nested fault.Validation
	for range 60 {
		nested.Add(hostile, many.Err())
		nested.Add(hostile, fault.NotFound("product %s", hostile))
	}
	bad, err := status.New(codes.InvalidArgument, hostile[:100]).WithDetails(&errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: strings.Repeat("x\n", 1000), Description: strings.Repeat("y\n", 1000)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"invalid":    fault.Invalid(hostile, "%s", hostile),
		"not found":  fault.NotFound("order %q", hostile),
		"raw":        fault.NotFound("order %s", hostile),
		"conflict":   fault.Conflict("%s", hostile),
		"validation": many.Err(),
		"nested":     nested.Err(),
		"literal":    &fault.Error{Kind: fault.KindConflict, Message: hostile, Fields: make([]fault.Field, 1000)},
		"status":     status.Error(codes.NotFound, strings.Repeat("é\n", 10_000)),
		"details":    bad.Err(),
		"peer":       fault.FromStatus(bad.Err()),
		"internal":   fault.Internal("%s", hostile),
		"stranger":   errors.New(hostile),
		"caused":     fault.Unavailable("later").Because(errors.New(hostile)),
		"wrapped":    fmt.Errorf("load %s: %w", hostile, fault.NotFound("x")),
	} {
		t.Run(name, func(t *testing.T) {
			st := fault.ToStatus(err)
			within(t, st.Message(), 300)
			within(t, fault.Public(err), 300)
			if n := proto.Size(st.Proto()); n > 100<<10 {
				t.Errorf("status of %d bytes", n)
			}
			fields := fault.FieldsOf(err)
			if len(fields) > 50 {
				t.Errorf("%d fields", len(fields))
			}
			for _, f := range fields {
				within(t, f.Path, 100)
				within(t, f.Message, 300)
			}
			log := fault.LogText(err)
			if fault.KindOf(err) != fault.KindInternal {
				within(t, log, 1000)
			} else if utf8.RuneCountInString(log) > 16<<10 || strings.ContainsAny(log, "\x00\x1b\r") {
				t.Errorf("log text of %d bytes", len(log))
			}
		})
	}
	if got := fault.Public(fault.NotFound("order %q", hostile)); !strings.HasSuffix(got, "… not found") {
		t.Errorf("no end: %q", got)
	}
}

func within(t *testing.T, text string, limit int) {
	t.Helper()
	if utf8.RuneCountInString(text) > limit || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		t.Errorf("more than %d characters, or some of no line: %.100q (%d)", limit, text, utf8.RuneCountInString(text))
	}
}

func TestClip(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""}, {"plain", "plain"}, {"zwölf", "zwölf"}, {"sixsix", "sixsix"}, {"seven..", "seven…"},
		{"a\nb\tc", "a b c"}, {"\x00\xff", "��"}, {"äöüäöü", "äöüäöü"}, {"äöüäöüä", "äöüäö…"},
	} {
		if got := fault.Clip(tt.in, 6); got != tt.want {
			t.Errorf("Clip(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := fault.LogText(fault.Internal("panic\n\tat")); got != "panic\n\tat" {
		t.Errorf("stack = %q", got)
	}
	if fault.LogText(nil) != "" {
		t.Error("nil has a text")
	}
}
