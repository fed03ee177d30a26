package simulation

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// page is what a request brought; status 0 is no answer at all.
type page struct {
	status         int
	body, location string
}

// request makes an HTTP request to a service's present process, which may die
// over it.
func (w *world) request(n *node, httpMethod, target, form string) page {
	l := n.process()
	if l == nil {
		return page{}
	}
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	req := httptest.NewRequestWithContext(ctx, httpMethod, target, strings.NewReader(form))
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return w.serve(l, func() page {
		rec := httptest.NewRecorder()
		l.mux.ServeHTTP(rec, req)
		if l.dead.Load() {
			return page{}
		}
		return page{rec.Code, rec.Body.String(), rec.Header().Get("Location")}
	})
}

// insist repeats what a person or a program would repeat, until it succeeds or
// patience ends.
func (w *world) insist(tries int, do func() bool) bool {
	for i := range tries {
		if do() {
			return true
		}
		w.rest(time.Duration(i+1)*2*time.Second + between(w.ask("again"), 0, time.Second))
	}
	return false
}

// redirected is where a page sends the browser, empty if it doesn't.
func (p page) redirected() string {
	if p.status == http.StatusSeeOther || p.status == http.StatusFound {
		return p.location
	}
	return ""
}
