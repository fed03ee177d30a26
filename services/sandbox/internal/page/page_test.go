package page_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"quittance/services/sandbox/internal/page"
)

func TestWrite(t *testing.T) {
	fsys := fstest.MapFS{"x.html": {Data: []byte(`{{define "title"}}{{.Name}}{{end}}{{define "main"}}<h1>{{.Name}}</h1>{{end}}`)}}
	tmpl := page.Parse(fsys, "x.html")
	w := httptest.NewRecorder()
	page.Write(w, http.StatusTeapot, tmpl, struct{ Name string }{"<b>"})
	body := w.Body.String()
	if w.Code != http.StatusTeapot || !strings.Contains(body, "<h1>&lt;b&gt;</h1>") || !strings.HasPrefix(body, "<!doctype html>") {
		t.Errorf("%d %s", w.Code, body)
	}
	for _, word := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), word) {
			t.Errorf("policy %q lacks %q", w.Header().Get("Content-Security-Policy"), word)
		}
	}
	w = httptest.NewRecorder()
	page.Write(w, http.StatusOK, tmpl, struct{ Other string }{})
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "<!doctype") {
		t.Errorf("failing page: %d %s", w.Code, w.Body)
	}
}

func TestStyle(t *testing.T) {
	w := httptest.NewRecorder()
	page.Style(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, page.StylePath, nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Errorf("style: %d %v", w.Code, w.Header())
	}
}
