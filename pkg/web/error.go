package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"strings"

	"quittance/pkg/fault"
)

//go:embed error.html
var files embed.FS

var errorPage = template.Must(template.ParseFS(files, "error.html"))

// HandlerFunc is a handler that may fail; Error words the failure. It must not
// have written anything when it returns an error.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP implements http.Handler.
func (f HandlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := f(w, r); err != nil {
		Error(w, r, err)
	}
}

type problem struct {
	Status     int            `json:"status"`
	Kind       string         `json:"kind"`
	Title      string         `json:"-"`
	Message    string         `json:"message"`
	Fields     []problemField `json:"fields,omitempty"`
	RequestID  string         `json:"request_id,omitempty"`
	Stylesheet string         `json:"-"`
}

type problemField struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// Error answers with what a caller may see of err: a small page for browsers,
// {"error":{…}} for all others. The log line of the request gets all of it.
func Error(w http.ResponseWriter, r *http.Request, err error) {
	p := describe(err)
	if known := requestOf(r.Context()); known != nil {
		known.fail(err)
		p.RequestID, p.Stylesheet = known.id, known.stylesheet
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Del("Content-Length")
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	}
	var body bytes.Buffer
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := errorPage.Execute(&body, p); err != nil {
			body.Reset()
			body.WriteString("<!doctype html><title>Error</title>")
		}
	} else {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(&body).Encode(struct {
			Error problem `json:"error"`
		}{p})
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body.Bytes())
}

func describe(err error) problem {
	if tooLarge(err) {
		return problem{
			Status: http.StatusRequestEntityTooLarge, Kind: "too_large",
			Title: "Too large", Message: "the request is too large",
		}
	}
	p := problem{Status: fault.HTTPStatus(err), Kind: fault.KindOf(err).String(), Message: fault.Public(err)}
	for _, f := range fault.FieldsOf(err) {
		p.Fields = append(p.Fields, problemField{f.Path, f.Message})
	}
	switch fault.KindOf(err) {
	case fault.KindInvalid:
		p.Title = "That doesn’t work"
		if len(p.Fields) > 0 {
			p.Message = "the request is not valid"
		}
	case fault.KindNotFound:
		p.Title = "Not found"
	case fault.KindConflict:
		p.Title = "Not possible now"
	case fault.KindExhausted:
		p.Title = "Too many requests"
	case fault.KindUnauthenticated, fault.KindDenied:
		p.Title = "Not allowed"
	case fault.KindUnavailable:
		p.Title = "Please try again in a moment"
	case fault.KindInternal:
		p.Title = "Something went wrong on our side"
	}
	return p
}
