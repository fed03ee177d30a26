package delivery

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/words/wordstest"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

const (
	byPool = orderv1.DeliveryMethod_DELIVERY_METHOD_POOL
	byMail = orderv1.DeliveryMethod_DELIVERY_METHOD_MAIL
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func fact(lines ...*orderv1.Line) *eventv1.OrderEvent {
	for i, l := range lines {
		l.Number = int32(i + 1)
	}
	return &eventv1.OrderEvent{Order: &orderv1.Order{
		Id: "ord_1", MerchantId: "acme", Customer: &orderv1.Customer{Email: "c@example.com"}, Lines: lines,
	}}
}

func of(product string, quantity int64, m orderv1.DeliveryMethod) *orderv1.Line {
	return &orderv1.Line{ProductId: product, Name: "The " + product, Quantity: quantity, DeliveryMethod: m}
}

func fresh(t interface{ Fatal(...any) }, lines ...*orderv1.Line) *Delivery {
	d, err := New(fact(lines...), t0)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func license(n int) string { return id.Derived(LicensePrefix, fmt.Sprint(n)) }

func TestNewRefusesWhatNoOrderIs(t *testing.T) {
	many := make([]*orderv1.Line, 51)
	for i := range many {
		many[i] = of("tool", 1, byPool)
	}
	gap := fact(of("tool", 1, byPool))
	gap.Order.Lines[0].Number = 2
	nameless := fact(of("tool", 1, byPool))
	nameless.Order.Id = ""
	for name, f := range map[string]*eventv1.OrderEvent{
		"nothing":        {},
		"no lines":       fact(),
		"too many lines": fact(many...),
		"no quantity":    fact(of("tool", 0, byPool)),
		"too many":       fact(of("tool", 10_001, byPool)),
		"no product":     fact(of("", 1, byPool)),
		"no method":      fact(of("tool", 1, 0)),
		"unknown method": fact(of("tool", 1, 99)),
		"gap":            gap,
		"no id":          nameless,
	} {
		if d, err := New(f, t0); err == nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// What a delivery does by itself is decided by nothing but its state: whatever
// happens, in any order, a unit keeps its licence, nothing is mailed before the
// delivery shows all its licences or after it is closed, and while something is
// left to do there is a time for it.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := fresh(t, of("tool", 3, byPool), of("game", 2, byPool), of("book", 1, byMail))
		now, next := t0, 0
		shown := map[Unit]string{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "pause")) * time.Second)
			line := rapid.IntRange(0, 4).Draw(t, "line")
			switch rapid.IntRange(0, 8).Draw(t, "what") {
			case 0, 1:
				u := d.Unit(line, rapid.IntRange(0, 4).Draw(t, "unit"))
				next++
				before := d.Shows(u)
				d.Assign(u, license(next), now)
				if got := d.Shows(u); before != "" && got != before || !d.Closed.IsZero() && got != before {
					t.Fatalf("%s had %q, has %q", u, before, got)
				}
			case 2:
				d.Looked(Look{Line: line, Short: rapid.Bool().Draw(t, "short")}, now)
			case 3:
				d.Wake("tool", now)
			case 4, 5:
				for _, m := range d.Letters(now) {
					if l := d.Lines[m.Line-1]; l.Licenses.Count() != l.Quantity && l.Method == byPool || !d.Closed.IsZero() {
						t.Fatalf("letter %v of %+v, closed %v", m, l, d.Closed)
					}
					if rapid.Bool().Draw(t, "sent") {
						d.Sent(m, now)
					} else {
						d.Failed(m, "why", rapid.Bool().Draw(t, "refused"), now)
					}
				}
			case 6:
				_, err := d.Resend(now)
				if err == nil && !d.Closed.IsZero() {
					t.Fatal("resend of a closed delivery")
				}
			case 7:
				d.Acknowledge([]int32{int32(line)})
			case 8:
				if rapid.IntRange(0, 5).Draw(t, "close") == 0 {
					d.Close(now)
				}
			}
			d.Announce(now)
			d.AskAgain(now)
			holds(t, d, shown, now)
		}
	})
}

