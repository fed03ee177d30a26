package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"quittance/pkg/fault"
)

// LimitBody limits request bodies of a route to n bytes, whether that is less
// or more than the server's own limit. A longer one gets 413: at once if its
// length is announced, else when the handler passes its read error to Error.
func LimitBody(n int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > n {
				Error(w, r, &http.MaxBytesError{Limit: n})
				return
			}
			body := r.Body
			if known := requestOf(r.Context()); known != nil {
				body = known.body // without the server's own limit
			}
			r.Body = http.MaxBytesReader(w, body, n)
			next.ServeHTTP(w, r)
		})
	}
}

// tooLarge says whether err comes from a body limit.
func tooLarge(err error) bool {
	var e *http.MaxBytesError
	return errors.As(err, &e)
}

// Live lets a handler write for as long as it likes: the server's read and
// write timeouts do not hold for it. Its context is canceled when the server
// stops.
func Live(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		// Errors mean that there is no connection with deadlines.
		_ = control.SetReadDeadline(time.Time{})
		_ = control.SetWriteDeadline(time.Time{})
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		if known := requestOf(ctx); known != nil {
			defer context.AfterFunc(known.stopping, func() { cancel(errStopping) })()
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

var errStopping = fault.Unavailable("the server is stopping, call again")

// WriteTimeout replaces the server's write timeout on a route; 0: no timeout.
func WriteTimeout(d time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			deadline := time.Time{}
			if d > 0 {
				deadline = time.Now().Add(d)
			}
			_ = http.NewResponseController(w).SetWriteDeadline(deadline)
			next.ServeHTTP(w, r)
		})
	}
}
