package order

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quittance/pkg/event"
	"quittance/pkg/money"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }

func fresh(t interface{ Fatal(...any) }, lines int, prepaid bool) (*Order, []Announcement) {
	o := &Order{ID: "ord_1", Merchant: "acme", Prepaid: prepaid}
	for range lines {
		l, err := NewLine("tool", "Tool", 2, eur(500), orderv1.DeliveryMethod_DELIVERY_METHOD_POOL, "")
		if err != nil {
			t.Fatal(err)
		}
		o.Lines = append(o.Lines, l)
	}
	total, err := Sum(o.Lines, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	o.Total = total
	return o, o.Create(t0)
}

func fact(attempt string, outcome Outcome, revision int64, o *Order) *eventv1.PaymentVerified {
	f := &eventv1.PaymentVerified{AttemptId: attempt, OrderId: o.ID, Outcome: outcome, Revision: revision, Detail: "why"}
	switch outcome {
	case verificationv1.Outcome_OUTCOME_PAID:
		f.Captured = toProto(o.Total)
	case verificationv1.Outcome_OUTCOME_AUTHORIZED:
		f.Authorized = toProto(o.Total)
	case verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_CHARGED_BACK:
		f.Captured, f.Refunded = toProto(o.Total), toProto(o.Total)
	case verificationv1.Outcome_OUTCOME_ON_HOLD:
		f.HoldReason = orderv1.HoldReason_HOLD_REASON_PROVIDER_REVIEW
	case verificationv1.Outcome_OUTCOME_UNSPECIFIED, verificationv1.Outcome_OUTCOME_PENDING, verificationv1.Outcome_OUTCOME_FAILED,
		verificationv1.Outcome_OUTCOME_CANCELED, verificationv1.Outcome_OUTCOME_EXPIRED:
	}
	return f
}

func types(list []Announcement) []string {
	out := []string{}
	for _, a := range list {
		out = append(out, a.Type)
	}
	return out
}

// TestTransitions walks one fact after another and names state and events.
func TestTransitions(t *testing.T) {
	const (
		paid, failed, held  = verificationv1.Outcome_OUTCOME_PAID, verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_ON_HOLD
		refunded, authorize = verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_AUTHORIZED
	)
	type step struct {
		attempt string
		outcome Outcome
		want    PaymentState
		events  []string
	}
	for name, steps := range map[string][]step{
		"paid": {{"a", paid, orderv1.PaymentState_PAYMENT_STATE_PAID, []string{event.PaymentSucceeded}}},
		"failed, then paid by another attempt (S11)": {
			{"a", failed, orderv1.PaymentState_PAYMENT_STATE_UNPAID, []string{event.PaymentFailed}},
			{"b", paid, orderv1.PaymentState_PAYMENT_STATE_PAID, []string{event.PaymentSucceeded}},
		},
		"the same attempt fails, then succeeds": {
			{"a", failed, orderv1.PaymentState_PAYMENT_STATE_UNPAID, []string{event.PaymentFailed}},
			{"a", paid, orderv1.PaymentState_PAYMENT_STATE_PAID, []string{event.PaymentSucceeded}},
		},
		"paid twice (S12)": {
			{"a", paid, orderv1.PaymentState_PAYMENT_STATE_PAID, []string{event.PaymentSucceeded}},
			{"b", paid, orderv1.PaymentState_PAYMENT_STATE_PAID, []string{event.PaymentDuplicate, event.RefundRequested}},
		},
		"an old attempt's failure does not move a paid order": {
			{"a", paid, orderv1.PaymentState_PAYMENT_STATE_PAID, []string{event.PaymentSucceeded}},
			{"b", failed, orderv1.PaymentState_PAYMENT_STATE_PAID, []string{}},
		},
		"frozen, then accepted (S10)": {
			{"a", held, orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, []string{event.OrderOnHold}},
			{"a", paid, orderv1.PaymentState_PAYMENT_STATE_PAID, []string{event.PaymentSucceeded}},
		},
		"frozen, then rejected (S10)": {
			{"a", held, orderv1.PaymentState_PAYMENT_STATE_ON_HOLD, []string{event.OrderOnHold}},
			{"a", failed, orderv1.PaymentState_PAYMENT_STATE_UNPAID, []string{event.PaymentFailed}},
		},
		"refunded (S18)": {
			{"a", paid, orderv1.PaymentState_PAYMENT_STATE_PAID, []string{event.PaymentSucceeded}},
			{"a", refunded, orderv1.PaymentState_PAYMENT_STATE_REFUNDED, []string{event.OrderRefunded}},
		},
		"given back before it counted": {
			{"a", refunded, orderv1.PaymentState_PAYMENT_STATE_UNPAID, []string{event.PaymentFailed}},
		},
		"authorized is not enough unless the account says so": {
			{"a", authorize, orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, []string{}},
			{"a", paid, orderv1.PaymentState_PAYMENT_STATE_PAID, []string{event.PaymentSucceeded}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := fresh(t, 1, false)
			for i, s := range steps {
				got, known := o.Verified(fact(s.attempt, s.outcome, int64(i+1), o), t0)
				if known || o.Payment != s.want || !slices.Equal(types(got), s.events) {
					t.Fatalf("step %d: %v, events %v, known %v; want %v, %v", i, o.Payment, types(got), known, s.want, s.events)
				}
			}
		})
	}
}

func TestP1WrongAmountGoesOnHold(t *testing.T) {
	o, _ := fresh(t, 1, false)
	f := fact("a", verificationv1.Outcome_OUTCOME_PAID, 1, o)
	f.Captured.Minor--
	got, _ := o.Verified(f, t0)
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_ON_HOLD || o.Hold.Reason != orderv1.HoldReason_HOLD_REASON_MISMATCH ||
		!slices.Equal(types(got), []string{event.OrderOnHold}) {
		t.Fatalf("%v %+v %v", o.Payment, o.Hold, types(got))
	}
	// The same attempt with the right amount later does not end it (the merchant does).
	if got, _ = o.Verified(fact("a", verificationv1.Outcome_OUTCOME_PAID, 2, o), t0); len(got) != 0 || o.Payment != orderv1.PaymentState_PAYMENT_STATE_ON_HOLD {
		t.Fatalf("%v %v", o.Payment, types(got))
	}
}

// TestMoneyThatComesWhileAQuestionIsOpen: the exact money of a second attempt
// pays the order; what the first brought is announced as too much. And the money
// of a questioned attempt going back opens the order again.
func TestMoneyThatComesWhileAQuestionIsOpen(t *testing.T) {
	for name, second := range map[string]Outcome{"paid": verificationv1.Outcome_OUTCOME_PAID, "given back": verificationv1.Outcome_OUTCOME_REFUNDED} {
		o, _ := fresh(t, 1, false)
		wrong := fact("a", verificationv1.Outcome_OUTCOME_PAID, 1, o)
		wrong.Captured.Minor--
		o.Verified(wrong, t0)
		if name == "paid" {
			got, _ := o.Verified(fact("b", second, 1, o), t0)
			if o.Payment != orderv1.PaymentState_PAYMENT_STATE_PAID || o.PaidBy != "b" || !slices.Equal(types(got), []string{event.PaymentSucceeded, event.PaymentDuplicate, event.RefundRequested}) || got[1].Attempt != "a" {
				t.Fatalf("%s: %v %v", name, o.Payment, types(got))
			}
			continue
		}
		got, _ := o.Verified(fact("a", second, 2, o), t0)
		if o.Payment != orderv1.PaymentState_PAYMENT_STATE_UNPAID || o.Hold != nil || !slices.Equal(types(got), []string{event.PaymentFailed}) {
			t.Fatalf("%s: %v %v", name, o.Payment, types(got))
		}
	}
}

// TestAnAuthorizationThatEnds: delivery was asked for on the strength of it; the
// order is canceled, which closes what is not delivered.
func TestAnAuthorizationThatEnds(t *testing.T) {
	o, _ := fresh(t, 1, false)
	f := fact("a", verificationv1.Outcome_OUTCOME_AUTHORIZED, 1, o)
	f.DeliverOnAuthorized = true
	if got, _ := o.Verified(f, t0); !slices.Equal(types(got), []string{event.PaymentSucceeded}) || o.Payment != orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED {
		t.Fatalf("%v %v", o.Payment, types(got))
	}
	little := fact("b", verificationv1.Outcome_OUTCOME_PAID, 1, o)
	little.Captured.Minor = 1
	if got, _ := o.Verified(little, t0); !slices.Equal(types(got), []string{event.PaymentDuplicate, event.RefundRequested}) || o.Payment != orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED {
		t.Fatalf("%v %v", o.Payment, types(got))
	}
	known := fact("b", verificationv1.Outcome_OUTCOME_PAID, 2, o)
	known.Captured.Minor = 1
	known.Operations = views(o.Operations)
	o.Verified(known, t0)
	if got, _ := o.Verified(fact("a", verificationv1.Outcome_OUTCOME_CANCELED, 2, o), t0); !slices.Equal(types(got), []string{event.OrderCanceled}) || !o.Closed(o.Payment) || !NextDue(o).IsZero() {
		t.Fatalf("%v %v due %v", o.Payment, types(got), NextDue(o))
	}
}

func TestPartlyGivenBackBeforeWeHeardOfIt(t *testing.T) {
	o, _ := fresh(t, 1, false)
	f := fact("a", verificationv1.Outcome_OUTCOME_REFUNDED, 1, o)
	f.Refunded.Minor = 1
	got, _ := o.Verified(f, t0)
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED || !slices.Equal(types(got), []string{event.PaymentSucceeded, event.OrderRefunded}) {
		t.Fatalf("%v %v", o.Payment, types(got))
	}
}

// TestDelaysAreAnnouncedOncePerLine, whatever the reason says meanwhile.
// TestReservedMoneyThatWentBackBeforeWeHeardThatItWasTaken: the order was
// reserved when last heard of, with or without delivery on the strength of it.
func TestReservedMoneyThatWentBackBeforeWeHeardThatItWasTaken(t *testing.T) {
	for name, tc := range map[string]struct {
		early bool
		back  int64
		want  PaymentState
		says  []string
	}{
		"partly":                {false, 400, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, []string{event.PaymentSucceeded, event.OrderRefunded}},
		"all of it":             {false, 1000, orderv1.PaymentState_PAYMENT_STATE_UNPAID, []string{event.PaymentFailed}},
		"partly, and delivered": {true, 400, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, []string{event.OrderRefunded}},
		"all, and delivered":    {true, 1000, orderv1.PaymentState_PAYMENT_STATE_REFUNDED, []string{event.OrderRefunded}},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := fresh(t, 1, false)
			reserve := fact("pay_1", verificationv1.Outcome_OUTCOME_AUTHORIZED, 1, o)
			reserve.DeliverOnAuthorized = tc.early
			o.Verified(reserve, t0)
			back := fact("pay_1", verificationv1.Outcome_OUTCOME_REFUNDED, 2, o)
			back.Refunded = toProto(eur(tc.back))
			out, _ := o.Verified(back, t0)
			if o.Payment != tc.want || !slices.Equal(types(out), tc.says) {
				t.Errorf("%v, %q", o.Payment, types(out))
			}
		})
	}
}

