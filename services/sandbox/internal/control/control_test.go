package control_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"quittance/services/sandbox/internal/control"
)

type body struct {
	Name string `json:"name"`
}

func TestHandle(t *testing.T) {
	tests := []struct {
		name, kind, body string
		status           int
		answer           string
	}{
		{"good", "application/json; charset=utf-8", `{"name":"x"}`, 200, `{"name":"x"}` + "\n"},
		{"nothing to say", "application/json", `{"name":"nothing"}`, 204, ""},
		{"refused", "application/json", `{"name":"refused"}`, 409, `{"error":"no"}` + "\n"},
		{"failed", "application/json", `{"name":"failed"}`, 500, `{"error":"broken"}` + "\n"},
		{"form", "application/x-www-form-urlencoded", "name=x", 415, `{"error":"Content-Type must be application/json"}` + "\n"},
		{"not JSON", "application/json", "{", 400, `{"error":"body: unexpected EOF"}` + "\n"},
		{"unknown field", "application/json", `{"nam":"x"}`, 400, `{"error":"body: json: unknown field \"nam\""}` + "\n"},
		{"two values", "application/json", `{} {}`, 400, `{"error":"body: more than one value"}` + "\n"},
		{"long", "application/json", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 400, `{"error":"body: http: request body too large"}` + "\n"},
	}
	handler := control.Handle(func(r *http.Request) (any, error) {
		value, err := control.Decode[body](r)
		switch {
		case err != nil:
			return nil, err
		case value.Name == "nothing":
			return nil, nil
		case value.Name == "refused":
			return nil, control.Fail(http.StatusConflict, "no")
		case value.Name == "failed":
			return nil, errors.New("broken")
		}
		return value, nil
	})
	for _, tt := range tests {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(tt.body))
		r.Header.Set("Content-Type", tt.kind)
		w := httptest.NewRecorder()
		handler(w, r)
		if w.Code != tt.status || w.Body.String() != tt.answer {
			t.Errorf("%s: %d %q, want %d %q", tt.name, w.Code, w.Body, tt.status, tt.answer)
		}
	}
}
