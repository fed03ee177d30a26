package delivery_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"quittance/pkg/event"
	"quittance/pkg/mail"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

// get reads a delivery as its merchant.
func get(t *testing.T, s *shop, orderID string) *deliveryv1.Delivery {
	t.Helper()
	d, err := s.replica(0).server.GetDelivery(as(t.Context(), merchant), &deliveryv1.GetDeliveryRequest{OrderId: orderID})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func pay(t *testing.T, s *shop, f *eventv1.OrderEvent) {
	t.Helper()
	if err := s.replica(0).pay(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func fill(t *testing.T, s *shop, product string, keys ...string) {
	t.Helper()
	if _, err := s.replica(0).importKeys(t.Context(), product, keys...); err != nil {
		t.Fatal(err)
	}
}

func pool(t *testing.T, s *shop, product string) (free, held int64) {
	t.Helper()
	p, err := s.replica(0).server.GetPool(as(t.Context(), merchant), &deliveryv1.GetPoolRequest{ProductId: product})
	if err != nil {
		t.Fatal(err)
	}
	return p.GetFree(), p.GetHeld()
}

// wait lets virtual time pass and the work of that time end.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// P3, P6: a paid order of one unit is delivered with four writes.
func TestOneUnitTakesFourWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		fill(t, s, "tool", "KEY-1")
		wait(time.Second)
		s.replica(0).engine.count()

		pay(t, s, paid("ord_1", line{product: "tool", quantity: 1}))
		wait(time.Second)

		want := map[string]int{
			"licenses update":   1, // the licence is held
			"deliveries insert": 1, // shown, and leased for the mail
			"deliveries update": 2, // mailed; acknowledged
		}
		if diff := cmp.Diff(want, s.replica(0).engine.count()); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
		wait(2 * time.Hour)
		more := s.replica(0).engine.count()
		maps.DeleteFunc(more, func(what string, _ int) bool { return strings.HasPrefix(what, "upkeep ") })
		if len(more) > 0 {
			t.Errorf("writes after the end: %v", more)
		}

		mails := s.relay.mails()
		if len(mails) != 1 {
			t.Fatalf("%d mails", len(mails))
		}
		m := mails[0]
		if m.From != "shop@acme.example" || m.To != "ord_1@customer.example" || !strings.Contains(m.Text, "KEY-1") || !strings.Contains(m.Text, "The tool") {
			t.Errorf("mail from %s to %s: %q %q", m.From, m.To, m.Subject, m.Text)
		}
		d := get(t, s, "ord_1")
		l := d.GetLines()[0]
		if !l.GetDelivered() || l.GetMailTime() == nil || !slices.Equal(l.GetLicenseKeys(), []string{"KEY-1"}) || d.GetProblem() != "" {
			t.Errorf("delivery %v", d)
		}
		if got := s.published("ord_1"); !slices.Equal(got, []string{event.DeliveryCompleted}) {
			t.Errorf("published %v", got)
		}
	})
}

// S13: an empty pool delays the order; an import delivers it within seconds.
func TestEmptyPoolWaitsForAnImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 2}))
		wait(20 * time.Minute)
		d := get(t, s, "ord_1")
		if !strings.Contains(d.GetProblem(), `"tool"`) || !strings.Contains(d.GetProblem(), "merchant must import keys") {
			t.Errorf("problem %q", d.GetProblem())
		}
		if got := s.published("ord_1"); !slices.Equal(got, []string{event.DeliveryDelayed}) {
			t.Errorf("published %v: a lasting problem is told once", got)
		}

		fill(t, s, "tool", "A", "B", "C")
		wait(time.Second)
		if len(s.relay.mails()) != 1 {
			t.Fatalf("%d mails", len(s.relay.mails()))
		}
		if free, held := pool(t, s, "tool"); free != 1 || held != 2 {
			t.Errorf("pool %d free, %d held", free, held)
		}
		if d := get(t, s, "ord_1"); d.GetProblem() != "" || len(d.GetLines()[0].GetLicenseKeys()) != 2 {
			t.Errorf("delivery %v", d)
		}
	})
}

// An import serves those who waited longest, whether they wait for one product
// or for several, and only as many as it has keys for.
func TestImportServesTheOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		orders := []*eventv1.OrderEvent{
			paid("ord_0", line{product: "tool", quantity: 1}),
			paid("ord_1", line{product: "game", quantity: 1}, line{product: "tool", quantity: 1}),
			paid("ord_2", line{product: "tool", quantity: 1}),
			paid("ord_3", line{product: "game", quantity: 1}),
		}
		for _, o := range orders {
			pay(t, s, o)
			wait(3 * time.Second)
		}
		wait(21*time.Minute + 31*time.Second) // all of them pause
		fill(t, s, "tool", "T1", "T2")
		wait(time.Second)
		delivered := func() (out []string) {
			for _, o := range orders {
				for _, l := range get(t, s, o.GetOrder().GetId()).GetLines() {
					if l.GetDelivered() {
						out = append(out, o.GetOrder().GetId()+" "+l.GetProductId())
					}
				}
			}
			return out
		}
		if got := delivered(); !slices.Equal(got, []string{"ord_0 tool", "ord_1 tool"}) {
			t.Errorf("delivered %v", got)
		}
		fill(t, s, "game", "G1")
		wait(time.Second)
		if got := delivered(); !slices.Equal(got, []string{"ord_0 tool", "ord_1 game", "ord_1 tool"}) {
			t.Errorf("delivered %v", got)
		}
	})
}

