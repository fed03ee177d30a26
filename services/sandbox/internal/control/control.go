// Package control owns the manners of the sandbox's JSON control API.
//
// It takes requests and gives decoded bodies, or answers with {"error": "…"} and a status that fits. Requests with a body
// must say that it is JSON: a web page elsewhere can't send such a request without asking first.
package control

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
)

const maxBody = 1 << 20

// Error is an answer's status and reason.
type Error struct {
	Status int
	Reason string
}

// Error returns the reason.
func (e *Error) Error() string { return e.Reason }

// Fail returns an *Error.
func Fail(status int, reason string) error { return &Error{Status: status, Reason: reason} }

// Handle turns a function of the request into a handler: its value is answered as JSON with status 200 (204 if nil), an
// *Error with its status, any other error with 500.
func Handle(do func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		value, err := do(r)
		switch {
		case err != nil:
			status := http.StatusInternalServerError
			if fail, ok := errors.AsType[*Error](err); ok {
				status = fail.Status
			}
			reply(w, status, map[string]string{"error": err.Error()})
		case value == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			reply(w, http.StatusOK, value)
		}
	}
}

// Decode reads the body as one JSON value of type T without unknown fields.
func Decode[T any](r *http.Request) (T, error) {
	var value T
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return value, Fail(http.StatusUnsupportedMediaType, "Content-Type must be application/json")
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		return value, Fail(http.StatusBadRequest, "body: "+err.Error())
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return value, Fail(http.StatusBadRequest, "body: more than one value")
	}
	return value, nil
}

func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the status is out; a reader that left needs no word
}
