package e2e

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"quittance/services/standalone"
)

// TestS6ForgedReturn: whatever a browser says, nothing is delivered and nobody
// is told success.
func TestS6ForgedReturn(t *testing.T) {
	w := start(t, setup{config: func(c *standalone.Config) { c.ReturnWait = 200 * time.Millisecond }})
	o := w.order(item("notepad", 1))
	a := w.startCards(o)
	signed, err := url.Parse(a.GetRedirect().GetUrl())
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for name, query := range map[string]url.Values{
		"KontoCloud's word":              {"paymentResult": {"OK"}, "uniqueReference": {"x"}},
		"our own word":                   {"fulfillmentStatus": {"success"}},
		"OK data with a made-up hash":    {"saleID": {"1"}, "referenceID": {a.GetReference()}, "priceAmount": {"19.99"}, "signature": {"ab"}},
		"OK data with the order's own":   {"saleID": {"1"}, "referenceID": {a.GetReference()}, "signature": {signed.Query().Get("signature")}},
		"nothing":                        {},
		"a parameter twice":              {"saleID": {"1", "2"}, "signature": {"ab", "cd"}},
		"status words of the vendor":     {"saleResult": {"APPROVED"}, "response": {"FOUND"}},
		"everything that looks like yes": {"success": {"true"}, "status": {"paid", "CAPTURED", "ACCEPTED"}, "event": {"initial"}},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			target := w.public + "/return/" + a.GetId()
			var resp *http.Response
			if method == http.MethodGet {
				resp, err = browser.Get(target + "?" + query.Encode())
			} else {
				resp, err = browser.PostForm(target, query)
			}
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			to, err := resp.Location()
			if err != nil {
				t.Fatalf("%s by %s: status %d, %v", name, method, resp.StatusCode, err)
			}
			if got := to.Query()["fulfillmentStatus"]; len(got) != 1 || got[0] == "success" {
				t.Errorf("%s by %s: sent back with %v", name, method, got)
			}
		}
	}
	w.untouched(o.GetId())
	w.payAtProvider(a, nil)
	w.awaitDelivered(o.GetId())
}