// TestLateMoneyOfACanceledReservation: the order was canceled, the provider took
// the money all the same, and a part of it went back. That brings nothing back.
func TestLateMoneyOfACanceledReservation(t *testing.T) {
	o, _ := fresh(t, 1, false)
	o.Verified(fact("pay_1", verificationv1.Outcome_OUTCOME_AUTHORIZED, 1, o), t0)
	if _, err := o.Cancel(t0); err != nil {
		t.Fatal(err)
	}
	o.Verified(fact("pay_1", verificationv1.Outcome_OUTCOME_PAID, 2, o), t0)
	back := fact("pay_1", verificationv1.Outcome_OUTCOME_REFUNDED, 3, o)
	back.Refunded = toProto(eur(400))
	out, _ := o.Verified(back, t0)
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_ON_HOLD || o.PaidBy != "" || len(out) != 0 {
		t.Errorf("%v, paid by %q, %q", o.Payment, o.PaidBy, types(out))
	}
}

// TestP1ACancellationByHandIsNoRefund: the merchant says that a reservation was
// canceled, but the provider took the money before. It is held, and giving it back
// is not done by what was said of the reservation.
func TestP1ACancellationByHandIsNoRefund(t *testing.T) {
	o, _ := fresh(t, 1, false)
	o.Verified(fact("pay_1", verificationv1.Outcome_OUTCOME_AUTHORIZED, 1, o), t0)
	if _, err := o.Cancel(t0); err != nil {
		t.Fatal(err)
	}
	cancel := views(o.Operations)
	cancel[0].State = orderv1.OperationState_OPERATION_STATE_DONE_BY_HAND
	f := fact("pay_1", verificationv1.Outcome_OUTCOME_PAID, 2, o)
	f.Operations = cancel
	o.Verified(f, t0)
	if _, err := o.Resolve(orderv1.HoldDecision_HOLD_DECISION_REFUND, t0); err != nil {
		t.Fatal(err)
	}
	f.Revision, f.Operations = 3, views(o.Operations)
	f.Operations[1].State = orderv1.OperationState_OPERATION_STATE_BY_HAND
	if o.Verified(f, t0); o.Payment != orderv1.PaymentState_PAYMENT_STATE_ON_HOLD {
		t.Fatalf("%v, and the money is still there", o.Payment)
	}
	f.Revision = 4
	f.Operations[1].State = orderv1.OperationState_OPERATION_STATE_DONE_BY_HAND
	if o.Verified(f, t0); o.Payment != orderv1.PaymentState_PAYMENT_STATE_CANCELED {
		t.Errorf("%v, and the money is gone", o.Payment)
	}
}

