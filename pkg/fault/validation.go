package fault

import "fmt"

// Validation collects every violated field of a request, so that the caller
// mends them all at once. The zero value is ready to use.
//
//	var v fault.Validation
//	v.Check(q >= 1 && q <= 10000, "lines[0].quantity", "must be between 1 and 10000")
//	if err := v.Err(); err != nil { … }
type Validation struct {
	fields []Field
}

// Check adds a violation of field unless ok. It returns ok, for checks that
// make sense only if an earlier one held.
func (v *Validation) Check(ok bool, field, format string, args ...any) bool {
	if !ok {
		v.fields = append(v.fields, Field{Path: field, Message: fmt.Sprintf(format, args...)})
	}
	return ok
}

// Add takes over the fields of an invalid fault, their paths below prefix
// ("lines[0]"). Any other error becomes one violation of prefix itself with
// the text that callers may see. Nil adds nothing.
func (v *Validation) Add(prefix string, err error) {
	if err == nil {
		return
	}
	fields := FieldsOf(err)
	if len(fields) == 0 {
		v.fields = append(v.fields, Field{Path: prefix, Message: Public(err)})
		return
	}
	for _, f := range fields {
		switch {
		case prefix == "":
		case f.Path == "":
			f.Path = prefix
		default:
			f.Path = prefix + "." + f.Path
		}
		v.fields = append(v.fields, f)
	}
}

// Err returns an invalid fault with all violations, or nil if there are none.
func (v *Validation) Err() error {
	if len(v.fields) == 0 {
		return nil
	}
	return &Error{Kind: KindInvalid, Fields: append([]Field(nil), v.fields...)}
}