func holds(t *rapid.T, d *Delivery, shown map[Unit]string, now time.Time) {
	if len(d.Announce(now)) > 0 {
		t.Fatal("announced twice")
	}
	stored, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var again Delivery
	if err := json.Unmarshal(stored, &again); err != nil {
		t.Fatal(err)
	}
	left := d.unacknowledged()
	for i, l := range again.Lines {
		if l.Open != l.Quantity-l.Licenses.Count() && l.Method == byPool {
			t.Fatalf("line %d: %d open of %d with %d licences", i+1, l.Open, l.Quantity, l.Licenses.Count())
		}
		for n := 1; n <= l.Quantity; n++ {
			u := d.Unit(i+1, n)
			got := again.Shows(u)
			if before := shown[u]; before != "" && got != before {
				t.Fatalf("%s had %s, stored is %s", u, before, got)
			}
			shown[u] = got
			if refuted := d.Refutes(u, "other"); refuted != (got != "" || !d.Closed.IsZero() || l.Method == byMail) {
				t.Fatalf("%s shows %q, refutes another: %v", u, got, refuted)
			}
		}
		left = left || d.Closed.IsZero() && l.Stage() != StageDone
	}
	if due := NextDue(&again); due.IsZero() == left {
		t.Fatalf("left to do: %v, due at %v", left, due)
	}
}

func TestLookingWaitsLongerAndLonger(t *testing.T) {
	d := fresh(t, of("tool", 1, byPool))
	now := t0
	for _, want := range []time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 5 * time.Minute} {
		d.Looked(Look{Line: 1, Short: true}, now)
		if got := NextDue(d).Sub(now); got != want {
			t.Errorf("pause %s, want %s", got, want)
		}
		now = now.Add(want)
	}
	// An import during the look must not be slept through.
	wakes := d.Lines[0].Wakes
	if !d.Wake("tool", now) || d.Wake("game", now) {
		t.Error("woke the wrong ones")
	}
	d.Looked(Look{Line: 1, Short: true, Wakes: wakes}, now)
	if got := NextDue(d); !got.Equal(now) {
		t.Errorf("looks again at %v, want at once", got)
	}
}

func TestWaiting(t *testing.T) {
	products := []string{"tool", "tool-2", "tool.x", "too", "tool0", "game"}
	within := func(v string, span [2]string) bool { return v >= span[0] && v < span[1] }
	for _, p := range products {
		d := fresh(t, of(p, 1, byPool), of("free", 1, byPool))
		if w := Waiting(d); w != "" {
			t.Errorf("%s waits before anyone has looked: %q", p, w)
		}
		d.Looked(Look{Line: 1, Short: true}, t0)
		for _, q := range products {
			alone, several := WaitingFor(q)
			if w := Waiting(d); within(w, alone) != (p == q) || within(w, several) {
				t.Errorf("%s waits as %q, %s is in %v and %v", p, w, q, alone, several)
			}
		}
		d.Looked(Look{Line: 2, Short: true}, t0)
		if _, several := WaitingFor(p); !within(Waiting(d), several) {
			t.Errorf("waits as %q, for two products", Waiting(d))
		}
		d.Close(t0)
		if w := Waiting(d); w != "" {
			t.Errorf("closed, waits as %q", w)
		}
	}
}

func TestDelayedIsToldOncePerProblem(t *testing.T) {
	d := fresh(t, of("tool", 1, byPool), of("game", 1, byPool))
	types := func(list []Announcement) (out []string) {
		for _, a := range list {
			out = append(out, fmt.Sprint(a.Type, a.Lines))
		}
		return out
	}
	d.Looked(Look{Line: 1, Short: true}, t0)
	if got := types(d.Announce(t0)); !slices.Equal(got, []string{event.DeliveryDelayed + "[1]"}) {
		t.Errorf("announced %v", got)
	}
	d.Looked(Look{Line: 1, Short: true}, t0)
	if got := d.Announce(t0); len(got) > 0 {
		t.Errorf("announced again %v", got)
	}
	d.Looked(Look{Line: 2, Short: true}, t0)
	if got := types(d.Announce(t0)); !slices.Equal(got, []string{event.DeliveryDelayed + "[1 2]"}) {
		t.Errorf("announced %v", got)
	}
	d.Assign(d.Unit(1, 1), license(1), t0)
	d.Sent(Letter{Line: 1}, t0)
	want := []string{event.DeliveryCompleted + "[1]", event.DeliveryDelayed + "[2]"}
	if got := types(d.Announce(t0)); !slices.Equal(got, want) {
		t.Errorf("announced %v, want %v", got, want)
	}
}

