package delivery_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/testkit"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// TestErasedCustomersGetNothingMore: address and name go, licences stay, nothing
// is mailed any more, and repeats bring nothing back.
func TestErasedCustomersGetNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		fill(t, s, "tool", "T1")
		bought := paid("ord_1", line{product: "tool", quantity: 1})
		pay(t, s, bought)
		wait(time.Minute)
		if len(s.relay.mails()) != 1 {
			t.Fatalf("%d mails", len(s.relay.mails()))
		}
		holding := func() []string {
			return testkit.Holding(t, s.engine, []string{"deliveries", "licenses", "parked"}, "@customer.example", "Customer of")
		}
		if found := holding(); len(found) != 1 {
			t.Fatalf("before: %v", found)
		}
		// One mail waits for a mail server that is away.
		s.relay.set(away, -1)
		if _, err := s.replica(0).server.ResendEmail(as(t.Context(), merchant), resendRequest(1)); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		for range 2 {
			s.send(t.Context(), fact(event.CustomerErased, "ord_1", &eventv1.OrderEvent{Order: &orderv1.Order{Id: "ord_1", MerchantId: merchant}}))
			if found := holding(); len(found) > 0 {
				t.Errorf("found in %v", found)
			}
		}
		s.relay.set(nil, 0)
		wait(24 * time.Hour)
		d := get(t, s, "ord_1")
		if len(s.relay.mails()) != 1 || d.GetEmail() != "" || d.GetProblem() != "" || !slices.Equal(d.GetLines()[0].GetLicenseKeys(), []string{"T1"}) {
			t.Errorf("%d mails, delivery %v", len(s.relay.mails()), d)
		}

		pay(t, s, bought) // an old repeat
		refunded := orderEvent("ord_1", orderv1.PaymentState_PAYMENT_STATE_REFUNDED, line{product: "tool", quantity: 1})
		never := orderEvent("ord_2", orderv1.PaymentState_PAYMENT_STATE_CANCELED, line{product: "tool", quantity: 1})
		s.send(t.Context(), fact(event.CustomerErased, "ord_2", &eventv1.OrderEvent{Order: &orderv1.Order{Id: "ord_2", MerchantId: merchant}}))
		s.send(t.Context(), fact(event.OrderCanceled, "ord_2", never)) // of which nothing was known
		wait(time.Minute)
		if found := holding(); len(found) > 0 {
			t.Errorf("repeats bring back %v", found)
		}
		for name, call := range map[string]func() error{
			"resend": func() error {
				_, err := s.replica(0).server.ResendEmail(as(t.Context(), merchant), resendRequest(1))
				return err
			},
			"correct": func() error {
				_, err := s.replica(0).server.CorrectEmail(as(t.Context(), merchant), &deliveryv1.CorrectEmailRequest{OrderId: "ord_1", Email: "a@b.example"})
				return err
			},
			"replace": func() error {
				_, err := s.replica(0).server.ReplaceLicense(as(t.Context(), merchant), &deliveryv1.ReplaceLicenseRequest{OrderId: "ord_1", LineNumber: 1, Unit: 1, Reason: "lost"})
				return err
			},
		} {
			if err := call(); fault.KindOf(err) != fault.KindConflict {
				t.Errorf("%s: %v", name, err)
			}
		}
		s.send(t.Context(), fact(event.OrderRefunded, "ord_1", refunded))
		wait(time.Minute)
		if found := holding(); len(found) > 0 {
			t.Errorf("a refund brings back %v", found)
		}
	})
}
