package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const policyHeader = "Content-Security-Policy"

// secure sets what holds for every response unless its handler says otherwise.
func secure(h http.Header, known *request) {
	// Nothing is loaded, framed or sent anywhere but our own style sheet and
	// forms to ourselves.
	h.Set(policyHeader, "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// Paths hold tokens: other sites must not learn them.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Request-Id", known.id)
	if known.https {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// AllowForm lets forms of this page go to the origin of a URL. Browsers also
// ask it of the redirect that answers a form: a page whose form is answered
// with a redirect to another site needs that site's origin.
func AllowForm(w http.ResponseWriter, target string) error {
	u, err := url.Parse(target)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || strings.ContainsAny(u.Host, " ;,'\"") {
		return fmt.Errorf("form target is not an absolute http(s) URL: %q", target)
	}
	allow(w.Header(), "form-action", u.Scheme+"://"+u.Host)
	return nil
}

// AllowSelf lets this page load things of the given kinds from our own origin:
// "script-src", "connect-src", "img-src", "font-src".
func AllowSelf(w http.ResponseWriter, directives ...string) {
	for _, d := range directives {
		allow(w.Header(), d, "'self'")
	}
}

func allow(h http.Header, directive, source string) {
	parts := strings.Split(h.Get(policyHeader), "; ")
	i := slices.IndexFunc(parts, func(p string) bool { return strings.HasPrefix(p, directive+" ") })
	switch {
	case i < 0:
		parts = append(parts, directive+" "+source)
	case !slices.Contains(strings.Fields(parts[i]), source):
		parts[i] += " " + source
	}
	h.Set(policyHeader, strings.Join(parts, "; "))
}
