package verification_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

const (
	paid   = verificationv1.Outcome_OUTCOME_PAID
	onHold = verificationv1.Outcome_OUTCOME_ON_HOLD
)

func TestS1ACallbackMakesUsAskAndTheAnswerCounts(t *testing.T) {
	w := newWorld(t)
	attempt := w.start()
	w.provider(func(ref string) string { return sale(ref, "s1", "9.99", "EUR") })
	w.callback("clb_1", attempt, "paid")
	f := w.told(attempt, 1)
	if f.GetOutcome() != paid || f.GetCaptured().GetMinor() != 999 || f.GetTransactionId() != "s1" || !slices.Contains(f.GetCallbackIds(), "clb_1") {
		t.Fatalf("%v", f)
	}
}

func TestS4WithoutACallbackItCountsAfterTheRefundWindow(t *testing.T) {
	w := newWorld(t)
	attempt := w.start()
	begun := time.Now()
	w.provider(func(ref string) string { return sale(ref, "s1", "9.99", "EUR") })
	if f := w.told(attempt, 1); f.GetOutcome() != paid || time.Since(begun) < 300*time.Millisecond {
		t.Fatalf("after %v: %v", time.Since(begun), f)
	}
}

func TestS6AReturnIsNoEvidence(t *testing.T) {
	w := newWorld(t)
	attempt := w.start()
	w.publish(event.PaymentReturned, attempt, &eventv1.PaymentReturned{AttemptId: attempt, MerchantId: "acme", ProviderReference: "s1"})
	testkit.Eventually(t, patience, func() error {
		if n := w.asked.Load(); n < 4 {
			return fmt.Errorf("asked %d times", n)
		}
		return nil
	})
	if f := w.facts(attempt); len(f) != 0 {
		t.Fatalf("%v", f)
	}
}

func TestP1S8TheWrongMoneyGoesOnHold(t *testing.T) {
	w := newWorld(t)
	for name, answer := range map[string]func(string) string{
		"amount":    func(ref string) string { return sale(ref, "s-amount", "9.98", "EUR") },
		"currency":  func(ref string) string { return sale(ref, "s-currency", "9.99", "USD") },
		"reference": func(string) string { return sale("pay_other", "s-reference", "9.99", "EUR") },
	} {
		attempt := w.start()
		w.provider(answer)
		w.callback("clb_"+name, attempt, "paid")
		if f := w.told(attempt, 1); f.GetOutcome() != onHold || f.GetHoldReason() != orderv1.HoldReason_HOLD_REASON_MISMATCH || f.GetDetail() == "" {
			t.Errorf("%s: %v", name, f)
		}
	}
}

func TestP1OneTransactionPaysOneAttempt(t *testing.T) {
	w := newWorld(t)
	w.provider(func(ref string) string { return sale(ref, "s1", "9.99", "EUR") })
	first := w.start()
	w.callback("clb_1", first, "paid")
	if f := w.told(first, 1); f.GetOutcome() != paid {
		t.Fatalf("%v", f)
	}
	second := w.start()
	w.callback("clb_2", second, "paid")
	if f := w.told(second, 1); f.GetOutcome() != onHold {
		t.Fatalf("%v", f)
	}
	// Nor by way of an answer that names the transaction before it pays: that
	// one is about the first attempt, and no news of this one.
	for _, word := range []string{"FROZEN", "DECLINED"} {
		w.provider(func(ref string) string { return strings.Replace(sale(ref, "s1", "9.99", "EUR"), "APPROVED", word, 1) })
		third, asked := w.start(), w.asked.Load()
		testkit.Eventually(t, patience, func() error {
			if n := w.asked.Load(); n < asked+3 {
				return fmt.Errorf("asked %d times", n-asked)
			}
			return nil
		})
		if f := w.facts(third); len(f) != 0 {
			t.Fatalf("%v", f)
		}
		w.provider(func(ref string) string { return sale(ref, "s1", "9.99", "EUR") })
		w.callback("clb_"+word, third, "paid")
		if f := w.told(third, 1); f.GetOutcome() != onHold || f.GetHoldReason() != orderv1.HoldReason_HOLD_REASON_MISMATCH {
			t.Fatalf("after %s: %v", word, f)
		}
	}
}