// TestP1TwoLateMismatchesAreTwoQuestions: two wrong amounts came for a canceled
// order. When the first has gone back, the second is asked about.
func TestP1TwoLateMismatchesAreTwoQuestions(t *testing.T) {
	o, _ := fresh(t, 1, false)
	if _, err := o.Cancel(t0); err != nil {
		t.Fatal(err)
	}
	for i, attempt := range []string{"pay_1", "pay_2"} {
		f := fact(attempt, verificationv1.Outcome_OUTCOME_ON_HOLD, 1, o)
		f.HoldReason, f.Captured = orderv1.HoldReason_HOLD_REASON_MISMATCH, toProto(eur(int64(700+i)))
		o.Verified(f, t0)
	}
	for _, attempt := range []string{"pay_1", "pay_2"} {
		if o.Payment != orderv1.PaymentState_PAYMENT_STATE_ON_HOLD || o.Hold.Attempt != attempt {
			t.Fatalf("%v, hold %+v, want it for %s", o.Payment, o.Hold, attempt)
		}
		if _, err := o.Resolve(orderv1.HoldDecision_HOLD_DECISION_REFUND, t0); err != nil {
			t.Fatal(err)
		}
		f := fact(attempt, verificationv1.Outcome_OUTCOME_REFUNDED, 2, o)
		f.Captured, f.Refunded = toProto(o.Attempts[attempt].Captured), toProto(o.Attempts[attempt].Captured)
		o.Verified(f, t0)
	}
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_CANCELED {
		t.Errorf("%v in the end", o.Payment)
	}
}

