package edge

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"

	"quittance/pkg/fault"
	"quittance/pkg/web"
	"quittance/pkg/words"
)

//go:embed templates/*.html
var templateFiles embed.FS

var templates = template.Must(template.ParseFS(templateFiles, "templates/*.html"))

// policy is strict: nothing inline, nothing from elsewhere. Pages whose form
// leads to a provider add that provider's origin.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// page is what templates show; each uses a part of it.
type page struct {
	L                              *words.Language
	Title, Text, Problem, Why      string
	Stylesheet, BrandSheet, Script string
	Languages                      []pageLanguage
	// Refresh is after how many seconds a browser without script looks again.
	Refresh int
	face

	Lines                      []pageLine
	Discount, DiscountCode     string
	Total                      string
	Sums                       []pageFact
	OrderID                    string
	Methods                    []pageMethod
	Key, Seen                  string
	Action                     string
	Fields                     map[string]string
	Open                       *openAttempt
	Transfer                   *transfer
	ToShop, ToPay, ToOrder     string
	ToHow, ToReceipt, Again    string
	Note, Mood, Events, Resend string
	Form                       *checkoutForm
	ReceiptName                string
	Steps                      []step
	Licenses                   []pageLicense
	Seller, Buyer, Reference   string
	Facts                      []pageFact
	// Sent are the fields that are sent Again.
	Sent []pageFact
}

// T is a text in the page's language.
func (p page) T(key string, args ...any) string { return p.L.Say(key, args...) }

type pageLine struct {
	Name, Quantity, Price, Amount, Note string
}

type pageMethod struct {
	ID, Name, Icon string
	Chosen         bool
}

// pageFact is a name with what there is to say.
type pageFact struct{ Name, Text string }

type pageLicense struct {
	Name string
	Keys []string
}

// show writes a page. Forms on it may lead to the given URLs.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name string, data page, forms ...string) {
	if data.L == nil {
		data.L = languageOf(r, nil)
	}
	data.Stylesheet, data.Languages = p.path(stylesheet.link()), p.languages(r, data.L)
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
	h.Set("Content-Language", data.L.Tag())
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
	if data.L == nil {
		data.L = languageOf(r, nil)
	}
	data.tell(s)
	p.show(w, r, status, "message.html", data)
}

// tell sets title and text.
func (p *page) tell(s situation) {
	p.Title, p.Text = p.T(string(s)+".title"), p.T(string(s)+".text")
}

// fail writes the page for an error; the log line of the request gets all of it.
// If it may go away, the page leads to the same address again.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	again := r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		again += "?" + r.URL.RawQuery
	}
	p.failOr(w, r, err, page{Again: p.path(again)})
}

// failOr is fail where the same address is not the way to try again.
func (p *Pages) failOr(w http.ResponseWriter, r *http.Request, err error, again page) {
	web.Annotate(r.Context(), slog.Any("problem", err))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		p.say(w, r, http.StatusRequestEntityTooLarge, sayTooLarge, page{})
	case fault.KindOf(err) == fault.KindNotFound:
		p.say(w, r, http.StatusNotFound, sayNotFound, page{})
	case fault.KindOf(err) == fault.KindInvalid:
		p.say(w, r, http.StatusBadRequest, sayUnreadable, page{})
	default:
		w.Header().Set("Retry-After", "5")
		p.say(w, r, http.StatusServiceUnavailable, sayUnavailable, again)
	}
}
