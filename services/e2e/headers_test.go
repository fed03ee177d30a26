package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quittance/pkg/id"
)

// loads are the places of a page from which browsers load or run something.
var loads = regexp.MustCompile(`(?i)<(?:script|img|iframe|object|embed|source|video|audio)\b[^>]*?\bsrc\s*=\s*"([^"]*)"|<link\b[^>]*?\bhref\s*=\s*"([^"]*)"`)

// inline are scripts and styles within a page, which the policy forbids anyway.
var inline = regexp.MustCompile(`(?i)<script\b[^>]*>[^<]|<style\b|\sstyle\s*=\s*"|\son[a-z]+\s*=\s*"|href\s*=\s*"javascript:`)

// TestHeadersAndPolicyOfEveryPage: every page of customers, and every refusal,
// forbids by its headers whatever it doesn't need, keeps out of caches, frames
// and referrers, sets no cookie, and loads nothing but our own.
func TestHeadersAndPolicyOfEveryPage(t *testing.T) {
	w := start(t, setup{})
	pages := gallery(t, w)
	pages["nothing"] = w.public + "/"
	pages["a path of nobody"] = w.public + "/nothing/here"
	pages["a fulfilment of nobody"] = w.public + "/fulfillment?userOrderId=" + id.New("ord")
	pages["a return of nobody"] = w.public + "/return/" + id.New("pay")
	pages["a session of nobody"] = w.public + "/buy/" + id.Token()
	pages["a callback of nobody"] = w.edge + "/callbacks/nobody/x"
	assets := map[string]bool{}
	for name, address := range pages {
		if !strings.HasPrefix(address, w.public) && !strings.HasPrefix(address, w.edge) {
			continue // the sandbox is not ours to guard
		}
		resp, body := fetched(t, address)
		policy := directives(resp.Header.Get("Content-Security-Policy"))
		for directive, want := range map[string][]string{
			"default-src": {"'none'"}, "base-uri": {"'none'"}, "frame-ancestors": {"'none'"}, "style-src": {"'self'"},
			"script-src": {"'self'"}, "connect-src": {"'self'"}, "img-src": {"'self'", "data:"}, "font-src": {"'self'"}, "form-action": nil,
		} {
			got, set := policy[directive]
			delete(policy, directive)
			if !set && !slices.Contains([]string{"script-src", "connect-src", "img-src", "font-src"}, directive) { // these are default-src otherwise
				t.Errorf("%s: no %s", name, directive)
			}
			for _, source := range got {
				own := directive == "form-action" && (source == "'self'" || strings.HasPrefix(source, w.shop))
				if !own && !slices.Contains(want, source) {
					t.Errorf("%s: %s allows %s", name, directive, source)
				}
			}
		}
		if len(policy) > 0 {
			t.Errorf("%s: policy says besides %v", name, policy)
		}
		for header, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store", "Set-Cookie": "", "Server": "", "X-Powered-By": "", "Access-Control-Allow-Origin": "",
		} {
			if got := strings.Join(resp.Header.Values(header), ", "); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
		// Pages of customers, whose addresses are keys, are stricter than the rest.
		if got := resp.Header.Get("Referrer-Policy"); got != "no-referrer" && (got != "same-origin" || len(body) > 500) {
			t.Errorf("%s: Referrer-Policy is %q", name, got)
		}
		if found := inline.FindString(body); found != "" {
			t.Errorf("%s has inline %q", name, found)
		}
		for _, m := range loads.FindAllStringSubmatch(body, -1) {
			at, err := url.Parse(m[1] + m[2])
			if err != nil || at.Host != "" || !strings.HasPrefix(at.Path, "/") {
				t.Errorf("%s loads %s", name, m[0])
				continue
			}
			assets[at.Path] = true
		}
	}
	if len(assets) < 2 {
		t.Errorf("the pages load %v: there is a style sheet and a script at least", assets)
	}
	for asset := range assets {
		resp, body := fetched(t, w.public+asset)
		if resp.StatusCode != http.StatusOK || body == "" || resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %s, %d bytes, %v", asset, resp.Status, len(body), resp.Header)
		}
	}
}

// directives takes a content security policy apart.
func directives(policy string) map[string][]string {
	out := map[string][]string{}
	for part := range strings.SplitSeq(policy, ";") {
		if words := strings.Fields(part); len(words) > 0 {
			out[words[0]] = words[1:]
		}
	}
	return out
}