// TestAPartOfAcceptedMoneyGoesBack: the merchant took another amount for the
// order; the provider's word on it stays a mismatch.
func TestAPartOfAcceptedMoneyGoesBack(t *testing.T) {
	o, _ := fresh(t, 1, false)
	f := fact("pay_1", verificationv1.Outcome_OUTCOME_ON_HOLD, 1, o)
	f.HoldReason, f.Captured = orderv1.HoldReason_HOLD_REASON_MISMATCH, toProto(eur(700))
	o.Verified(f, t0)
	if _, err := o.Resolve(orderv1.HoldDecision_HOLD_DECISION_ACCEPT, t0); err != nil {
		t.Fatal(err)
	}
	f.Revision, f.Refunded = 2, toProto(eur(300))
	out, _ := o.Verified(f, t0)
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED || !slices.Equal(types(out), []string{event.OrderRefunded}) {
		t.Errorf("%v, %q", o.Payment, types(out))
	}
	// The other way round, too: a part is gone, and the merchant takes the rest.
	o, _ = fresh(t, 1, false)
	o.Verified(f, t0)
	out, err := o.Resolve(orderv1.HoldDecision_HOLD_DECISION_ACCEPT, t0)
	if err != nil || o.Payment != orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED ||
		!slices.Equal(types(out), []string{event.PaymentSucceeded, event.OrderRefunded}) {
		t.Errorf("%v, %q, %v", o.Payment, types(out), err)
	}
}

func TestDelaysAreAnnouncedOncePerLine(t *testing.T) {
	o, _ := fresh(t, 50, true)
	all := []int32{}
	for n := range 50 {
		all = append(all, int32(n+1))
	}
	events := 0
	for n := range 50 {
		got, _ := o.Delayed(&eventv1.DeliveryDelayed{LineNumbers: all[n:], Problem: fmt.Sprint("waits for ", 50-n), Revision: int64(n + 1)}, t0)
		done, _ := o.Completed(all[n:n+1], t0)
		events += len(got) + len(done)
	}
	if events != 50+50+1 {
		t.Fatalf("%d events", events)
	}
}

