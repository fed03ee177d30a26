package verification_test

import (
	"fmt"
	"testing"

	"quittance/pkg/event"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// TestErasedPayers: who paid is erased from an order's attempts and from what the
// order was told, and stays so when the provider tells it again.
func TestErasedPayers(t *testing.T) {
	w := newWorld(t)
	w.provider(func(reference string) string {
		return sale(reference, "s-"+reference, "9.99", "EUR") + "billingAddr_fullName: Canary Finch\nbillingAddr_city: Canary town\nbillingAddr_country: NO\n"
	})
	attempt, other := w.start(), w.start()
	w.callback("cbk_1", attempt, "paid")
	w.callback("cbk_2", other, "paid")
	if f := w.told(attempt, 1); f.GetPayer().GetName() != "Canary Finch" {
		t.Fatalf("told %v", f)
	}
	w.told(other, 1)
	holding := func() []string {
		return testkit.Holding(t, w.deps.Engine, []string{"verifications", "parked", "early_callbacks"}, "Canary Finch", "Canary town")
	}
	if found := holding(); len(found) != 2 {
		t.Fatalf("before: %v", found)
	}
	order := "ord_" + attempt
	erase := func(n int) {
		t.Helper()
		w.publish(event.CustomerErased, order, &eventv1.OrderEvent{Order: &orderv1.Order{Id: order, MerchantId: "acme"}})
		testkit.Eventually(t, patience, func() error {
			answers := all(w.bus, event.ErasureAcknowledged, func() *eventv1.ErasureAcknowledged { return &eventv1.ErasureAcknowledged{} })
			if len(answers) != n || answers[n-1].GetService() != "verification" || answers[n-1].GetOrderId() != order {
				return fmt.Errorf("answered %v", answers)
			}
			return nil
		})
		if found := holding(); len(found) != 1 || found[0] != "verifications/"+other {
			t.Errorf("found in %v", found)
		}
	}
	erase(1)
	// Asked again the provider tells who paid, and an old start comes again.
	asked := w.asked.Load()
	w.callback("cbk_3", attempt, "paid")
	w.started(attempt)
	testkit.Eventually(t, patience, func() error {
		if n := w.asked.Load(); n <= asked {
			return fmt.Errorf("asked %d times", n)
		}
		return nil
	})
	erase(2)

	// One that starts after the erasure: a late repeat.
	late := "pay_late"
	w.publish(event.CustomerErased, "ord_"+late, &eventv1.OrderEvent{Order: &orderv1.Order{Id: "ord_" + late, MerchantId: "acme"}})
	testkit.Eventually(t, patience, func() error {
		if n := len(all(w.bus, event.ErasureAcknowledged, func() *eventv1.ErasureAcknowledged { return &eventv1.ErasureAcknowledged{} })); n != 3 {
			return fmt.Errorf("answered %d times", n)
		}
		return nil
	})
	e, err := event.New(event.PaymentStarted, "payment", late, "ord_"+late, "acme", w.deps.Now(), &eventv1.PaymentStarted{
		AttemptId: late, OrderId: "ord_" + late, MerchantId: "acme", AccountId: "cards", Provider: "flexpay", Reference: late,
		Amount: &orderv1.Money{Minor: 999, Currency: "EUR"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.bus.Publish(t.Context(), []event.Event{e}); err != nil {
		t.Fatal(err)
	}
	w.callback("cbk_4", late, "paid")
	if f := w.told(late, 1); f.GetPayer().GetName() != "" || f.GetPayer().GetCountry() != "NO" || f.GetCaptured().GetMinor() != 999 {
		t.Errorf("told %v", f)
	}
	if found := holding(); len(found) != 1 {
		t.Errorf("found in %v", found)
	}
}
