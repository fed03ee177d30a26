package callbackingest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/event"
)

// FuzzCallback sends garbage: nothing but an authentic callback is accepted,
// and whatever is recorded can be read again.
func FuzzCallback(f *testing.F) {
	f.Add("GET", account, forged("1"), "", "", "")
	f.Add("GET", account, "referenceID=%ff&signature=1;a=b&%zz", "X-A", "b\xff", "")
	f.Add("POST", account, "", "Content-Type", "application/json", `{"paymentId":"1"}`)
	f.Add("POST", "nobody", "\x7f\xfe=\xff", "Authorization", "Bearer x", "\x00\x01")
	w := build(f)
	f.Fuzz(func(t *testing.T, method, account, query, header, value, body string) {
		w.t = t
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/callbacks/flexpay/"+url.PathEscape(account), strings.NewReader(body))
		if account == "" || account == "." || account == ".." {
			t.Skip("the mux never routes it")
		}
		r.Method, r.URL.RawQuery = method, query
		r.Header[http.CanonicalHeaderKey(header)] = []string{value}
		if rec := w.do(r); rec.Code < 400 {
			t.Errorf("answered %d %q", rec.Code, rec.Body)
		}
		for _, c := range w.callbacks(merchant) {
			if c.GetAccepted() {
				t.Errorf("accepted: %v", c)
			}
			if _, err := proto.Marshal(c); err != nil {
				t.Errorf("recorded something unreadable: %v", err)
			}
		}
		if n := len(w.bus.published(event.CallbackReceived)); n != 0 {
			t.Errorf("%d events", n)
		}
	})
}
