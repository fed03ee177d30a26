package verification

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quittance/pkg/money"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

func wish(id string, kind OperationKind, minor int64) *orderv1.Operation {
	return &orderv1.Operation{
		Id: id, Kind: kind, AttemptId: "pay_1", Amount: &orderv1.Money{Minor: minor, Currency: "EUR"},
		State: requested, Cause: orderv1.OperationCause_OPERATION_CAUSE_MERCHANT,
	}
}

// TestNothingIsGivenBackTwice: refunds over a provider without idempotency keys
// and processes that die at any point. What goes out may happen at once, after a
// while (shorter than we wait), or never, and its answer may be lost or a lie of
// failure. In the end every refund is done exactly once, and the sum of what
// went back never exceeds the sum asked for.
func TestNothingIsGivenBackTwice(t *testing.T) {
	s := terms
	s.ResendAfter = 10 * time.Minute
	rapid.Check(t, func(t *rapid.T) {
		v, now := start(), t0
		v.Answer(report(paid), s, now)
		type booking struct {
			at    time.Time
			minor int64
		}
		var books []booking // the provider's, with the time from which they show
		back := func() (sum int64) {
			for _, b := range books {
				if !b.at.After(now) {
					sum += b.minor
				}
			}
			return sum
		}
		var asked int64
		wanted := map[string]int64{}
		for i := range rapid.IntRange(1, 4).Draw(t, "refunds") {
			id, minor := fmt.Sprint("op", i), int64(rapid.IntRange(1, 240).Draw(t, "amount"))
			v.Request([]*orderv1.Operation{wish(id, refund, minor)}, now)
			wanted[id], asked = minor, asked+minor
		}
		sent := map[string]int{}
		for step := 0; step < 400 && v.current() != nil; step++ {
			v.OrderKnows(v.Revision)
			if due := NextDue(v); due.After(now) {
				now = due
			}
			died := step < 100 && rapid.IntRange(0, 3).Draw(t, "dies") == 0
			stored, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			id := v.SendDue(now)
			switch {
			case id != "":
				if !v.Sending(id, now) {
					t.Fatalf("%s was ruled out: %+v", id, v.Operation(id))
				}
				if stored, err = json.Marshal(v); err != nil { // on record before it goes out
					t.Fatal(err)
				}
				if died && rapid.Bool().Draw(t, "before the call") {
					break
				}
				sent[id]++
				fate := rapid.IntRange(0, 2).Draw(t, "fate")
				if step >= 100 {
					fate = 0
				}
				switch fate {
				case 0: // done at once
					books = append(books, booking{now, v.Operation(id).Amount.Minor})
				case 1: // done, but the books show it late
					books = append(books, booking{now.Add(time.Duration(rapid.IntRange(1, 590).Draw(t, "delay")) * time.Second), v.Operation(id).Amount.Minor})
				}
				out := SentOutcome{}
				if fate == 2 || rapid.Bool().Draw(t, "answer lost") {
					out.Problem = "connection reset"
				}
				v.WasSent(id, out, now)
			case step < 100 && rapid.IntRange(0, 4).Draw(t, "no answer") == 0:
				v.NoAnswer("down", s, now)
			default:
				r := report(paid)
				r.Captured, r.Refunded = price, money.Amount{Minor: back(), Currency: "EUR"}
				v.Answer(r, s, now)
			}
			if died {
				v = &Verification{}
				if err := json.Unmarshal(stored, v); err != nil {
					t.Fatal(err)
				}
			}
			if back() > asked {
				t.Fatalf("%d given back, %d asked for", back(), asked)
			}
		}
		now = now.Add(time.Hour)
		if back() != asked || v.Facts.Refunded.Minor != asked {
			t.Fatalf("%d given back, %d known, %d asked for; %+v", back(), v.Facts.Refunded.Minor, asked, v.Operations)
		}
		for id := range wanted {
			if op := v.Operation(id); op.State != confirmed {
				t.Fatalf("%+v", op)
			}
		}
	})
}

// TestOperationsAreRuledOutByFacts without a call to the provider.
func TestOperationsAreRuledOutByFacts(t *testing.T) {
	for name, c := range map[string]struct {
		facts Outcome
		kind  OperationKind
		minor int64
		want  OperationState
	}{
		"refund of more than is there":        {paid, refund, price.Minor + 1, declined},
		"refund of what has gone back":        {refunded, refund, 100, confirmed},
		"capture of what is captured":         {paid, capture, price.Minor, confirmed},
		"capture without a reservation":       {failed, capture, price.Minor, declined},
		"cancellation of what is captured":    {paid, cancel, price.Minor, declined},
		"cancellation of what came to naught": {failed, cancel, price.Minor, confirmed},
	} {
		t.Run(name, func(t *testing.T) {
			v := start()
			if c.facts == refunded {
				v.Answer(report(paid), terms, t0)
			}
			v.Answer(report(c.facts), terms, t0)
			v.Request([]*orderv1.Operation{wish("op", c.kind, c.minor)}, t0)
			if v.SendDue(t0) != "op" || v.Sending("op", t0) {
				t.Fatal("it goes out")
			}
			if op := v.Operation("op"); op.State != c.want || v.SendDue(t0.Add(24*time.Hour)) != "" {
				t.Fatalf("%+v", op)
			}
		})
	}
}

