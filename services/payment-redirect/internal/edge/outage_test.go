package edge_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"quittance/pkg/event"
)

// again is what the button of a page that says "try again" sends, and where.
func (w *world) again(rec *httptest.ResponseRecorder) (target string, form url.Values) {
	w.t.Helper()
	w.shows(rec, http.StatusServiceUnavailable, "Nothing is lost")
	root, err := html.Parse(strings.NewReader(rec.Body.String()))
	if err != nil {
		w.t.Fatal(err)
	}
	form = url.Values{}
	for n := range root.Descendants() {
		a := map[string]string{}
		for _, attr := range n.Attr {
			a[attr.Key] = attr.Val
		}
		switch n.Data {
		case "form":
			if a["method"] != "post" {
				w.t.Errorf("form by %q", a["method"])
			}
			target = a["action"]
		case "input":
			form.Add(a["name"], a["value"])
		}
	}
	if target == "" {
		w.t.Fatalf("nothing to send again:\n%s", rec.Body)
	}
	return target, form
}

// TestTheOwnStoreIsDownForTheCheckout: pages say so; what the customer has
// entered is in the button that tries again, and that orders once.
func TestTheOwnStoreIsDownForTheCheckout(t *testing.T) {
	w := newShop(t)
	page := w.visit("/checkout/acme/editor")
	sent := good()
	sent.Set("name", `"Ada" <عربي> 🎉`)
	sent.Set("address", "A\nB")
	w.down.Store(true)
	w.shows(w.get("/checkout/acme/editor"), http.StatusServiceUnavailable, "Nothing is lost", `href="/checkout/acme/editor"`)
	w.shows(w.get(page), http.StatusServiceUnavailable, "Nothing is lost", `href="`+page+`"`)
	target, form := w.again(w.post(page+"?lang=en", sent))
	if target != page+"?lang=en" || form.Encode() != sent.Encode() {
		t.Fatalf("would send %v to %s, sent was %v", form, target, sent)
	}
	if target, form = w.again(w.post(target, form)); form.Encode() != sent.Encode() {
		t.Fatalf("the second time, %v to %s", form, target)
	}
	if n := w.orders.count(); n != 0 {
		t.Fatalf("%d orders", n)
	}
	w.down.Store(false)
	o := w.ordered(page, form)
	if c := o.GetCustomer(); c.GetName() != sent.Get("name") || c.GetAddress() != "A\nB" || o.GetConsent() == nil {
		t.Errorf("ordered %v", o)
	}
	if again := w.ordered(page, form); again.GetId() != o.GetId() || w.orders.count() != 1 {
		t.Errorf("again: %s, %d orders", again.GetId(), w.orders.count())
	}
}

// TestPayingWhileSomethingIsDown: whether the store or the order service is
// down, the chosen method is kept and starts one payment when it is back.
func TestPayingWhileSomethingIsDown(t *testing.T) {
	for name, set := range map[string]func(*world, bool){
		"store":         func(w *world, down bool) { w.down.Store(down) },
		"order service": func(w *world, down bool) { w.orders.change(func() { w.orders.down = down }) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, token := w.orders.add()
			sent := url.Values{"method": {cards}, "key": {strings.Repeat("k", 43)}}
			set(w, true)
			target, form := w.again(w.post("/pay/"+token, sent))
			if target != "/pay/"+token || form.Encode() != sent.Encode() {
				t.Fatalf("would send %v to %s", form, target)
			}
			set(w, false)
			for range 2 {
				if rec := w.post(target, form); rec.Code != http.StatusSeeOther || !strings.Contains(rec.Header().Get("Location"), "secure.example.org") {
					t.Fatalf("%d to %q", rec.Code, rec.Header().Get("Location"))
				}
			}
			eventually(t, "the attempt is announced", func() bool { return len(w.bus.published(event.PaymentStarted)) == 1 })
		})
	}
}

// TestAReturnWhileTheStoreIsDown: what a provider gives the browser along with
// a post is not lost on the way.
func TestAReturnWhileTheStoreIsDown(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	a := w.start(o.GetId(), post)
	brought := url.Values{"ref": {"r1"}, "a": {"b"}}
	w.down.Store(true)
	target, form := w.again(w.post("/return/"+a.GetId(), brought))
	if form.Encode() != brought.Encode() {
		t.Fatalf("would send %v", form)
	}
	w.down.Store(false)
	w.pay(o)
	w.leads(w.post(target, form), back(o, "success"))
	eventually(t, "the return is announced", func() bool { return len(w.bus.published(event.PaymentReturned)) == 1 })
}
