package attempt

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quittance/pkg/money"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

const (
	stateStarted   = paymentv1.AttemptState_ATTEMPT_STATE_STARTED
	statePending   = paymentv1.AttemptState_ATTEMPT_STATE_PENDING
	stateFailed    = paymentv1.AttemptState_ATTEMPT_STATE_FAILED
	stateCanceled  = paymentv1.AttemptState_ATTEMPT_STATE_CANCELED
	stateExpired   = paymentv1.AttemptState_ATTEMPT_STATE_EXPIRED
	stateSucceeded = paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func started() *Attempt {
	a := &Attempt{
		ID: "pay_1", Merchant: "acme", Order: "ord_1", Account: "acme-cards", Provider: "flexpay",
		Amount: money.Amount{Minor: 999, Currency: "EUR"},
	}
	a.Start(start)
	return a
}

func verification(o Outcome, revision int64) *eventv1.PaymentVerified {
	return &eventv1.PaymentVerified{AttemptId: "pay_1", Outcome: o, Revision: revision, Detail: o.String()}
}

// states is what each outcome alone makes of a started attempt.
var states = map[Outcome]State{
	verificationv1.Outcome_OUTCOME_UNSPECIFIED:  statePending,
	verificationv1.Outcome_OUTCOME_PENDING:      statePending,
	verificationv1.Outcome_OUTCOME_FAILED:       stateFailed,
	verificationv1.Outcome_OUTCOME_CANCELED:     stateCanceled,
	verificationv1.Outcome_OUTCOME_EXPIRED:      stateExpired,
	verificationv1.Outcome_OUTCOME_ON_HOLD:      statePending,
	verificationv1.Outcome_OUTCOME_AUTHORIZED:   statePending,
	verificationv1.Outcome_OUTCOME_PAID:         stateSucceeded,
	verificationv1.Outcome_OUTCOME_REFUNDED:     stateFailed,
	verificationv1.Outcome_OUTCOME_CHARGED_BACK: stateFailed,
}

// claims are all that a browser can say, and what it makes of a started attempt.
var claims = map[Return]State{
	{}:                                     statePending,
	{ProviderReference: "r"}:               statePending,
	{Canceled: true}:                       stateCanceled,
	{Failed: true}:                         stateFailed,
	{Canceled: true, Failed: true}:         stateFailed,
	{Failed: true, ProviderReference: "r"}: stateFailed,
}

func TestEveryOutcomeOnEveryState(t *testing.T) {
	if len(states) != len(verificationv1.Outcome_name) {
		t.Fatalf("%d outcomes in the table, %d in the contract", len(states), len(verificationv1.Outcome_name))
	}
	for first, one := range states {
		for second, two := range states {
			a := started()
			a.Verify(verification(first, 1))
			if got := a.State(); got != one {
				t.Errorf("%s makes it %s, want %s", first, got, one)
			}
			a.Verify(verification(second, 2))
			want := two
			switch {
			case one == stateSucceeded:
				want = stateSucceeded // nothing takes a success back
			case Over(one) && !Over(two) && two != stateSucceeded:
				want = one
			}
			if got := a.State(); got != want {
				t.Errorf("%s, then %s makes it %s, want %s", first, second, got, want)
			}
		}
	}
}

func TestP1ClaimsNeverMakeASuccessNorTakeOneAway(t *testing.T) {
	for claim, want := range claims {
		a := started()
		a.Return(claim, "evt_1", start)
		if got := a.State(); got != want {
			t.Errorf("claim %+v makes it %s, want %s", claim, got, want)
		}
		a.Verify(verification(verificationv1.Outcome_OUTCOME_PAID, 1))
		if got := a.State(); got != stateSucceeded {
			t.Errorf("paid after claim %+v: %s", claim, got)
		}

		a = started()
		a.Verify(verification(verificationv1.Outcome_OUTCOME_PAID, 1))
		if a.Return(claim, "evt_1", start) || a.State() != stateSucceeded || len(a.Returns) != 0 {
			t.Errorf("claim %+v moved a success to %s", claim, a.State())
		}
	}
}

func TestOnlyVerificationEndsAnAttempt(t *testing.T) {
	for claim := range claims {
		a := started()
		if a.Return(claim, "evt_1", start); a.Ended() {
			t.Errorf("claim %+v ended it", claim)
		}
	}
	for outcome, state := range states {
		a := started()
		if a.Verify(verification(outcome, 1)); a.Ended() != (Over(state) || state == stateSucceeded) {
			t.Errorf("%s ended it: %t", outcome, a.Ended())
		}
	}
}

func TestMoneyThatWentBackHadSucceeded(t *testing.T) {
	a := started()
	f := verification(verificationv1.Outcome_OUTCOME_REFUNDED, 2)
	f.Captured = &orderv1.Money{Minor: 999, Currency: "EUR"}
	if a.Verify(f); a.State() != stateSucceeded {
		t.Errorf("refunded after a capture: %s", a.State())
	}
	a = started()
	f = verification(verificationv1.Outcome_OUTCOME_AUTHORIZED, 1)
	f.DeliverOnAuthorized = true
	if a.Verify(f); a.State() != stateSucceeded {
		t.Errorf("authorized, which is enough: %s", a.State())
	}
}

// TestFactsMergeInAnyOrder: whatever the order in which facts come, and however
// often, the state is the same.
func TestFactsMergeInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var facts []func(*Attempt)
		for i := range rapid.IntRange(0, 5).Draw(t, "verifications") {
			f := verification(Outcome(rapid.IntRange(0, len(states)-1).Draw(t, "outcome")), int64(i+1))
			f.DeliverOnAuthorized = rapid.Bool().Draw(t, "deliver on authorized")
			if rapid.Bool().Draw(t, "captured") {
				f.Captured = &orderv1.Money{Minor: 999, Currency: "EUR"}
			}
			facts = append(facts, func(a *Attempt) { a.Verify(f) })
		}
		for range rapid.IntRange(0, 4).Draw(t, "returns") {
			r := Return{
				Canceled: rapid.Bool().Draw(t, "canceled"), Failed: rapid.Bool().Draw(t, "failed"),
				ProviderReference: rapid.SampledFrom([]string{"", "r1", "r2"}).Draw(t, "reference"),
			}
			facts = append(facts, func(a *Attempt) { a.Return(r, "evt_1", start) })
		}
		if rapid.Bool().Draw(t, "confirmed") {
			facts = append(facts, func(a *Attempt) { _, _ = a.Confirm(Confirmation{Transaction: "t"}, start) })
		}
		one, other := started(), started()
		for _, fact := range facts {
			fact(one)
		}
		shuffled := rapid.Permutation(append(facts, facts...)).Draw(t, "order")
		reached := stateStarted
		for _, fact := range shuffled {
			fact(other)
			if height(other.State()) < height(reached) {
				t.Fatalf("fell from %s to %s", reached, other.State())
			}
			reached = other.State()
		}
		if one.State() != other.State() {
			t.Fatalf("%s in one order, %s in another", one.State(), other.State())
		}
	})
}

