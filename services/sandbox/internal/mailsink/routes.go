package mailsink

import (
	"embed"
	"io"
	"net/http"
	"slices"
	"strconv"

	"quittance/services/sandbox/internal/control"
	"quittance/services/sandbox/internal/page"
)

//go:embed *.html
var files embed.FS

var (
	listPage = page.Parse(files, "list.html")
	mailPage = page.Parse(files, "mail.html")
)

// shown is how many mails the page lists.
const shown = 200

// Routes adds the pages, and the control API below /control.
func (s *Sink) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /mails", s.showList)
	mux.HandleFunc("GET /mails/{number}", s.show)
	mux.HandleFunc("GET /mails/{number}/html", s.showHTML)
	mux.HandleFunc("GET /control/mails", control.Handle(func(r *http.Request) (any, error) {
		return s.mails(r.FormValue("to")), nil
	}))
	mux.HandleFunc("PUT /control/mails/answers", control.Handle(func(r *http.Request) (any, error) {
		answers, err := control.Decode[Answers](r)
		if err != nil {
			return nil, err
		}
		if answers.Code < 400 || answers.Code > 599 || answers.Times < 0 {
			return nil, control.Fail(http.StatusBadRequest, "code must be 400 to 599, times not negative")
		}
		s.setAnswers(answers)
		return nil, nil
	}))
}

// mails gives all mails to an address, or to anybody, oldest first.
func (s *Sink) mails(to string) []Mail {
	mails := []Mail{}
	for _, letter := range s.list() {
		if to == "" || slices.Contains(letter.EnvelopeTo, to) {
			mails = append(mails, parse(letter))
		}
	}
	return mails
}

func (s *Sink) showList(w http.ResponseWriter, _ *http.Request) {
	letters := s.list()
	mails := []Mail{}
	for _, letter := range slices.Backward(letters) {
		if len(mails) == shown {
			break
		}
		mails = append(mails, parse(letter))
	}
	page.Write(w, http.StatusOK, listPage, mails)
}

// named is the mail that a path names; it answers if there is none.
func (s *Sink) named(w http.ResponseWriter, r *http.Request) (m Mail, ok bool) {
	letters := s.list()
	number, err := strconv.Atoi(r.PathValue("number"))
	if err != nil || number < 1 || number > len(letters) {
		http.NotFound(w, r)
		return Mail{}, false
	}
	return parse(letters[number-1]), true
}

func (s *Sink) show(w http.ResponseWriter, r *http.Request) {
	if m, ok := s.named(w, r); ok {
		page.Write(w, http.StatusOK, mailPage, m)
	}
}

// mailPolicy keeps the HTML of a mail harmless: no script, no forms, nothing from
// elsewhere, as careful mail programs show it.
const mailPolicy = "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'self'"

// showHTML shows what the HTML of a mail looks like.
func (s *Sink) showHTML(w http.ResponseWriter, r *http.Request) {
	m, ok := s.named(w, r)
	if !ok {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", mailPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = io.WriteString(w, m.rendered()) //nolint:gosec // a mail's HTML is what is to be seen; the policy keeps it harmless
}
