package order

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// lives are what verification tells of an attempt, one revision after the other.
// The order's total is 1000.
func lives(o *Order) [][]*eventv1.PaymentVerified {
	say := func(outcome Outcome) *eventv1.PaymentVerified { return fact("", outcome, 0, o) }
	wrong := say(verificationv1.Outcome_OUTCOME_ON_HOLD)
	wrong.HoldReason, wrong.Captured = orderv1.HoldReason_HOLD_REASON_MISMATCH, toProto(eur(1500))
	wrongBack := say(verificationv1.Outcome_OUTCOME_REFUNDED)
	wrongBack.Captured, wrongBack.Refunded = toProto(eur(1500)), toProto(eur(1500))
	stolen := say(verificationv1.Outcome_OUTCOME_ON_HOLD) // its transaction has paid another attempt
	stolen.HoldReason = orderv1.HoldReason_HOLD_REASON_MISMATCH
	part := say(verificationv1.Outcome_OUTCOME_REFUNDED)
	part.Refunded = toProto(eur(300))
	captured := say(verificationv1.Outcome_OUTCOME_PAID)
	captured.Authorized = toProto(o.Total)
	const (
		pending, failed  = verificationv1.Outcome_OUTCOME_PENDING, verificationv1.Outcome_OUTCOME_FAILED
		review, reserved = verificationv1.Outcome_OUTCOME_ON_HOLD, verificationv1.Outcome_OUTCOME_AUTHORIZED
		paid, back       = verificationv1.Outcome_OUTCOME_PAID, verificationv1.Outcome_OUTCOME_REFUNDED
	)
	list := func(facts ...*eventv1.PaymentVerified) []*eventv1.PaymentVerified { return facts }
	return [][]*eventv1.PaymentVerified{
		list(say(paid)), list(say(failed), say(paid)), list(say(review), say(paid)), list(say(review), say(failed)), list(say(review)),
		list(say(reserved), captured), list(say(reserved), say(verificationv1.Outcome_OUTCOME_CANCELED)), list(say(reserved)),
		list(say(paid), part), list(say(paid), part, say(back)), list(say(paid), say(verificationv1.Outcome_OUTCOME_CHARGED_BACK)),
		list(wrong), list(say(pending), wrong, wrongBack), list(stolen), list(say(verificationv1.Outcome_OUTCOME_EXPIRED)), list(say(review), wrong),
	}
}

// implied is what the final facts of an order's attempts mean, given which of
// them was the first to count, and whose money was found to be too much.
func implied(paidBy string, tooMuch map[string]bool, finals map[string]*eventv1.PaymentVerified) (PaymentState, orderv1.HoldReason) {
	none := orderv1.HoldReason_HOLD_REASON_UNSPECIFIED
	if f := finals[paidBy]; f != nil {
		switch f.GetOutcome() {
		case verificationv1.Outcome_OUTCOME_PAID:
			return orderv1.PaymentState_PAYMENT_STATE_PAID, none
		case verificationv1.Outcome_OUTCOME_AUTHORIZED:
			return orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, none
		case verificationv1.Outcome_OUTCOME_CHARGED_BACK:
			return orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK, none
		case verificationv1.Outcome_OUTCOME_REFUNDED:
			if f.GetRefunded().GetMinor() < f.GetCaptured().GetMinor() {
				return orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, none
			}
			return orderv1.PaymentState_PAYMENT_STATE_REFUNDED, none
		}
		return 0, none
	}
	state, reason := orderv1.PaymentState_PAYMENT_STATE_UNPAID, none
	for attempt, f := range finals {
		if tooMuch[attempt] {
			continue
		}
		exact := f.GetOutcome() == verificationv1.Outcome_OUTCOME_PAID || f.GetOutcome() == verificationv1.Outcome_OUTCOME_AUTHORIZED ||
			f.GetOutcome() == verificationv1.Outcome_OUTCOME_REFUNDED && f.GetRefunded().GetMinor() == 300
		switch {
		case f.GetOutcome() == verificationv1.Outcome_OUTCOME_ON_HOLD && f.GetHoldReason() == orderv1.HoldReason_HOLD_REASON_MISMATCH:
			return orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, f.GetHoldReason()
		case exact:
			state = 0 // must count, unless a question is before it
		case f.GetOutcome() == verificationv1.Outcome_OUTCOME_ON_HOLD && state != 0:
			state, reason = orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, f.GetHoldReason()
		}
	}
	return state, reason
}

