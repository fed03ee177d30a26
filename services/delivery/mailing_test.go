package delivery_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/event"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
)

// A mail server that is away costs time and nothing else.
func TestMailServerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		s.relay.set(away, -1)
		fill(t, s, "tool", "T1", "T2")
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 1}))
		wait(time.Second)
		if d := get(t, s, "ord_1"); !strings.Contains(d.GetProblem(), "connect") || d.GetLines()[0].GetDelivered() {
			t.Errorf("delivery %v", d)
		}
		// At 0 s, then after 10 s, 30 s, 2 m, 10 m, 30 m, 1 h, 2 h, 4 h, 6 h and
		// every 6 h: ten in 13:42:40, four more in the next day.
		wait(37*time.Hour + 43*time.Minute)
		if got := s.relay.tried(); got != 14 {
			t.Errorf("%d attempts", got)
		}
		if len(s.published("ord_1")) != 0 {
			t.Errorf("published %v", s.published("ord_1"))
		}
		s.relay.set(nil, 0)
		wait(6 * time.Hour)
		d := get(t, s, "ord_1")
		if len(s.relay.mails()) != 1 || !d.GetLines()[0].GetDelivered() || d.GetProblem() != "" {
			t.Errorf("%d mails, delivery %v", len(s.relay.mails()), d)
		}
		if free, held := pool(t, s, "tool"); free != 1 || held != 1 {
			t.Errorf("%d free, %d held", free, held)
		}
	})
}

// P5: a mail whose acceptance was lost is repeated, the same to the letter.
func TestMailServerForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		s.relay.set(forgetful, 2)
		fill(t, s, "tool", keys("T", 10)...)
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 3}))
		wait(time.Hour)
		mails := s.relay.mails()
		if len(mails) != 3 {
			t.Fatalf("%d mails", len(mails))
		}
		for _, m := range mails[1:] {
			if m.ID != mails[0].ID || m.Text != mails[0].Text || m.To != mails[0].To {
				t.Error("the repeat differs")
			}
		}
	})
}

// A refused address is the merchant's to know; the key stays the customer's.
func TestAddressRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		s.relay.set(choosy, -1)
		fill(t, s, "tool", "T1")
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 1}))
		wait(3*24*time.Hour + time.Minute)
		if got := s.relay.tried(); got != 4 {
			t.Errorf("%d attempts in three days", got)
		}
		d := get(t, s, "ord_1")
		if !strings.Contains(d.GetProblem(), "the recipient's address was refused") || !slices.Equal(d.GetLines()[0].GetLicenseKeys(), []string{"T1"}) {
			t.Errorf("delivery %v", d)
		}
		if got := s.published("ord_1"); !slices.Equal(got, []string{event.DeliveryDelayed}) {
			t.Errorf("published %v", got)
		}
		// The order asks again: it may not have heard of the problem.
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 1}))
		wait(time.Second)
		if got := s.published("ord_1"); !slices.Equal(got, []string{event.DeliveryDelayed, event.DeliveryDelayed}) {
			t.Errorf("published %v", got)
		}
		// The merchant has mended it and need not wait for tomorrow.
		s.relay.set(nil, 0)
		if _, err := s.replica(0).server.ResendEmail(as(t.Context(), merchant), &deliveryv1.ResendEmailRequest{OrderId: "ord_1"}); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		if d := get(t, s, "ord_1"); len(s.relay.mails()) != 1 || !d.GetLines()[0].GetDelivered() || d.GetProblem() != "" {
			t.Errorf("%d mails, delivery %v", len(s.relay.mails()), d)
		}
	})
}

// A mail server that says nothing holds one line up, and not for ever.
func TestMailServerSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		s.relay.set(silent, 1)
		fill(t, s, "tool", "T1")
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 1}, line{product: "book", quantity: 1, mail: true}))
		wait(2 * time.Minute)
		for _, l := range get(t, s, "ord_1").GetLines() {
			if !l.GetDelivered() {
				t.Errorf("line %d is not delivered", l.GetLineNumber())
			}
		}
		if len(s.relay.mails()) != 2 || s.relay.tried() > 4 {
			t.Errorf("%d mails in %d attempts", len(s.relay.mails()), s.relay.tried())
		}
	})
}

// P10: licence keys are in the mail and in the merchant's answer and nowhere
// else: not in logs, events, documents or errors.
func TestKeysStayInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const planted = "PLANTED-KEY-4711"
		s := open(t)
		s.relay.set(tattling, 1)
		fill(t, s, "tool", planted, planted+"-2")
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 1}))
		wait(25 * time.Hour)
		pay(t, s, paid("ord_2", line{product: "tool", quantity: 2})) // one is missing
		wait(time.Hour)
		if len(s.relay.mails()) != 1 || !strings.Contains(s.relay.mails()[0].Text, planted) {
			t.Fatalf("%d mails", len(s.relay.mails()))
		}
		var errs []string
		for _, bad := range [][]string{{planted, ""}, {planted + strings.Repeat("x", 4000)}, {planted + "\xff"}} {
			if _, err := s.replica(0).importKeys(t.Context(), "tool", bad...); err == nil {
				t.Error("a bad key was taken")
			} else {
				errs = append(errs, err.Error())
			}
		}
		logs := s.log.String()
		if !strings.Contains(logs, "licence mail") {
			t.Error("no log to look at")
		}
		places := map[string]string{"logs": logs, "errors": strings.Join(errs, "\n")}
		s.mu.Lock()
		for _, e := range s.events {
			places["event "+e.Type] += string(e.Data)
		}
		s.mu.Unlock()
		for _, body := range s.replica(0).engine.bodies {
			places["documents"] += string(body)
		}
		if places["documents"] == "" || places["event "+event.DeliveryDelayed] == "" {
			t.Error("no documents or events to look at")
		}
		for place, text := range places {
			if strings.Contains(text, "PLANTED") {
				t.Errorf("a licence key is in the %s", place)
			}
		}
	})
}
