package engine

import (
	"fmt"
	"runtime"
	"strings"

	"quittance/pkg/docstore"
)

// guarded runs change and turns a panic into an error that says where.
func guarded(change func(*docstore.Record) error, rec *docstore.Record) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("change of %s panicked in %s: %v", rec.ID, panicker(), v)
		}
	}()
	return change(rec)
}

// panicker names the function and line that panicked; called while recovering.
func panicker() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	panicking := false
	for {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		if panicking && !inRuntime {
			return fmt.Sprintf("%s:%d", f.Function, f.Line)
		}
		panicking = panicking || f.Function == "runtime.gopanic"
		if !more {
			return "an unknown place"
		}
	}
}