func TestS9TheProviderIsAskedUntilItAnswers(t *testing.T) {
	w := newWorld(t)
	w.provider(func(string) string { return "" })
	attempt := w.start()
	w.callback("clb_1", attempt, "paid")
	testkit.Eventually(t, patience, func() error {
		if n := w.asked.Load(); n < 5 {
			return fmt.Errorf("asked %d times", n)
		}
		return nil
	})
	w.provider(func(ref string) string { return sale(ref, "s1", "9.99", "EUR") })
	if f := w.told(attempt, 1); f.GetOutcome() != paid {
		t.Fatalf("%v", f)
	}
}

func TestACallbackBeforeItsAttemptIsKept(t *testing.T) {
	w := newWorld(t)
	attempt := id.New("pay")
	w.provider(func(ref string) string { return sale(ref, "s1", "9.99", "EUR") })
	w.callback("clb_1", attempt, "paid")
	w.started(attempt)
	if f := w.told(attempt, 1); f.GetOutcome() != paid || !slices.Contains(f.GetCallbackIds(), "clb_1") {
		t.Fatalf("%v", f)
	}
}

func TestARepeatedCallbackIsAnsweredAgain(t *testing.T) {
	w := newWorld(t)
	attempt := w.start()
	w.provider(func(ref string) string { return sale(ref, "s1", "9.99", "EUR") })
	w.callback("clb_1", attempt, "paid")
	w.told(attempt, 1)
	w.callback("clb_1", attempt, "paid")
	testkit.Eventually(t, patience, func() error {
		for _, a := range all(w.bus, event.CallbackAcknowledged, func() *eventv1.CallbackAcknowledged { return &eventv1.CallbackAcknowledged{} }) {
			if slices.Contains(a.GetCallbackIds(), "clb_1") {
				return nil
			}
		}
		return fmt.Errorf("not acknowledged again")
	})
	if n := len(w.facts(attempt)); n != 1 {
		t.Fatalf("told %d facts", n)
	}
}

func TestAnAttemptAnnouncedAgainIsAnsweredAgain(t *testing.T) {
	w := newWorld(t)
	attempt := w.start()
	w.provider(func(ref string) string { return sale(ref, "s1", "9.99", "EUR") })
	w.callback("clb_1", attempt, "paid")
	w.told(attempt, 1)
	w.started(attempt)
	testkit.Eventually(t, patience, func() error {
		if n := len(w.facts(attempt)); n < 2 {
			return fmt.Errorf("told %d times", n)
		}
		return nil
	})
	if f := w.facts(attempt); f[1].GetRevision() != 1 {
		t.Fatalf("%v", f)
	}
}

func TestOfflineIsConfirmedByTheMerchant(t *testing.T) {
	w := newWorld(t)
	w.publish("ref.account", "transfer", &orderv1.Reference{Kind: "account", Id: "transfer", Version: 1, Item: &orderv1.Reference_Account{
		Account: &orderv1.SealedAccount{Account: &orderv1.ProviderAccount{Id: "transfer", MerchantId: "acme", Provider: "offline"}},
	}})
	for name, c := range map[string]struct {
		minor int64
		want  verificationv1.Outcome
	}{"exact": {999, paid}, "too little": {998, onHold}} {
		attempt := id.New("pay")
		w.publish(event.PaymentStarted, attempt, &eventv1.PaymentStarted{
			AttemptId: attempt, OrderId: "ord", MerchantId: "acme", AccountId: "transfer", Provider: "offline", Reference: attempt,
			Amount: &orderv1.Money{Minor: 999, Currency: "EUR"},
		})
		w.publish(event.PaymentConfirmed, attempt, &eventv1.OfflineConfirmed{
			AttemptId: attempt, OrderId: "ord", MerchantId: "acme", Amount: &orderv1.Money{Minor: c.minor, Currency: "EUR"}, TransactionId: name,
		})
		if f := w.told(attempt, 1); f.GetOutcome() != c.want {
			t.Errorf("%s: %v", name, f)
		}
	}
	if n := w.asked.Load(); n != 0 {
		t.Fatalf("asked a provider %d times", n)
	}
}