// height is the order in which states may only rise.
func height(s State) int {
	switch {
	case s == stateSucceeded:
		return 3
	case Over(s):
		return 2
	case s == statePending:
		return 1
	}
	return 0
}

func TestReturnsAreKeptOnceAndNotWithoutBound(t *testing.T) {
	a := started()
	if !a.Return(Return{ProviderReference: "r"}, "evt_1", start) || a.Return(Return{ProviderReference: "r"}, "evt_2", start) {
		t.Error("the same return was taken for news")
	}
	if a.Returns[0].Event != "evt_1" {
		t.Errorf("announced by %s", a.Returns[0].Event)
	}
	for i := range 1000 {
		a.Return(Return{ProviderReference: string(rune('a' + i))}, "evt_3", start)
	}
	if len(a.Returns) != maxReturns {
		t.Errorf("%d returns kept", len(a.Returns))
	}
}

func TestConfirm(t *testing.T) {
	a, c := started(), Confirmation{Amount: money.Amount{Minor: 999, Currency: "EUR"}, Transaction: "t1"}
	if news, err := a.Confirm(c, start); !news || err != nil || a.State() != statePending {
		t.Errorf("first: %t, %v, %s", news, err, a.State())
	}
	if news, err := a.Confirm(c, start); news || err != nil {
		t.Errorf("repeat: %t, %v", news, err)
	}
	c.Amount.Minor = 1
	if _, err := a.Confirm(c, start); !errors.Is(err, ErrConfirmed) || a.Confirmed.Amount.Minor != 999 {
		t.Errorf("another amount: %v, %+v", err, a.Confirmed)
	}
}

func TestResendTimes(t *testing.T) {
	a := started()
	last := start
	var pauses []time.Duration
	for due := NextDue(a); !due.IsZero(); due = NextDue(a) {
		if a.Resend(due.Add(-time.Nanosecond)) || !a.Resend(due) {
			t.Fatalf("not sent exactly at %s", due)
		}
		pauses = append(pauses, due.Sub(last))
		last = due
	}
	want := []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 12 * time.Hour}
	for i, pause := range pauses {
		if i < len(want) && pause != want[i] || i >= len(want) && pause != 24*time.Hour {
			t.Errorf("pause %d is %s", i+1, pause)
		}
	}
	if days := last.Sub(start); days > ResendFor || days < ResendFor-24*time.Hour {
		t.Errorf("last sent after %s", days)
	}
}

func TestOnlyAFinalOutcomeEndsTheResending(t *testing.T) {
	for outcome := range states {
		a := started()
		a.Verify(verification(outcome, 1))
		if ends := NextDue(a).IsZero(); ends != final(outcome) {
			t.Errorf("%s ends the resending: %t", outcome, ends)
		}
	}
	a := started()
	a.Verify(verification(verificationv1.Outcome_OUTCOME_FAILED, 1))
	a.Return(Return{ProviderReference: "again"}, "evt_1", start.Add(time.Hour))
	if due := NextDue(a); !due.Equal(start.Add(time.Hour + time.Minute)) {
		t.Errorf("a return after a failure is sent again at %s", due)
	}
	if !a.Verify(verification(verificationv1.Outcome_OUTCOME_FAILED, 1)) || !NextDue(a).IsZero() {
		t.Error("the failure, said again, does not answer it")
	}
	if a.Verify(verification(verificationv1.Outcome_OUTCOME_FAILED, 1)) {
		t.Error("a known fact is taken for news")
	}
}

func TestProblem(t *testing.T) {
	a := started()
	if a.Problem() != "" {
		t.Errorf("problem %q of a started attempt", a.Problem())
	}
	if a.Return(Return{Failed: true}, "evt_1", start); a.Problem() == "" {
		t.Error("no problem of a failure as claimed")
	}
	if a.Verify(verification(verificationv1.Outcome_OUTCOME_CANCELED, 1)); a.Problem() != "OUTCOME_CANCELED" {
		t.Errorf("problem %q", a.Problem())
	}
	if a.Verify(verification(verificationv1.Outcome_OUTCOME_PAID, 2)); a.Problem() != "" {
		t.Errorf("problem %q of a success", a.Problem())
	}
}
