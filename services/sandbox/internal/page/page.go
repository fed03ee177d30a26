// Package page owns the look of the sandbox's pages and the policy that keeps them harmless.
//
// It takes templates that define "title" and "main" and gives whole pages: one stylesheet, no script, nothing loaded
// from elsewhere. Frames are our own.
package page

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"time"
)

//go:embed layout.html style.css
var files embed.FS

// StylePath is where pages expect the stylesheet.
const StylePath = "/style.css"

// policy allows the stylesheet and forms. A form may lead to any web address: after the sandbox's own answer come
// redirects to the system and to the shop, and browsers hold those against form-action as well.
const policy = "default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'self' http: https:; " +
	"base-uri 'none'; frame-ancestors 'none'"

// functions of all templates.
var functions = template.FuncMap{
	"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
}

// Parse returns the template name of fsys inside the layout. It panics if that can't be parsed: templates are part of
// the program.
func Parse(fsys fs.FS, name string) *template.Template {
	t := template.Must(template.New("layout.html").Funcs(functions).ParseFS(files, "layout.html"))
	return template.Must(t.ParseFS(fsys, name))
}

// Write answers with a page. Nothing is sent of a page that fails halfway.
func Write(w http.ResponseWriter, status int, t *template.Template, data any) {
	var body bytes.Buffer
	if err := t.ExecuteTemplate(&body, "layout.html", data); err != nil {
		http.Error(w, "page failed: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // a reader that left needs no word
}

// Style serves the stylesheet.
func Style(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, files, "style.css")
}
