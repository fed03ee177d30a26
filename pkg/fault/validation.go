package fault

// Validation collects every violated field of a request, so that the caller
// mends them all at once. The zero value is ready to use.
//
//	var v fault.Validation
//	v.Check(q >= 1 && q <= 10000, "lines[0].quantity", "must be between 1 and 10000")
//	if err := v.Err(); err != nil { … }
//
// It keeps the first 50 violations.
type Validation struct {
	fields []Field
}

// Check adds a violation of path unless ok. It returns ok, for checks that
// make sense only if an earlier one held.
func (v *Validation) Check(ok bool, path, format string, args ...any) bool {
	if !ok && len(v.fields) < maxFields {
		v.fields = append(v.fields, field(path, messagef(format, args...)))
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
		fields = []Field{{Message: Public(err)}}
	}
	for _, f := range fields[:min(len(fields), maxFields-len(v.fields))] {
		switch {
		case prefix == "":
		case f.Path == "":
			f.Path = prefix
		default:
			f.Path = prefix + "." + f.Path
		}
		v.fields = append(v.fields, field(f.Path, f.Message))
	}
}

// Err returns an invalid fault with all violations, or nil if there are none.
func (v *Validation) Err() error {
	if len(v.fields) == 0 {
		return nil
	}
	return &Error{Kind: KindInvalid, Fields: append([]Field(nil), v.fields...)}
}
