package delivery_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

func refund(t *testing.T, s *shop, state orderv1.PaymentState, lines ...line) {
	t.Helper()
	if err := s.replica(0).handle(t.Context(), fact(event.OrderRefunded, "ord_1", orderEvent("ord_1", state, lines...))); err != nil {
		t.Fatal(err)
	}
}

// The mail is sent again while the order is paid, and not after a refund.
func TestResendWhilePaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		fill(t, s, "tool", "T1")
		one := line{product: "tool", quantity: 1}
		pay(t, s, paid("ord_1", one))
		wait(time.Second)
		resend := func(m string) error {
			_, err := s.replica(0).server.ResendEmail(as(t.Context(), m), &deliveryv1.ResendEmailRequest{OrderId: "ord_1"})
			wait(time.Second)
			return err
		}
		if err := resend("rival"); fault.KindOf(err) != fault.KindNotFound {
			t.Errorf("another merchant: %v", err)
		}
		refund(t, s, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, one)
		if err := resend(merchant); err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for _, m := range s.relay.mails() {
			ids[m.ID] = true
			if !strings.Contains(m.Text, "T1") {
				t.Errorf("text %q", m.Text)
			}
		}
		if len(ids) != 2 || len(s.relay.mails()) != 2 {
			t.Errorf("%d mails with ids %v", len(s.relay.mails()), slices.Collect(maps.Keys(ids)))
		}
		if got := s.published("ord_1"); len(got) != 1 {
			t.Errorf("published %v: a repeated mail is no news", got)
		}

		refund(t, s, orderv1.PaymentState_PAYMENT_STATE_REFUNDED, one)
		if err := resend(merchant); fault.KindOf(err) != fault.KindConflict || !strings.Contains(fault.Public(err), "no longer paid") {
			t.Errorf("refunded: %v", err)
		}
		if len(s.relay.mails()) != 2 {
			t.Errorf("%d mails", len(s.relay.mails()))
		}
	})
}

// P1: after a refund nothing more is handed out, in whatever order the facts
// come.
func TestRefundEndsTheDelivery(t *testing.T) {
	one := line{product: "tool", quantity: 1}
	for _, early := range []bool{true, false} {
		t.Run(fmt.Sprintf("early=%v", early), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t)
				if !early {
					pay(t, s, paid("ord_1", one)) // and waits for keys
				}
				refund(t, s, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK, one)
				fill(t, s, "tool", "T1")
				pay(t, s, paid("ord_1", one))
				wait(time.Hour)
				if free, held := pool(t, s, "tool"); free != 1 || held != 0 || len(s.relay.mails()) != 0 {
					t.Errorf("%d free, %d held, %d mails", free, held, len(s.relay.mails()))
				}
				if d := get(t, s, "ord_1"); !strings.Contains(d.GetProblem(), "no longer paid") {
					t.Errorf("problem %q", d.GetProblem())
				}
			})
		})
	}
}

// TestP1ACanceledOrderIsClosedThoughMoneyIsAQuestion: the order was canceled, and in
// the same breath asks about another attempt's money: the event says on hold.
func TestP1ACanceledOrderIsClosedThoughMoneyIsAQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		one := line{product: "tool", quantity: 1}
		pay(t, s, paid("ord_1", one))
		wait(time.Second)
		canceled := fact(event.OrderCanceled, "ord_1", orderEvent("ord_1", orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, one))
		if err := s.replica(0).handle(t.Context(), canceled); err != nil {
			t.Fatal(err)
		}
		fill(t, s, "tool", "T1")
		wait(time.Hour)
		if n := len(s.relay.mails()); n > 0 {
			t.Errorf("%d mails for a canceled order", n)
		}
	})
}

// P5: whoever says that an order is no longer paid is answered, every time and
// for the state it says, whether the delivery has begun or not.
func TestP5ARefundIsAnswered(t *testing.T) {
	one := line{product: "tool", quantity: 1}
	for _, begun := range []bool{true, false} {
		t.Run(fmt.Sprintf("begun=%v", begun), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t)
				if begun {
					pay(t, s, paid("ord_1", one)) // and waits for keys
				}
				answers := func() (out []orderv1.PaymentState) {
					wait(time.Second)
					s.mu.Lock()
					defer s.mu.Unlock()
					for _, e := range s.events {
						f := &eventv1.DeliveryCompleted{}
						if e.Type == event.DeliveryCompleted && e.Decode(f) == nil {
							out = append(out, f.GetClosedFor())
						}
					}
					return out
				}
				refunded, charged := orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK
				var want []orderv1.PaymentState
				for _, state := range []orderv1.PaymentState{refunded, refunded, charged, charged} {
					refund(t, s, state, one)
					want = append(want, state)
					if got := answers(); !slices.Equal(got, want) {
						t.Fatalf("answered %v, want %v", got, want)
					}
				}
			})
		})
	}
}