func TestCompose(t *testing.T) {
	texts := map[string]string{
		"tool": "Dear {CUSTOMER}: {PRODUCT}, {ORDER}\n{KEY}",
		"game": "Have fun!",
		"book": "Read {PRODUCT}. {KEY}",
	}
	d := fresh(t, of("tool", 2, byPool), of("game", 1, byPool), of("none", 1, byPool), of("book", 1, byMail), of("info", 1, byMail))
	d.MailTexts = texts
	tests := []struct {
		keys          []string
		subject, text string
	}{
		{[]string{"K1", "{ORDER}"}, "Your licence of The tool", "Dear c@example.com: The tool, ord_1\nK1\n{ORDER}"},
		{[]string{"K3"}, "Your licence of The game", "Have fun!\n\nK3\n"},
		{[]string{"K4"}, "Your licence of The none", "Thank you for your order ord_1.\n\nYour licence of The none:\n\nK4\n"},
		{nil, "Your order of The book", "Read The book. "},
		{nil, "Your order of The info", "Thank you for your order ord_1.\n\nThe info is ready for you.\n"},
	}
	for i, tt := range tests {
		if got := d.Compose(Letter{Line: i + 1}, Template{}, tt.keys); got != (Content{Subject: tt.subject, Text: tt.text}) {
			t.Errorf("line %d: %+v", i+1, got)
		}
	}
	d.Locale = "de-AT"
	for line, want := range map[int]Content{
		3: {Subject: "Ihre Lizenz für The none", Text: "Vielen Dank für Ihre Bestellung ord_1.\n\nIhre Lizenz für The none:\n\nK4\n"},
		5: {Subject: "Ihre Bestellung: The info", Text: "Vielen Dank für Ihre Bestellung ord_1.\n\nThe info steht für Sie bereit.\n"},
	} {
		if got := d.Compose(Letter{Line: line}, Template{}, []string{"K4"}); got != want {
			t.Errorf("in German, line %d: %+v", line, got)
		}
	}
	d.Locale = "tlh"
	d.Customer = "Carla"
	if got := d.Compose(Letter{Line: 1}, Template{}, nil); got.Text != "Dear Carla: The tool, ord_1\n" {
		t.Errorf("%q", got.Text)
	}
	d.Customer = "<Carla>"
	got := d.Compose(Letter{Line: 1}, Template{Subject: "{PRODUCT} {KEY}", HTML: "<b>{CUSTOMER}</b>"}, []string{"A&1", "B"})
	want := Content{
		Subject: "The tool {KEY}",
		Text:    "Thank you for your order ord_1.\n\nYour licence of The tool:\n\nA&1\nB\n",
		HTML:    "<b>&lt;Carla&gt;</b>\n<p>A&amp;1<br>\nB</p>\n",
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestCataloguesAreComplete(t *testing.T) {
	wordstest.Complete(t, catalogues, os.DirFS("."), "letter")
}

func TestMessageIDs(t *testing.T) {
	d := fresh(t, of("tool", 1, byPool), of("game", 1, byPool))
	if d.MessageID(Letter{Line: 1}) != d.MessageID(Letter{Line: 1}) {
		t.Error("not stable")
	}
	seen := map[string]bool{}
	for _, m := range []Letter{{Line: 1}, {Line: 2}, {Line: 1, Resend: 1}, {Line: 1, Resend: 11}, {Line: 11, Resend: 1}} {
		seen[d.MessageID(m)] = true
	}
	if len(seen) != 5 {
		t.Errorf("%d ids for 5 mails", len(seen))
	}
}