// TestWhatNeedsAHandIsSeenUntilDone, and what merely looks odd until dismissed.
func TestWhatNeedsAHandIsSeenUntilDone(t *testing.T) {
	v := start()
	v.Answer(report(paid), terms, t0)
	byMerchant := wish("op", refund, 100)
	byMerchant.State = byHand
	if !v.Request([]*orderv1.Operation{byMerchant}, t0) || v.Attention() != verificationv1.Attention_ATTENTION_BY_HAND || v.Dismiss() {
		t.Fatalf("%v", v.Attention())
	}
	if news, ok := v.Done("op", "paid out at the till", false, t0); !news || !ok || v.Attention() != 0 {
		t.Fatalf("%v %v %v", news, ok, v.Attention())
	}
	if news, ok := v.Done("op", "", false, t0); news || !ok {
		t.Fatalf("%v %v", news, ok)
	}
	if v.Facts.Outcome != paid {
		t.Fatal("the merchant's word became the provider's")
	}

	v, end := start(), t0.Add(terms.Life+time.Minute)
	if v.Answer(report(pending), terms, end); v.Attention() != 0 {
		t.Fatalf("an abandoned attempt needs %v", v.Attention())
	}
	v = start()
	v.CalledBack(callback("c1", ClaimPaid), 0, t0)
	v.TakeCallbacks()
	if v.Answer(report(pending), terms, end); v.Attention() != verificationv1.Attention_ATTENTION_LIFE_OVER {
		t.Fatalf("%v", v.Attention())
	}
	if !v.Dismiss() || v.Attention() != 0 {
		t.Fatalf("%v", v.Attention())
	}
	if v.CalledBack(callback("c2", ClaimPaid), 0, end); v.Attention() == 0 {
		t.Fatal("a new callback is not seen")
	}

	v = start()
	v.NoAnswer("down", terms, t0)
	if v.NoAnswer("down", terms, t0.Add(2*time.Hour)); v.Attention() != verificationv1.Attention_ATTENTION_NO_ANSWER {
		t.Fatalf("%v", v.Attention())
	}
	v = start()
	v.Park("without a reference", t0)
	if v.Attention() != verificationv1.Attention_ATTENTION_UNVERIFIABLE {
		t.Fatalf("%v", v.Attention())
	}
}

// TestAnotherTransactionIsSeen: what the provider says of it is not said of the
// one that paid.
func TestAnotherTransactionIsSeen(t *testing.T) {
	v := start()
	v.Answer(report(paid), terms, t0)
	other := report(failed)
	other.TransactionID = "t2"
	if v.Answer(other, terms, t0); v.Facts.Outcome != paid || v.Facts.TransactionID != "t1" ||
		v.Attention() != verificationv1.Attention_ATTENTION_OTHER_TRANSACTION || v.Problem == "" {
		t.Fatalf("%+v %v", v.Facts, v.Attention())
	}
}

// TestUnsignedCallbacksAskLessAndLess until something comes of it.
func TestUnsignedCallbacksAskLessAndLess(t *testing.T) {
	v, now, questions := start(), t0, 0
	v.NextAsk = t0.Add(24 * time.Hour)
	for i := range 3600 { // ten a second for six minutes
		now = now.Add(100 * time.Millisecond)
		f := callback(fmt.Sprint("c", i), "other")
		f.Signed = false
		v.CalledBack(f, 0, now)
		if len(v.Callbacks) > maxWaiting {
			t.Fatalf("%d callbacks wait", len(v.Callbacks))
		}
		if v.AskDue(now) {
			questions++
			v.Answer(Report{Outcome: pending}, terms, now)
			v.TakeCallbacks()
			v.NextAsk = t0.Add(24 * time.Hour)
		}
	}
	if questions < 5 || questions > 20 {
		t.Fatalf("%d questions", questions)
	}
	v.Answer(report(paid), terms, now)
	v.TakeCallbacks()
	now = now.Add(minGap)
	f := callback("last", "other")
	f.Signed = false
	if v.CalledBack(f, 0, now); !v.AskDue(now) {
		t.Fatalf("after news, asked %v later", v.NextAsk.Sub(now))
	}
}

// TestM3AnotherTransactionIsNoHotLoop: the provider names another transaction than
// the one that paid while an operation is under way. That tells nothing of the
// operation, and the next question about it waits as after no answer.
func TestM3AnotherTransactionIsNoHotLoop(t *testing.T) {
	v, now := start(), t0
	v.Returned("t1", now)
	v.Answer(report(paid), terms, now)
	v.Returned("t2", now)
	v.Request([]*orderv1.Operation{wish("op1", refund, 999)}, now)
	v.Sending("op1", now)
	v.WasSent("op1", SentOutcome{}, now)
	v.OrderKnows(v.Revision)
	other := report(paid)
	other.TransactionID = "t2"
	last := time.Duration(0)
	for range 5 {
		now = NextDue(v)
		if !v.AskDue(now) {
			t.Fatalf("nothing to ask at %v", now)
		}
		if v.Answer(other, terms, now); NextDue(v).Sub(now) < max(last, time.Second) {
			t.Fatalf("asked again after %v, before that after %v", NextDue(v).Sub(now), last)
		}
		last = NextDue(v).Sub(now)
	}
	if op := v.Operation("op1"); op.State != sent || v.OtherTransaction != "t2" || v.ProviderReference != "t1" {
		t.Fatalf("%+v, other transaction %q, asked about %q", op, v.OtherTransaction, v.ProviderReference)
	}
}