// S14: lines are delivered as they can be.
func TestLinesAreDeliveredAsTheyCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		fill(t, s, "tool", "T1", "T2", "T3")
		pay(t, s, paid("ord_1",
			line{product: "game", quantity: 1},
			line{product: "tool", quantity: 3, text: "Dear {CUSTOMER}, {PRODUCT} of {ORDER}:\n{KEY}"},
			line{product: "book", quantity: 7, mail: true},
		))
		wait(time.Second)
		if got := s.published("ord_1"); !slices.Equal(got, []string{event.DeliveryDelayed, event.DeliveryCompleted}) {
			t.Errorf("published %v", got)
		}
		var texts []string
		for _, m := range s.relay.mails() {
			texts = append(texts, m.Text)
		}
		if len(texts) != 2 {
			t.Fatalf("mails %q", texts)
		}
		head, tail, _ := strings.Cut(texts[0], "\n")
		if head != "Dear Customer of ord_1, The tool of ord_1:" ||
			!slices.Equal(sorted(strings.Split(tail, "\n")), []string{"T1", "T2", "T3"}) {
			t.Errorf("mail %q", texts[0])
		}
		fill(t, s, "game", "G1")
		wait(time.Second)
		d := get(t, s, "ord_1")
		for _, l := range d.GetLines() {
			if !l.GetDelivered() {
				t.Errorf("line %v", l)
			}
		}
		if len(s.relay.mails()) != 3 || d.GetProblem() != "" {
			t.Errorf("%d mails, problem %q", len(s.relay.mails()), d.GetProblem())
		}
	})
}

// A large order is worked on in pieces and arrives in one mail.
func TestLargeOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1700
		s := open(t)
		all := keys("BIG", n)
		for part := range slices.Chunk(all, 1000) {
			fill(t, s, "tool", part...)
		}
		pay(t, s, paid("ord_1", line{product: "tool", quantity: n}))
		if got := len(get(t, s, "ord_1").GetLines()[0].GetLicenseKeys()); got > 500 {
			t.Errorf("the handler assigned %d units", got)
		}
		wait(time.Minute)
		mails := s.relay.mails()
		if len(mails) != 1 {
			t.Fatalf("%d mails", len(mails))
		}
		if diff := cmp.Diff(sorted(all), sorted(get(t, s, "ord_1").GetLines()[0].GetLicenseKeys())); diff != "" {
			t.Errorf("keys (-want +got):\n%s", diff)
		}
		for _, key := range all {
			if !strings.Contains(mails[0].Text, key) {
				t.Fatalf("mail lacks %s", key)
			}
		}
	})
}

// P5: the order is asked again, with the same event, until it answers.
func TestCompletedIsSentUntilTheOrderAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		s.order.setDeaf(true)
		fill(t, s, "tool", "T1")
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 1}))
		wait(24*time.Minute + 30*time.Second) // 0 s, 30 s, 1 m, 2 m, 5 m, 15 m
		if got := s.published("ord_1"); len(got) != 6 {
			t.Errorf("%d times in 24½ minutes: %v", len(got), got)
		}
		s.order.setDeaf(false)
		wait(2 * time.Hour)
		ids := map[string]bool{}
		s.mu.Lock()
		for _, e := range s.events {
			ids[e.ID] = true
		}
		s.mu.Unlock()
		if got := s.published("ord_1"); len(got) != 7 || len(ids) != 1 {
			t.Errorf("%d times with %d ids: %v", len(got), len(ids), got)
		}
		if len(s.relay.mails()) != 1 {
			t.Errorf("%d mails", len(s.relay.mails()))
		}

		// An order that asks although it has answered evidently lacks it.
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 1}))
		wait(time.Second)
		if got := s.published("ord_1"); len(got) != 8 || len(s.relay.mails()) != 1 {
			t.Errorf("%d times, %d mails", len(got), len(s.relay.mails()))
		}
	})
}

// keysIn finds the keys that a mail carries.
func keysIn(m mail.Message, all []string) []string {
	var out []string
	for _, key := range all {
		if strings.Contains(m.Text, key) {
			out = append(out, key)
		}
	}
	return out
}