// TestS21FailedLines: a line for which nothing is tried any more makes the whole
// delivery failed, is announced even if its delay was, and is well again by the
// next word on it; a late repeat of an older word changes nothing.
func TestS21FailedLines(t *testing.T) {
	o, _ := fresh(t, 2, true)
	say := func(revision int64, problem string, lines, failed []int32) []string {
		got, _ := o.Delayed(&eventv1.DeliveryDelayed{Revision: revision, Problem: problem, LineNumbers: lines, FailedLineNumbers: failed}, t0)
		return types(got)
	}
	want := func(state orderv1.DeliveryState, problem string) {
		t.Helper()
		if o.Delivery != state || o.DeliveryProblem != problem {
			t.Fatalf("%v %q, want %v %q", o.Delivery, o.DeliveryProblem, state, problem)
		}
	}
	one := []string{event.ProductDeliveryDelayed}
	if got := say(1, "busy", []int32{1}, nil); !slices.Equal(got, one) {
		t.Fatal(got)
	}
	want(orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED, "busy")
	if got := say(3, "refused", []int32{1}, []int32{1}); !slices.Equal(got, one) {
		t.Fatal(got)
	}
	want(orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED, "refused")
	if got := say(2, "busy", []int32{1}, nil); len(got) != 0 {
		t.Fatal(got)
	}
	o.Completed([]int32{2}, t0)
	want(orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED, "refused")
	if got := say(4, "", nil, nil); len(got) != 0 {
		t.Fatal(got)
	}
	want(orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED, "")
	o.Completed([]int32{1}, t0)
	want(orderv1.DeliveryState_DELIVERY_STATE_DELIVERED, "")
}

// TestRevokedUnitsOnlyGrow: each growth is announced once.
func TestRevokedUnitsOnlyGrow(t *testing.T) {
	o, _ := fresh(t, 2, true)
	for _, tt := range []struct {
		units  int64
		events int
	}{{1, 1}, {1, 0}, {3, 1}, {2, 0}} {
		got, known := o.Revoked([]*eventv1.LineRevoked{{LineNumber: 2, Units: tt.units}, {LineNumber: 9, Units: 1}}, t0)
		if len(got) != tt.events || known != (tt.events == 0) || tt.events == 1 && (got[0].Line != 2 || got[0].Type != event.ProductRevoked) {
			t.Fatalf("%d units: %v", tt.units, got)
		}
	}
	if o.View().GetLines()[1].GetRevokedUnits() != 3 {
		t.Fatal(o.View().GetLines())
	}
}

func TestPrepaidIsPaidAtOnce(t *testing.T) { // S16
	o, events := fresh(t, 1, true)
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_PAID || !slices.Equal(types(events), []string{event.OrderCreated, event.PaymentSucceeded}) {
		t.Fatalf("%v %v", o.Payment, types(events))
	}
}

func TestLatePaymentGoesOnHold(t *testing.T) {
	o, _ := fresh(t, 1, false)
	if got, _ := o.Work(t0.Add(ExpireAfter)); !slices.Equal(types(got), []string{event.OrderExpired}) {
		t.Fatalf("%v", types(got))
	}
	got, _ := o.Verified(fact("a", verificationv1.Outcome_OUTCOME_PAID, 1, o), t0.Add(ExpireAfter))
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_ON_HOLD || !slices.Equal(types(got), []string{event.OrderOnHold}) {
		t.Fatalf("%v %v", o.Payment, types(got))
	}
}

// TestTwoLatePaymentsBringNothingBack: delivery has closed a canceled order, so
// one that became paid by a second late payment would wait for it for ever.
func TestTwoLatePaymentsBringNothingBack(t *testing.T) {
	o, _ := fresh(t, 1, false)
	if _, err := o.Cancel(t0); err != nil {
		t.Fatal(err)
	}
	if got, _ := o.Verified(fact("a", verificationv1.Outcome_OUTCOME_PAID, 1, o), t0); !slices.Equal(types(got), []string{event.OrderOnHold}) {
		t.Fatalf("%v", types(got))
	}
	got, _ := o.Verified(fact("b", verificationv1.Outcome_OUTCOME_PAID, 1, o), t0)
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_ON_HOLD || !slices.Equal(types(got), []string{event.PaymentDuplicate, event.RefundRequested}) {
		t.Fatalf("%v %v", o.Payment, types(got))
	}
}

