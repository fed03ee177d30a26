package order

import (
	"slices"
	"testing"
	"time"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

const (
	isUnpaid, isHeld = orderv1.PaymentState_PAYMENT_STATE_UNPAID, orderv1.PaymentState_PAYMENT_STATE_ON_HOLD
	isPaid, isPartly = orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED
	isCanceled       = orderv1.PaymentState_PAYMENT_STATE_CANCELED
	accept, refund   = orderv1.HoldDecision_HOLD_DECISION_ACCEPT, orderv1.HoldDecision_HOLD_DECISION_REFUND
)

// amounts is a fact of the attempt "a" with these amounts of the order's 1000.
func amounts(outcome Outcome, revision, authorized, captured, refunded int64) *eventv1.PaymentVerified {
	f := &eventv1.PaymentVerified{
		AttemptId: "a", OrderId: "ord_1", Outcome: outcome, Revision: revision, Detail: "why",
		Authorized: toProto(eur(authorized)), Captured: toProto(eur(captured)), Refunded: toProto(eur(refunded)),
	}
	if outcome == verificationv1.Outcome_OUTCOME_ON_HOLD {
		f.HoldReason = orderv1.HoldReason_HOLD_REASON_MISMATCH
	}
	return f
}

// said are an order's operations, all in a state.
func said(o *Order, state orderv1.OperationState) []*orderv1.Operation {
	out := views(o.Operations)
	for _, op := range out {
		op.State = state
	}
	return out
}

func resolve(t *testing.T, o *Order, decision orderv1.HoldDecision) []string {
	t.Helper()
	out, err := o.Resolve(decision, t0)
	if err != nil {
		t.Fatal(err)
	}
	return types(out)
}

// TestP1NothingIsDeliveredWhileTheMoneyIsAQuestion: delivery was asked for on the
// strength of a reservation, of which another amount was taken. Delivery is not
// asked again while that is a question; then it is, or the order is canceled.
func TestP1NothingIsDeliveredWhileTheMoneyIsAQuestion(t *testing.T) {
	for name, end := range map[string]func(*Order) []string{
		"accepted": func(o *Order) []string { return resolve(t, o, accept) },
		"given back by hand": func(o *Order) []string {
			resolve(t, o, refund)
			f := amounts(verificationv1.Outcome_OUTCOME_ON_HOLD, 3, 1000, 500, 0)
			f.Operations = said(o, orderv1.OperationState_OPERATION_STATE_DONE_BY_HAND)
			out, _ := o.Verified(f, t0)
			return types(out)
		},
		"failed": func(o *Order) []string {
			out, _ := o.Verified(amounts(verificationv1.Outcome_OUTCOME_FAILED, 3, 1000, 500, 0), t0)
			return types(out)
		},
	} {
		o, _ := fresh(t, 1, false)
		f := amounts(verificationv1.Outcome_OUTCOME_AUTHORIZED, 1, 1000, 0, 0)
		f.DeliverOnAuthorized = true
		o.Verified(f, t0)
		o.Verified(amounts(verificationv1.Outcome_OUTCOME_ON_HOLD, 2, 1000, 500, 0), t0)
		if _, again := o.Work(t0.Add(time.Hour)); o.Payment != isHeld || len(again) > 0 || !NextDue(o).IsZero() {
			t.Errorf("%s: %v, asks again %v, due %v", name, o.Payment, again, NextDue(o))
		}
		says, want, state := end(o), event.OrderCanceled, isCanceled
		if name == "accepted" {
			want, state = event.PaymentSucceeded, isPaid
		}
		if o.Payment != state || !slices.Equal(says, []string{want}) || o.awaitsDelivery() != (state == isPaid) {
			t.Errorf("%s: %v, %q, awaits delivery %v", name, o.Payment, says, o.awaitsDelivery())
		}
	}
}

// TestP1ADecisionOutlivesNewFacts: the merchant refused the money, and a part of it
// went back. That is the same question, and it is decided.
func TestP1ADecisionOutlivesNewFacts(t *testing.T) {
	const held = verificationv1.Outcome_OUTCOME_ON_HOLD
	o, _ := fresh(t, 1, false)
	o.Verified(amounts(held, 1, 0, 1200, 0), t0)
	resolve(t, o, refund)
	f := amounts(held, 2, 0, 1200, 100)
	f.Operations = said(o, orderv1.OperationState_OPERATION_STATE_SENT)
	if out, _ := o.Verified(f, t0); len(out) > 0 || !o.Hold.Refund {
		t.Fatalf("%q, %+v", types(out), o.Hold)
	}
	if out, err := o.Resolve(accept, t0); err == nil {
		t.Fatalf("accepted on its way back: %q", types(out))
	}
	f = amounts(held, 3, 0, 1200, 100)
	f.Operations = said(o, orderv1.OperationState_OPERATION_STATE_DONE_BY_HAND)
	if out, _ := o.Verified(f, t0); o.Payment != isUnpaid || !slices.Equal(types(out), []string{event.PaymentFailed}) {
		t.Fatalf("%v, %q", o.Payment, types(out))
	}
}

// TestMoreMoneyThanWasRefusedIsRefusedAgain: a reservation was refused and
// canceled, and taken all the same.
func TestMoreMoneyThanWasRefusedIsRefusedAgain(t *testing.T) {
	const held = verificationv1.Outcome_OUTCOME_ON_HOLD
	o, _ := fresh(t, 1, false)
	o.Verified(amounts(held, 1, 900, 0, 0), t0)
	resolve(t, o, refund)
	f := amounts(held, 2, 900, 900, 0)
	f.Operations = said(o, orderv1.OperationState_OPERATION_STATE_DECLINED)
	o.Verified(f, t0)
	for _, want := range [][]string{{event.RefundRequested}, {}} {
		if got := resolve(t, o, refund); !slices.Equal(got, want) {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	op := o.Operations[len(o.Operations)-1]
	if op.Kind != orderv1.OperationKind_OPERATION_KIND_REFUND || op.Amount != eur(900) || len(o.Operations) != 2 {
		t.Fatalf("%+v", o.Operations)
	}
}

// TestP1AnAcceptedReservationIsTaken: the merchant took 900 of 1000 reserved. Taken,
// it pays the order, though the provider's word on it stays a mismatch. Less than
// that is asked about anew.
func TestP1AnAcceptedReservationIsTaken(t *testing.T) {
	const held = verificationv1.Outcome_OUTCOME_ON_HOLD
	for name, c := range map[string]struct {
		captured, refunded int64
		early              bool
		state              PaymentState
		says               []string
	}{
		"taken":                 {900, 0, false, isPaid, []string{event.PaymentSucceeded}},
		"taken, delivery asked": {900, 0, true, isPaid, []string{}},
		"partly back":           {900, 1, false, isPartly, []string{event.PaymentSucceeded, event.OrderRefunded}},
		"all back":              {900, 900, false, isUnpaid, []string{event.PaymentFailed}},
		"less":                  {899, 0, false, isHeld, []string{event.OrderOnHold}},
		"less, delivery asked":  {899, 0, true, isHeld, []string{event.OrderOnHold}},
	} {
		o, _ := fresh(t, 1, false)
		f := amounts(held, 1, 900, 0, 0)
		f.DeliverOnAuthorized = c.early
		o.Verified(f, t0)
		resolve(t, o, accept)
		if _, err := o.Capture(orderv1.OperationCause_OPERATION_CAUSE_MERCHANT, t0); err != nil {
			t.Fatal(err)
		}
		f = amounts(held, 2, 900, c.captured, c.refunded)
		f.Operations, f.DeliverOnAuthorized = said(o, orderv1.OperationState_OPERATION_STATE_CONFIRMED), c.early
		out, _ := o.Verified(f, t0)
		if o.Payment != c.state || !slices.Equal(types(out), c.says) || (o.Hold != nil) != (c.state == isHeld) {
			t.Errorf("%s: %v %+v, %q", name, o.Payment, o.Hold, types(out))
		}
		if c.state != isHeld {
			continue
		}
		if got := resolve(t, o, accept); o.Payment != isPaid || !slices.Equal(got, []string{event.PaymentSucceeded}) {
			t.Errorf("%s: accepted, %v %q", name, o.Payment, got)
		}
	}
}

// TestARefusedReservationThatWasTakenAndGivenBack leaves nothing to ask about,
// though the provider's word on it stays a mismatch.
func TestARefusedReservationThatWasTakenAndGivenBack(t *testing.T) {
	const held = verificationv1.Outcome_OUTCOME_ON_HOLD
	for _, first := range []bool{true, false} { // refused before or after it went back
		o, _ := fresh(t, 1, false)
		o.Verified(amounts(held, 1, 900, 0, 0), t0)
		if first {
			resolve(t, o, refund)
		}
		o.Verified(amounts(held, 2, 900, 900, 900), t0)
		if !first {
			resolve(t, o, refund)
		}
		if o.Payment != isUnpaid || o.Hold != nil {
			t.Errorf("refused first %v: %v %+v", first, o.Payment, o.Hold)
		}
	}
}

// TestP1MoneyThatIsGoneIsNotAccepted, nor what is on its way back by the merchant's
// own refund.
func TestP1MoneyThatIsGoneIsNotAccepted(t *testing.T) {
	const held = verificationv1.Outcome_OUTCOME_ON_HOLD
	for name, c := range map[string]struct {
		refunded, asked int64
		state           orderv1.OperationState
		accepted        bool
	}{
		"all back":             {900, 0, 0, false},
		"all asked for":        {0, 900, orderv1.OperationState_OPERATION_STATE_REQUESTED, false},
		"the rest asked for":   {400, 500, orderv1.OperationState_OPERATION_STATE_UNKNOWN, false},
		"to be done by hand":   {0, 900, orderv1.OperationState_OPERATION_STATE_BY_HAND, false},
		"done by hand":         {0, 900, orderv1.OperationState_OPERATION_STATE_DONE_BY_HAND, false},
		"declined":             {0, 900, orderv1.OperationState_OPERATION_STATE_DECLINED, true},
		"a part asked for":     {0, 899, orderv1.OperationState_OPERATION_STATE_SENT, true},
		"a part, done by hand": {0, 1, orderv1.OperationState_OPERATION_STATE_DONE_BY_HAND, true},
	} {
		o, _ := fresh(t, 1, false)
		o.Verified(amounts(held, 1, 0, 900, c.refunded), t0)
		if c.asked > 0 {
			if _, err := o.Refund(RefundRequest{Key: "k", Attempt: "a", Amount: eur(c.asked)}, t0); err != nil {
				t.Fatal(err)
			}
			f := amounts(held, 2, 0, 900, c.refunded)
			f.Operations = said(o, c.state)
			o.Verified(f, t0)
		}
		if _, err := o.Resolve(accept, t0); (err == nil) != c.accepted || (o.Payment == isHeld) == c.accepted {
			t.Errorf("%s: %v, %v", name, o.Payment, err)
		}
	}
}

// TestP1APartOfHeldMoneyGoesBack: the rest is still a question that the merchant can
// decide. All of it back ends the hold.
func TestP1APartOfHeldMoneyGoesBack(t *testing.T) {
	const reserved, back = verificationv1.Outcome_OUTCOME_AUTHORIZED, verificationv1.Outcome_OUTCOME_REFUNDED
	isRefunded, isCharged := orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK
	for name, c := range map[string]struct {
		reserved, early bool
		last            Outcome
		after           PaymentState // once all is back
		says            string
	}{
		"reserved before":            {true, false, back, isUnpaid, event.PaymentFailed},
		"reserved, delivery asked":   {true, true, back, isRefunded, event.OrderRefunded},
		"charged back, asked":        {true, true, verificationv1.Outcome_OUTCOME_CHARGED_BACK, isCharged, event.OrderRefunded},
		"never reserved":             {false, false, back, isUnpaid, event.PaymentFailed},
		"never reserved, and stolen": {false, false, verificationv1.Outcome_OUTCOME_CHARGED_BACK, isUnpaid, event.PaymentFailed},
	} {
		for _, decide := range []orderv1.HoldDecision{0, accept, refund} {
			o, _ := fresh(t, 1, false)
			authorized := int64(0)
			if c.reserved {
				authorized = 1000
				f := amounts(reserved, 1, authorized, 0, 0)
				f.DeliverOnAuthorized = c.early
				o.Verified(f, t0)
			}
			o.Verified(amounts(verificationv1.Outcome_OUTCOME_ON_HOLD, 2, authorized, 500, 0), t0)
			out, _ := o.Verified(amounts(back, 3, authorized, 500, 1), t0)
			if o.Payment != isHeld || o.Hold == nil || len(out) > 0 {
				t.Fatalf("%s: %v %+v, %q", name, o.Payment, o.Hold, types(out))
			}
			if decide != 0 {
				resolve(t, o, decide)
			}
			if decide == accept {
				if o.Payment != isPartly || o.Hold != nil {
					t.Fatalf("%s: accepted, %v %+v", name, o.Payment, o.Hold)
				}
				continue
			}
			out, _ = o.Verified(amounts(c.last, 4, authorized, 500, 500), t0)
			if o.Payment != c.after || o.Hold != nil || !slices.Equal(types(out), []string{c.says}) {
				t.Errorf("%s: all back, %v %+v, %q", name, o.Payment, o.Hold, types(out))
			}
		}
	}
	// It is held as well if we hear first that a part went back.
	o, _ := fresh(t, 1, false)
	if o.Verified(amounts(back, 1, 0, 500, 1), t0); o.Payment != isHeld {
		t.Errorf("a part of another amount back: %v", o.Payment)
	}
}

// TestP1ARefundOfAPartByHandEndsNoHold: only giving back what was refused does, or
// refunds of all of it.
func TestP1ARefundOfAPartByHandEndsNoHold(t *testing.T) {
	const held = verificationv1.Outcome_OUTCOME_ON_HOLD
	for asked, want := range map[int64]PaymentState{1: isHeld, 900: isUnpaid} {
		o, _ := fresh(t, 1, false)
		o.Verified(amounts(held, 1, 0, 900, 0), t0)
		if _, err := o.Refund(RefundRequest{Key: "k", Attempt: "a", Amount: eur(asked)}, t0); err != nil {
			t.Fatal(err)
		}
		resolve(t, o, refund)
		f := amounts(held, 2, 0, 900, 0)
		f.Operations = said(o, orderv1.OperationState_OPERATION_STATE_DONE_BY_HAND)[:1]
		if o.Verified(f, t0); o.Payment != want {
			t.Errorf("%d of 900 by hand: %v", asked, o.Payment)
		}
		if want == isUnpaid {
			continue
		}
		f = amounts(held, 3, 0, 900, 0)
		f.Operations = said(o, orderv1.OperationState_OPERATION_STATE_DONE_BY_HAND)
		if o.Verified(f, t0); o.Payment != isUnpaid {
			t.Errorf("all by hand: %v", o.Payment)
		}
	}
}
