package edge

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"quittance/pkg/fault"
	"quittance/pkg/web"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets/pay.css
var stylesheet []byte

var templates = template.Must(template.ParseFS(templateFiles, "templates/*.html"))

// Stylesheet is the path of the style sheet of all pages.
const Stylesheet = "/assets/pay.css"

// policy is strict: no script, nothing from elsewhere. Pages whose form leads
// to a provider add that provider's origin.
const policy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// stylesheetVersion changes with the style sheet, which browsers may keep.
var stylesheetVersion = func() string {
	sum := sha256.Sum256(stylesheet)
	return hex.EncodeToString(sum[:6])
}()

// page is what templates show; each uses a part of it.
type page struct {
	T                       texts
	Title, Shop, Stylesheet string
	Text, Problem           string

	Lines   []pageLine
	Total   string
	Methods []pageMethod
	Key     string
	Action  string
	Fields  map[string]string

	Instructions, Reference string

	ToShop, ToPay, ToOrder, Again string
}

type pageLine struct {
	Name     string
	Quantity int64
	Amount   string
}

type pageMethod struct {
	ID, Name string
	Chosen   bool
}

// show writes a page. Forms on it may lead to the given URLs.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name string, data page, forms ...string) {
	data.T, data.Stylesheet = english, p.path(Stylesheet)+"?v="+stylesheetVersion
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name, data); err != nil {
		web.Error(w, r, fault.Internal("render %s", name).Because(err))
		return
	}
	h := w.Header()
	protect(h)
	for _, target := range forms {
		if err := web.AllowForm(w, target); err != nil {
			web.Error(w, r, fault.Internal("render %s", name).Because(err))
			return
		}
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a browser that went away needs no page
}

// protect sets the headers of everything that a token or an attempt leads to.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

// redirect sends the browser elsewhere with a GET.
func redirect(w http.ResponseWriter, target string) {
	protect(w.Header())
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}

// say writes a page of a few words.
func (p *Pages) say(w http.ResponseWriter, r *http.Request, status int, s situation, data page) {
	data.Title, data.Text = s.Title, s.Text
	p.show(w, r, status, "message.html", data)
}

// fail writes the page for an error; the log line of the request gets all of it.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	web.Annotate(r.Context(), slog.Any("problem", err))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		p.say(w, r, http.StatusRequestEntityTooLarge, english.TooLarge, page{})
	case fault.KindOf(err) == fault.KindNotFound:
		p.say(w, r, http.StatusNotFound, english.NotFound, page{})
	case fault.KindOf(err) == fault.KindInvalid:
		p.say(w, r, http.StatusBadRequest, english.Unreadable, page{})
	default:
		w.Header().Set("Retry-After", "5")
		again := r.URL.EscapedPath()
		if r.URL.RawQuery != "" {
			again += "?" + r.URL.RawQuery
		}
		p.say(w, r, http.StatusServiceUnavailable, english.Unavailable, page{Again: p.path(again)})
	}
}

// serveStylesheet answers for the one asset there is.
func serveStylesheet(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=86400")
	h.Set("ETag", `"`+stylesheetVersion+`"`)
	http.ServeContent(w, r, "pay.css", time.Time{}, bytes.NewReader(stylesheet))
}
