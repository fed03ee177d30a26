package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestForms(t *testing.T) {
	page := &Page{URL: &url.URL{Scheme: "https", Host: "shop.example", Path: "/a/b"}, Body: `<!doctype html>
		<meta http-equiv="Refresh" content="2;URL='/next'">
		<form action="c?x=1" method="POST">
		<input name="text" value="a&amp;b"><input name="off" type="checkbox"><input name="on" type="checkbox" checked>
		<input type="radio" name="r" value="1"><input type="radio" name="r" value="2" checked>
		<input name="gone" disabled value="x"><input value="nameless"><input type="file" name="f">
		<select name="s"><option>one<option value="2" selected>two</select>
		<select name="first"><option value="1">x<option>y</select><select name="none"></select>
		<textarea name="t">some
		text</textarea>
		<button name="go" value="1">Go <b>now</b></button><button type="button">No</button><input type="submit" value="Send">
		</form><form><input name="q" value="z"></form>`}
	if err := page.parse(); err != nil {
		t.Fatal(err)
	}
	if page.Refresh == nil || page.Refresh.String() != "https://shop.example/next" || page.RefreshAfter != 2*time.Second {
		t.Errorf("refresh %v after %s", page.Refresh, page.RefreshAfter)
	}
	if len(page.Forms) != 2 {
		t.Fatalf("forms %+v", page.Forms)
	}
	form := page.Forms[0]
	want := url.Values{"text": {"a&b"}, "on": {"on"}, "r": {"2"}, "s": {"2"}, "first": {"1"}, "t": {"some text"}}
	if form.Method != http.MethodPost || form.Action.String() != "https://shop.example/a/c?x=1" || form.Fields.Encode() != want.Encode() {
		t.Errorf("form %+v, want fields %v", form, want)
	}
	if len(form.Buttons) != 2 || form.Buttons[0] != (Button{"go", "1", "Go now"}) || form.Buttons[1].Text != "Send" {
		t.Errorf("buttons %+v", form.Buttons)
	}
	if second := page.Forms[1]; second.Method != http.MethodGet || second.Action.String() != "https://shop.example/a/b" {
		t.Errorf("second form %+v", second)
	}
	for method, offered := range map[string]bool{"": true, "Go now": true, "2": true, "nowhere": false} {
		if _, ok := form.offers(method); ok != offered {
			t.Errorf("offers(%q) = %t", method, ok)
		}
	}
}

func TestRefreshUnreadable(t *testing.T) {
	for _, content := range []string{"", "x", "-1", "1;url=http://[::1"} {
		page := &Page{URL: &url.URL{}, Body: fmt.Sprintf(`<meta http-equiv="refresh" content="%s">`, content)}
		if err := page.parse(); !errors.Is(err, errRefresh) {
			t.Errorf("refresh %q: %v", content, err)
		}
	}
}

func TestBrowserGivesUp(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("POST /kept", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/loop", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("GET /waiting", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<meta http-equiv="refresh" content="0">`))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	browser, err := NewBrowser()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := browser.Open(t.Context(), server.URL+"/loop"); err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("loop: %v", err)
	}
	kept, err := url.Parse(server.URL + "/kept")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := browser.Submit(t.Context(), Form{Method: http.MethodPost, Action: kept}, Button{}); err == nil {
		t.Error("a form is sent on")
	}
	visit, err := browser.Pay(t.Context(), server.URL+"/waiting", Pay{Patience: 50 * time.Millisecond})
	if err != nil || visit.Last == nil || visit.Ordered || visit.FulfillmentStatus() != "" {
		t.Errorf("waiting for ever: %+v, %v", visit, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := PayLikeABrowser(ctx, server.URL+"/waiting", Pay{}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := browser.Open(t.Context(), "http://127.0.0.1:1/"); err == nil {
		t.Error("a closed port answers")
	}
}
