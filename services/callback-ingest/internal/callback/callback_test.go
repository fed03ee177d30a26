package callback

import (
	"testing"
	"time"

	"quittance/pkg/money"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func accepted() *Callback {
	c := Accepted("acme", "acme-cards", "flexpay", "key", Request{Method: "GET", Query: "a=b"}, Understood{
		Reference: "pay_1", Transaction: "433456", Claim: "refunded", Signed: true, Refunded: money.Amount{Minor: 5, Currency: "EUR"},
	}, start)
	c.Send(start)
	return c
}

func TestResendTimes(t *testing.T) {
	c := accepted()
	var got []time.Duration
	last := start
	for due := NextDue(c); !due.IsZero(); due = NextDue(c) {
		if c.Resend(due.Add(-time.Nanosecond)) {
			t.Fatalf("sent before %s", due)
		}
		if !c.Resend(due) {
			t.Fatalf("not sent at %s", due)
		}
		got = append(got, due.Sub(last))
		last = due
	}
	want := []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 12 * time.Hour}
	if len(got) < len(want)+80 {
		t.Fatalf("sent again %d times", len(got))
	}
	for i, pause := range got {
		if i < len(want) && pause != want[i] || i >= len(want) && pause != 24*time.Hour {
			t.Errorf("pause %d is %s", i+1, pause)
		}
	}
	if days := last.Sub(start); days > ResendFor || days < ResendFor-24*time.Hour {
		t.Errorf("last sent after %s", days)
	}
}

func TestStates(t *testing.T) {
	c := accepted()
	if c.State() != Waiting || !c.Answer("ord_1", start.Add(time.Hour)) || c.State() != Answered {
		t.Errorf("state %d after the answer", c.State())
	}
	if c.Answer("ord_1", start.Add(2*time.Hour)) || !c.AnsweredAt.Equal(start.Add(time.Hour)) {
		t.Errorf("a second answer changed the first, to %s", c.AnsweredAt)
	}
	r := RefusedFor("bad", "acme", "acme-cards", "flexpay", Request{Method: "GET"}, start)
	if r.State() != Refused || r.Answer("ord_1", start) || r.State() != Refused {
		t.Errorf("state %d of a refused callback", r.State())
	}
	for _, done := range []*Callback{c, r} {
		if due := NextDue(done); !due.IsZero() || done.Resend(start.Add(ResendFor)) {
			t.Errorf("state %d is due at %s", done.State(), due)
		}
	}
}

func TestIDsFollowFromTheCause(t *testing.T) {
	request := Request{Method: "GET", Query: "a=b"}
	id := func(account, key string) string {
		return Accepted("acme", account, "flexpay", key, request, Understood{}, start).ID
	}
	refused := func(r Request) string { return RefusedFor("bad", "acme", "a", "flexpay", r, start.Add(time.Hour)).ID }
	if id("a", "k") != id("a", "k") || refused(request) != refused(request) {
		t.Error("a repeat has another id")
	}
	seen := map[string]bool{}
	for _, other := range []string{
		id("a", "k"), id("b", "k"), id("a", "l"), refused(request), refused(Request{Method: "POST", Query: "a=b"}),
		refused(Request{Method: "GET", Query: "a=c"}), refused(Request{Method: "GET", Query: "a=b", Body: []byte("x")}),
	} {
		if seen[other] {
			t.Errorf("id %s twice", other)
		}
		seen[other] = true
	}
}

func TestPayload(t *testing.T) {
	p := accepted().Payload()
	if p.GetReference() != "pay_1" || p.GetTransactionId() != "433456" || p.GetClaim() != "refunded" || !p.GetSigned() ||
		p.GetRefunded().GetMinor() != 5 || p.GetRefunded().GetCurrency() != "EUR" || !p.GetAcknowledgeTime().AsTime().Equal(start) {
		t.Errorf("payload %v", p)
	}
	c := accepted()
	c.Content = Understood{}
	if c.Payload().GetRefunded() != nil || c.Key() != c.ID {
		t.Errorf("payload %v, key %s", c.Payload(), c.Key())
	}
}