func TestDeliveryIsNotAskedForOnceTheMoneyWentBack(t *testing.T) {
	o, _ := fresh(t, 1, false)
	o.Verified(fact("a", verificationv1.Outcome_OUTCOME_PAID, 1, o), t0)
	o.Verified(fact("a", verificationv1.Outcome_OUTCOME_REFUNDED, 2, o), t0)
	if _, again := o.Work(NextDue(o)); slices.Contains(again, event.PaymentSucceeded) || !o.Closed(o.Payment) {
		t.Fatalf("sent again %v", again)
	}
	if due := NextDue(o); !due.IsZero() {
		t.Fatalf("due %v", due)
	}
}

func TestDeliveryIsAskedForUntilDone(t *testing.T) {
	o, _ := fresh(t, 2, true)
	now := t0
	for range 20 {
		due := NextDue(o)
		if due.IsZero() || !due.After(now) {
			t.Fatalf("due %v at %v", due, now)
		}
		now = due
		if _, again := o.Work(now); !slices.Equal(again, []string{event.PaymentSucceeded}) {
			t.Fatal("delivery was not asked for")
		}
	}
	if got, _ := o.Completed([]int32{1}, now); !slices.Equal(types(got), []string{event.ProductDelivered}) ||
		o.Delivery != orderv1.DeliveryState_DELIVERY_STATE_PARTIALLY_DELIVERED {
		t.Fatalf("%v %v", types(got), o.Delivery)
	}
	if got, _ := o.Completed([]int32{1, 2}, now); !slices.Equal(types(got), []string{event.ProductDelivered, event.OrderDelivered}) {
		t.Fatalf("%v", types(got))
	}
	if _, known := o.Completed([]int32{1, 2}, now); !known {
		t.Fatal("a repeat is news")
	}
	if due := NextDue(o); !due.IsZero() {
		t.Fatalf("delivered, but due %v", due)
	}
}

// TestFactsInAnyOrder: facts of several attempts, doubled and out of order,
// never pay an order without a paid fact, number events without a gap, deliver
// at most once, and end where the highest revision of each attempt says.
func TestFactsInAnyOrder(t *testing.T) {
	outcomes := []Outcome{
		verificationv1.Outcome_OUTCOME_PENDING, verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED,
		verificationv1.Outcome_OUTCOME_EXPIRED, verificationv1.Outcome_OUTCOME_ON_HOLD, verificationv1.Outcome_OUTCOME_AUTHORIZED,
		verificationv1.Outcome_OUTCOME_PAID, verificationv1.Outcome_OUTCOME_REFUNDED,
	}
	rapid.Check(t, func(t *rapid.T) {
		o, events := fresh(t, 1, false)
		paidFact := false
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			f := fact(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "attempt"),
				rapid.SampledFrom(outcomes).Draw(t, "outcome"), rapid.Int64Range(1, 6).Draw(t, "revision"), o)
			before := o.Attempts[f.GetAttemptId()].Revision
			got, known := o.Verified(f, t0)
			if known != (f.GetRevision() <= before) || known && len(got) > 0 {
				t.Fatalf("revision %d after %d: known %v, events %v", f.GetRevision(), before, known, types(got))
			}
			paidFact = paidFact || !known && f.GetOutcome() == verificationv1.Outcome_OUTCOME_PAID
			events = append(events, got...)
			if o.Payment == orderv1.PaymentState_PAYMENT_STATE_PAID && !paidFact {
				t.Fatal("paid without a paid fact")
			}
		}
		succeeded := 0
		events = slices.DeleteFunc(events, func(a Announcement) bool { return a.Type == event.RefundRequested })
		for i, a := range events {
			if a.Sequence != int64(i+1) {
				t.Fatalf("event %d has sequence %d", i, a.Sequence)
			}
			if a.Type == event.PaymentSucceeded {
				succeeded++
			}
		}
		if succeeded > 1 || (succeeded == 1) == o.AskedDelivery.IsZero() {
			t.Fatalf("%d payment.succeeded, delivery asked %v", succeeded, o.AskedDelivery)
		}
	})
}