// TestTheFinalFactsDecide: any multiset of the facts of one or several attempts,
// in any order, with the final fact of each among them, ends in the state that
// the final facts imply. Money that the order doesn't use is spoken for: by a
// question, or by an operation that gives it back.
func TestTheFinalFactsDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, events := fresh(t, 1, false)
		var facts []*eventv1.PaymentVerified
		finals := map[string]*eventv1.PaymentVerified{}
		for _, attempt := range []string{"a", "b", "c"}[:rapid.IntRange(1, 3).Draw(t, "attempts")] {
			life := rapid.SampledFrom(lives(o)).Draw(t, "life of "+attempt)
			for i, f := range life {
				f.AttemptId, f.Revision = attempt, int64(i+1)
				times := rapid.IntRange(0, 2).Draw(t, "times")
				if i == len(life)-1 {
					times, finals[attempt] = max(times, 1), f
				}
				for range times {
					facts = append(facts, f)
				}
			}
		}
		for _, f := range rapid.Permutation(facts).Draw(t, "order") {
			got, _ := o.Verified(f, t0)
			events = append(events, got...)
		}
		tooMuch := map[string]bool{}
		for _, op := range o.Operations {
			tooMuch[op.Attempt] = true
		}
		state, reason := implied(o.PaidBy, tooMuch, finals)
		if o.Payment != state || o.Hold != nil && o.Hold.Reason != reason || (o.Hold != nil) != (state == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD) {
			t.Fatalf("%v %+v, implied is %v %v; paid by %q", o.Payment, o.Hold, state, reason, o.PaidBy)
		}
		for attempt, f := range finals {
			unused := f.GetCaptured().GetMinor() > f.GetRefunded().GetMinor() && attempt != o.PaidBy
			if unused && o.Hold == nil && !tooMuch[attempt] {
				t.Fatalf("%v of attempt %s is nobody's: %v, paid by %q, %+v", f.GetCaptured(), attempt, o.Payment, o.PaidBy, o.Operations)
			}
		}
		succeeded, sequence := 0, int64(0)
		for _, a := range events {
			if a.Type == event.RefundRequested {
				continue
			}
			if sequence++; a.Sequence != sequence {
				t.Fatalf("event %d has sequence %d", sequence, a.Sequence)
			}
			if a.Type == event.PaymentSucceeded {
				succeeded++
			}
		}
		if succeeded > 1 {
			t.Fatalf("%d times payment.succeeded", succeeded)
		}
	})
}

// TestResolveHold: each decision in each situation, and again.
func TestResolveHold(t *testing.T) {
	type outcome struct {
		err    bool
		state  PaymentState
		events []string
	}
	const held = orderv1.PaymentState_PAYMENT_STATE_ON_HOLD
	for name, c := range map[string]struct {
		before         func(*Order)
		captured       int64
		accept, refuse outcome
		after          PaymentState // of refuse, once the money has gone
	}{
		"too little": {nil, 900, outcome{false, orderv1.PaymentState_PAYMENT_STATE_PAID, []string{event.PaymentSucceeded}},
			outcome{false, held, []string{event.RefundRequested}}, orderv1.PaymentState_PAYMENT_STATE_UNPAID},
		"too much": {nil, 1100, outcome{false, orderv1.PaymentState_PAYMENT_STATE_PAID, []string{event.PaymentSucceeded}},
			outcome{false, held, []string{event.RefundRequested}}, orderv1.PaymentState_PAYMENT_STATE_UNPAID},
		"none": {nil, 0, outcome{true, held, nil},
			outcome{false, orderv1.PaymentState_PAYMENT_STATE_UNPAID, []string{event.PaymentFailed}}, orderv1.PaymentState_PAYMENT_STATE_UNPAID},
		"late, expired": {func(o *Order) { o.Work(t0.Add(ExpireAfter)) }, 1000,
			outcome{false, orderv1.PaymentState_PAYMENT_STATE_PAID, []string{event.PaymentSucceeded}},
			outcome{false, held, []string{event.RefundRequested}}, orderv1.PaymentState_PAYMENT_STATE_EXPIRED},
		"late, canceled": {func(o *Order) { _, _ = o.Cancel(t0) }, 1000, outcome{true, held, nil},
			outcome{false, held, []string{event.RefundRequested}}, orderv1.PaymentState_PAYMENT_STATE_CANCELED},
	} {
		for decision, want := range map[orderv1.HoldDecision]outcome{
			orderv1.HoldDecision_HOLD_DECISION_ACCEPT: c.accept, orderv1.HoldDecision_HOLD_DECISION_REFUND: c.refuse,
		} {
			t.Run(name+"/"+decision.String(), func(t *testing.T) {
				o, _ := fresh(t, 1, false)
				if c.before != nil {
					c.before(o)
				}
				f := fact("a", verificationv1.Outcome_OUTCOME_ON_HOLD, 1, o)
				f.HoldReason, f.Captured = orderv1.HoldReason_HOLD_REASON_MISMATCH, toProto(eur(c.captured))
				if o.Verified(f, t0); o.Payment != held || !NextDue(o).IsZero() {
					t.Fatalf("%v, due %v: a hold expires never", o.Payment, NextDue(o))
				}
				for i := range 2 {
					got, err := o.Resolve(decision, t0)
					if (err != nil) != want.err || o.Payment != want.state {
						t.Fatalf("%v %v, want %+v", o.Payment, err, want)
					}
					if i == 0 && fmt.Sprint(types(got)) != fmt.Sprint(append([]string{}, want.events...)) || i == 1 && len(got) > 0 {
						t.Fatalf("time %d: %v", i, types(got))
					}
				}
				if decision == orderv1.HoldDecision_HOLD_DECISION_ACCEPT {
					return
				}
				back := fact("a", verificationv1.Outcome_OUTCOME_REFUNDED, 2, o)
				back.Captured, back.Refunded = f.GetCaptured(), f.GetCaptured()
				if o.Verified(back, t0); o.Payment != c.after || o.Hold != nil {
					t.Fatalf("%v %+v", o.Payment, o.Hold)
				}
			})
		}
	}
}
