package attempt

import (
	"testing"
	"time"

	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
)

func TestACreationEndsOneWayOrTheOther(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	fresh := func() *Attempt {
		a := &Attempt{ID: "pay_1"}
		a.StartCreating(now)
		return a
	}
	a := fresh()
	if !a.CreateDue(now) || !NextDue(a).Equal(now) || a.State() != paymentv1.AttemptState_ATTEMPT_STATE_STARTED || a.Ended() {
		t.Fatalf("%+v", a)
	}
	if a.Return(Return{ProviderReference: "x"}, "evt_1", now) {
		t.Error("somebody comes back from a payment that doesn't exist")
	}
	if !a.Exists("ref", Way{Method: "GET", URL: "https://x.example"}, now) || a.Creating() || !a.Waits || a.Started().GetProviderReference() != "ref" {
		t.Fatalf("%+v", a.Creation)
	}
	if a.Exists("other", Way{}, now) || a.Creation.ProviderReference != "ref" {
		t.Error("a second creation replaces the first")
	}
	if a.Decline("no", now) || a.Refused() {
		t.Error("declined after it existed")
	}
	if !NextDue(a).After(now) {
		t.Errorf("sent again at %v", NextDue(a))
	}

	a = fresh()
	if !a.Decline("credit denied", now) || a.Decline("again", now) || a.Started().GetRefusal() != "credit denied" || !a.Waits {
		t.Fatalf("%+v", a)
	}
	if a.State() != paymentv1.AttemptState_ATTEMPT_STATE_FAILED || a.Problem() != "credit denied" || !a.Ended() || a.Creating() {
		t.Fatalf("%+v", a)
	}

	a = fresh()
	tries, last := 0, now
	for a.Creating() {
		last = a.Creation.Next
		tries++
		if a.Unanswered("down", last) != a.Refused() {
			t.Fatal("what is over is not told")
		}
		if tries > 1000 {
			t.Fatal("never ends")
		}
	}
	if !a.Refused() || a.Problem() == "" || last.After(now.Add(createFor)) || tries < 5 || a.Creating() {
		t.Fatalf("after %d tries, the last at %v: %+v", tries, last, a.Creation)
	}
}
