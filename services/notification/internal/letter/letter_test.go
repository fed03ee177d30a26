package letter

import (
	"testing"
	"time"

	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

var t0 = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func TestJudge(t *testing.T) {
	states := func(good ...orderv1.PaymentState) map[orderv1.PaymentState]bool {
		m := map[orderv1.PaymentState]bool{}
		for _, s := range good {
			m[s] = true
		}
		return m
	}
	unpaid := states(orderv1.PaymentState_PAYMENT_STATE_UNPAID)
	for kind, good := range map[Kind]map[orderv1.PaymentState]bool{
		Instructions: unpaid, Reminder: unpaid, Expired: states(orderv1.PaymentState_PAYMENT_STATE_EXPIRED),
		Receipt: states(orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED),
		"other": nil,
	} {
		for n := range orderv1.PaymentState_name {
			s := orderv1.PaymentState(n)
			o := &orderv1.Order{PaymentState: s, Customer: &orderv1.Customer{Email: "a@example.com"}}
			verdict, why := Judge(kind, o)
			if (verdict == Go) != good[s] || (why == "") != good[s] {
				t.Errorf("%s of an order that is %s: %v, %q", kind, s, verdict, why)
			}
			if later := kind == Receipt && s == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD; (verdict == Later) != later {
				t.Errorf("%s of an order that is %s: %v", kind, s, verdict)
			}
			for _, change := range []func(){
				func() { o.Customer = nil },
				func() { o.Customer, o.Prepaid = &orderv1.Customer{Email: "a@example.com"}, true },
				func() { o.Prepaid, o.Fulfillment = false, &orderv1.Fulfillment{PaymentMethod: "sms"} },
			} {
				if change(); good[s] {
					if verdict, why := Judge(kind, o); verdict != Never || why == "" {
						t.Errorf("%s of %v: %v, %q", kind, o, verdict, why)
					}
				}
			}
		}
	}
}

// TestALetterEnds: it is tried for three days, with growing pauses, and not
// longer; then it is told of.
func TestALetterEnds(t *testing.T) {
	l, now := New("acme", "ord_1", Receipt, "evt_1", t0), t0
	for !l.Fail("down", false, now) {
		if !l.Next.After(now) || l.State != Waiting || NextDue(l) != l.Next || l.Due(now) || !l.Due(l.Next) {
			t.Fatalf("%+v", l)
		}
		now = l.Next
	}
	if l.Tries < 8 || l.Tries > 14 || now.Sub(t0) < 48*time.Hour || l.State != Failed || l.Problem != "down" || NextDue(l) != now.Add(tell) {
		t.Errorf("after %v: %+v", now.Sub(t0), l)
	}
	if l.Told(); !NextDue(l).IsZero() {
		t.Errorf("%+v", l)
	}
	refused := New("acme", "ord_1", Receipt, "evt_1", t0)
	if !refused.Fail("refused", true, t0) || refused.State != Failed {
		t.Errorf("%+v", refused)
	}
	for _, done := range []func(*Letter){func(l *Letter) { l.Send(t0) }, func(l *Letter) { l.Drop("paid", t0) }} {
		l := New("acme", "ord_1", Reminder, "evt_1", t0)
		if done(l); !NextDue(l).IsZero() || l.State == Waiting {
			t.Errorf("%+v", l)
		}
	}
}

func TestOneIDPerCause(t *testing.T) {
	ids := map[string]bool{}
	for _, l := range []*Letter{
		New("acme", "ord_1", Receipt, "evt_1", t0), New("acme", "ord_1", Reminder, "evt_1", t0), New("acme", "ord_1", Receipt, "evt_2", t0),
	} {
		ids[l.DocID()] = true
	}
	if again := New("acme", "ord_1", Receipt, "evt_1", t0.Add(time.Hour)); len(ids) != 3 || !ids[again.DocID()] {
		t.Errorf("%v", ids)
	}
}

func TestOff(t *testing.T) {
	for off, kind := range Kinds {
		for _, k := range Kinds {
			if got := Off(&orderv1.CustomerMails{Off: []orderv1.MailKind{off}}, k); got != (k == kind) {
				t.Errorf("%s off: %s is %v", off, k, got)
			}
		}
	}
	if Off(nil, Receipt) {
		t.Error("off by default")
	}
}
