package verification

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"quittance/pkg/money"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

const (
	pending    = verificationv1.Outcome_OUTCOME_PENDING
	failed     = verificationv1.Outcome_OUTCOME_FAILED
	onHold     = verificationv1.Outcome_OUTCOME_ON_HOLD
	paid       = verificationv1.Outcome_OUTCOME_PAID
	refunded   = verificationv1.Outcome_OUTCOME_REFUNDED
	chargeback = verificationv1.Outcome_OUTCOME_CHARGED_BACK
)

var (
	t0    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	price = money.Amount{Minor: 999, Currency: "EUR"}
	terms = Schedule{
		First: 5 * time.Second, Then: []time.Duration{10 * time.Second, time.Minute, time.Hour},
		Life: 30 * 24 * time.Hour, RefundWindow: time.Hour,
	}
)

func start() *Verification {
	return Start(&eventv1.PaymentStarted{
		AttemptId: "pay_1", OrderId: "ord_1", MerchantId: "acme", AccountId: "acc", Provider: "flexpay", Reference: "pay_1",
		Amount: &orderv1.Money{Minor: price.Minor, Currency: price.Currency}, StartTime: timestamppb.New(t0),
	}, terms, t0)
}

func report(o Outcome) Report {
	return Report{Outcome: o, Reference: "pay_1", TransactionID: "t1", Amount: price}
}

func callback(id, claim string) *eventv1.CallbackReceived {
	return &eventv1.CallbackReceived{CallbackId: id, Claim: claim, TransactionId: "t1", AcknowledgeTime: timestamppb.New(t0), Signed: true}
}

func TestP1OnlyTheExactAnswerPays(t *testing.T) {
	for name, change := range map[string]func(*Report){
		"other amount":            func(r *Report) { r.Amount.Minor++ },
		"other currency":          func(r *Report) { r.Amount.Currency = "USD" },
		"no amount":               func(r *Report) { r.Amount = money.Amount{} },
		"another reference (S26)": func(r *Report) { r.Reference = "pay_2" },
		"transaction used twice":  func(r *Report) { r.UsedBy = "pay_0" },
	} {
		t.Run(name, func(t *testing.T) {
			v, r := start(), report(paid)
			change(&r)
			if !v.Answer(r, terms, t0) || v.Facts.Outcome != onHold || v.Facts.HoldReason != orderv1.HoldReason_HOLD_REASON_MISMATCH || v.Facts.Detail == "" {
				t.Fatalf("%+v", v.Facts)
			}
			// A right answer afterwards does not end it by itself, but the money
			// going back does, so it is asked for.
			if v.Answer(report(paid), terms, t0); v.Facts.Outcome != onHold || v.NextAsk.IsZero() {
				t.Fatalf("%+v next %v", v.Facts, v.NextAsk)
			}
			if v.Answer(report(refunded), terms, v.NextAsk); v.Facts.Outcome != refunded {
				t.Fatalf("%+v", v.Facts)
			}
		})
	}
	v := start()
	if !v.Answer(report(paid), terms, t0) || v.Facts.Outcome != paid || v.Revision != 1 {
		t.Fatalf("%+v", v.Facts)
	}
}

// TestP4ALateCallbackIsFollowed: money may come after the attempt's life. One
// question right behind its callback, to a provider that doesn't show it yet or
// doesn't answer, is not enough.
func TestP4ALateCallbackIsFollowed(t *testing.T) {
	for name, ask := range map[string]func(*Verification, time.Time){
		"still pending": func(v *Verification, now time.Time) { v.Answer(report(pending), terms, now) },
		"no answer":     func(v *Verification, now time.Time) { v.NoAnswer("down", terms, now) },
	} {
		t.Run(name, func(t *testing.T) {
			v, late := start(), t0.Add(terms.Life+time.Hour)
			if v.Answer(report(pending), terms, late); v.Facts.Outcome != verificationv1.Outcome_OUTCOME_EXPIRED {
				t.Fatalf("%+v", v.Facts)
			}
			late = late.Add(24 * time.Hour)
			v.CalledBack(callback("c1", ClaimPaid), 0, late)
			if ask(v, late); v.NextAsk.IsZero() || v.NextAsk.Sub(late) > terms.Then[len(terms.Then)-1] {
				t.Fatalf("the provider is asked again at %v", v.NextAsk)
			}
			if v.Answer(report(paid), terms, v.NextAsk); v.Facts.Outcome != paid {
				t.Fatalf("%+v", v.Facts)
			}
		})
	}
	t.Run("a sale that may be given back is followed beyond its window", func(t *testing.T) {
		v, last, sale := start(), t0.Add(terms.Life-time.Minute), report(paid)
		sale.AckOrRefund = true
		v.Answer(sale, terms, last)
		if v.NoAnswer("down", terms, last.Add(terms.RefundWindow)); v.Facts.Outcome != pending || v.NextAsk.IsZero() {
			t.Fatalf("%+v next %v", v.Facts, v.NextAsk)
		}
		if v.Answer(sale, terms, v.NextAsk); v.Facts.Outcome != paid {
			t.Fatalf("%+v", v.Facts)
		}
	})
}

// TestP4APaymentThatNobodyHeardOfIsFound: the attempt's life ended, the customer
// paid afterwards, and callback and return were lost.
func TestP4APaymentThatNobodyHeardOfIsFound(t *testing.T) {
	expired, over := verificationv1.Outcome_OUTCOME_EXPIRED, t0.Add(terms.Life+time.Minute)
	for name, ask := range map[string]func(*Verification, time.Time){
		"not known":  func(v *Verification, now time.Time) { v.Answer(Report{Outcome: pending}, terms, now) },
		"no answer":  func(v *Verification, now time.Time) { v.NoAnswer("down", terms, now) },
		"in review":  func(v *Verification, now time.Time) { v.Answer(report(onHold), terms, now) },
		"its expiry": func(v *Verification, now time.Time) { v.Answer(Report{Outcome: expired}, terms, now) },
	} {
		t.Run(name, func(t *testing.T) {
			v := start()
			ask(v, over)
			if v.Facts.Outcome != expired || v.NextAsk.Sub(t0) < 2*terms.Life {
				t.Fatalf("%+v next %v", v.Facts, v.NextAsk)
			}
			found := *v
			if found.Answer(report(paid), terms, found.NextAsk); found.Facts.Outcome != paid || !found.NextAsk.IsZero() {
				t.Fatalf("%+v next %v", found.Facts, found.NextAsk)
			}
			last := over
			for !v.NextAsk.IsZero() {
				if last = v.NextAsk; last.Sub(t0) > 2*Afterlife {
					t.Fatalf("asked at %v", last)
				}
				ask(v, last)
			}
			if last.Sub(t0) < Afterlife {
				t.Errorf("asked last after %v", last.Sub(t0))
			}
		})
	}
	for _, final := range []Outcome{failed, verificationv1.Outcome_OUTCOME_CANCELED} {
		v := start()
		if v.Answer(report(final), terms, over); !v.NextAsk.IsZero() {
			t.Errorf("%v: asked again at %v", final, v.NextAsk)
		}
	}
}

func TestAckOrRefund(t *testing.T) {
	sale := report(paid)
	sale.AckOrRefund = true
	t.Run("counts once our acknowledgement was given", func(t *testing.T) {
		v := start()
		v.CalledBack(callback("c1", ClaimPaid), 0, t0)
		if !v.Answer(sale, terms, t0) || v.Facts.Outcome != paid {
			t.Fatalf("%+v", v.Facts)
		}
		// Once more after the window, in case the acknowledgement never arrived.
		if v.NextAsk != t0.Add(terms.RefundWindow) {
			t.Fatalf("next %v", v.NextAsk)
		}
		after := v.NextAsk
		back := report(refunded)
		if !v.Answer(back, terms, after) || v.Facts.Outcome != refunded || !v.NextAsk.IsZero() {
			t.Fatalf("%+v next %v", v.Facts, v.NextAsk)
		}
	})
	t.Run("the acknowledgement may come after the answer", func(t *testing.T) {
		v := start()
		if v.Answer(sale, terms, t0); v.Facts.Outcome != pending {
			t.Fatalf("%+v", v.Facts)
		}
		// It makes us ask again, and the fresh answer counts, not the old one.
		if v.CalledBack(callback("c1", ClaimPaid), 0, t0); v.Facts.Outcome != pending || !v.AskDue(t0.Add(minGap)) {
			t.Fatalf("%+v next %v", v.Facts, v.NextAsk)
		}
		if v.Answer(sale, terms, t0.Add(minGap)); v.Facts.Outcome != paid {
			t.Fatalf("%+v", v.Facts)
		}
	})
	t.Run("a callback after the money went back pays nothing", func(t *testing.T) {
		v := start()
		v.Answer(sale, terms, t0)
		v.CalledBack(callback("c1", ClaimPaid), 0, t0)
		if v.Answer(report(refunded), terms, t0.Add(minGap)); v.Facts.Outcome != refunded {
			t.Fatalf("%+v", v.Facts)
		}
	})
	t.Run("another transaction's callback acknowledges nothing", func(t *testing.T) {
		v := start()
		f := callback("c1", ClaimPaid)
		f.TransactionId = "t0"
		v.CalledBack(f, 0, t0)
		if v.Answer(sale, terms, t0); v.Facts.Outcome != pending {
			t.Fatalf("%+v", v.Facts)
		}
	})
	t.Run("a part that went back doesn't save the look after the window", func(t *testing.T) {
		for name, first := range map[string]func(*Verification){
			"before the first answer": func(*Verification) {},
			"after it":                func(v *Verification) { v.Answer(sale, terms, t0) },
		} {
			v := start()
			v.CalledBack(callback("c1", ClaimPaid), 0, t0)
			first(v)
			part := callback("c2", "refunded")
			part.Refunded = &orderv1.Money{Minor: 400, Currency: "EUR"}
			v.CalledBack(part, 0, t0)
			v.Answer(sale, terms, t0.Add(minGap))
			if v.Facts.Outcome != refunded || v.Facts.Refunded.Minor != 400 || v.NextAsk != v.FirstPaid.Add(terms.RefundWindow) {
				t.Fatalf("%s: %+v next %v", name, v.Facts, v.NextAsk)
			}
			kept := *v
			if kept.Answer(sale, terms, v.NextAsk); kept.Facts.Refunded.Minor != 400 || !kept.NextAsk.IsZero() {
				t.Errorf("%s: %+v next %v", name, kept.Facts, kept.NextAsk)
			}
			if v.Answer(report(refunded), terms, v.NextAsk); v.Facts.Refunded != price || !v.NextAsk.IsZero() {
				t.Errorf("%s: %+v next %v", name, v.Facts, v.NextAsk)
			}
		}
	})
	t.Run("the look after the window is given up with the attempt's life", func(t *testing.T) {
		v, asked := start(), 0
		v.CalledBack(callback("c1", ClaimPaid), 0, t0)
		for v.Answer(sale, terms, t0); !v.NextAsk.IsZero(); asked++ {
			v.NoAnswer("down", terms, v.NextAsk)
		}
		if v.Facts.Outcome != paid || v.LastAsked.Sub(t0) < terms.Life || asked == 0 {
			t.Errorf("%+v, last asked after %v", v.Facts, v.LastAsked.Sub(t0))
		}
	})
	t.Run("without a callback it counts after the window (S4)", func(t *testing.T) {
		v := start()
		v.Answer(sale, terms, t0)
		for v.NextAsk.Before(t0.Add(terms.RefundWindow)) {
			now := v.NextAsk
			if v.Answer(sale, terms, now); v.Facts.Outcome != pending {
				t.Fatalf("paid at %v", now.Sub(t0))
			}
		}
		if v.NextAsk != t0.Add(terms.RefundWindow) {
			t.Fatalf("next %v", v.NextAsk.Sub(t0))
		}
		if !v.Answer(sale, terms, v.NextAsk) || v.Facts.Outcome != paid || !v.NextAsk.IsZero() {
			t.Fatalf("%+v next %v", v.Facts, v.NextAsk)
		}
	})
}

// TestOneClickIsToldOnceTheMoneyCounts, whichever of status and signed postback
// brings the token, and whenever.
func TestOneClickIsToldOnceTheMoneyCounts(t *testing.T) {
	told := func(v *Verification) string { return v.Fact(nil, Policy{}).GetSealedOneClickToken() }
	with, signed := report(paid), callback("c1", ClaimPaid)
	with.OneClick, signed.SealedOneClickToken = "status", "postback"
	t.Run("status", func(t *testing.T) {
		v := start()
		if !v.Answer(with, terms, t0) || told(v) != "status" || v.Revision != 1 {
			t.Fatalf("%q, revision %d", told(v), v.Revision)
		}
		if v.Answer(with, terms, t0.Add(time.Hour)) {
			t.Error("told twice")
		}
	})
	t.Run("postback first", func(t *testing.T) {
		v := start()
		v.CalledBack(signed, 0, t0)
		if told(v) != "" {
			t.Fatal("told of money that nobody confirmed")
		}
		if !v.Answer(report(paid), terms, t0) || told(v) != "postback" || v.Revision != 1 {
			t.Fatalf("%q, revision %d", told(v), v.Revision)
		}
	})
	t.Run("postback last", func(t *testing.T) {
		v := start()
		v.Answer(report(paid), terms, t0)
		v.CalledBack(signed, 0, t0.Add(time.Minute))
		if told(v) != "" || !v.AskDue(t0.Add(time.Minute)) {
			t.Fatalf("%q, next %v", told(v), v.NextAsk)
		}
		if !v.Answer(report(paid), terms, t0.Add(time.Minute)) || told(v) != "postback" {
			t.Fatalf("%q", told(v))
		}
	})
	for name, spoil := range map[string]func(*Report){
		"another's transaction": func(r *Report) { r.UsedBy = "pay_0" },
		"another reference":     func(r *Report) { r.Reference = "pay_2" },
		"another amount":        func(r *Report) { r.Amount.Minor++ },
		"not paid":              func(r *Report) { r.Outcome = pending },
	} {
		v, r := start(), with
		spoil(&r)
		if v.Answer(r, terms, t0); told(v) != "" {
			t.Errorf("%s: told %q", name, told(v))
		}
	}
	v, unsigned := start(), callback("c1", ClaimPaid)
	unsigned.Signed, unsigned.SealedOneClickToken = false, "forged"
	v.CalledBack(unsigned, 0, t0)
	if v.Answer(report(paid), terms, t0); told(v) != "" {
		t.Errorf("an unsigned callback's token: %q", told(v))
	}
}

func TestSignedRefundCallback(t *testing.T) { // S18
	v := start()
	v.Answer(report(paid), terms, t0)
	f := callback("c2", "refunded")
	f.Refunded = &orderv1.Money{Minor: 400, Currency: "EUR"}
	v.CalledBack(f, 0, t0.Add(time.Minute))
	v.CalledBack(f, 0, t0.Add(time.Minute)) // doubled: counts once
	if !v.AskDue(t0.Add(time.Minute)) {
		t.Fatal("the provider is not asked")
	}
	if !v.Answer(report(paid), terms, t0.Add(time.Minute)) || v.Facts.Outcome != refunded || v.Facts.Refunded.Minor != 400 {
		t.Fatalf("%+v", v.Facts)
	}
	if got := v.TakeCallbacks(); !slices.Equal(got, []string{"c2"}) {
		t.Fatalf("%v", got)
	}
	if !v.CalledBack(f, 0, t0.Add(time.Hour)) {
		t.Fatal("an answered callback is news")
	}
}

// TestL5ARefundCallbackCountsOnce, however many others came since it did.
func TestL5ARefundCallbackCountsOnce(t *testing.T) {
	v, now := start(), t0.Add(time.Minute)
	v.Answer(report(paid), terms, t0)
	back := callback("c0", "refunded")
	back.Refunded = &orderv1.Money{Minor: 100, Currency: "EUR"}
	v.CalledBack(back, 0, now)
	v.TakeCallbacks()
	for i := range 2 * keptAnswers {
		v.CalledBack(callback(fmt.Sprint("other", i), "other"), 0, now)
		v.TakeCallbacks()
	}
	if v.CalledBack(back, 0, now); v.GivenBack.Minor != 100 { // replayed
		t.Fatalf("%v given back", v.GivenBack)
	}
	again := callback("c1", "refunded")
	again.Refunded = back.GetRefunded()
	if v.CalledBack(again, 0, now); v.GivenBack.Minor != 200 {
		t.Fatalf("%v given back", v.GivenBack)
	}
}

// TestARefundOfMoneyInAnotherCurrency: the customer paid in dollars what was asked
// in euros; the merchant may have accepted that, and a part of it goes back.
func TestARefundOfMoneyInAnotherCurrency(t *testing.T) {
	v, r := start(), report(paid)
	r.Amount.Currency = "USD"
	v.Answer(r, terms, t0)
	back := callback("c2", "refunded")
	back.Refunded = &orderv1.Money{Minor: 333, Currency: "USD"}
	v.CalledBack(back, 0, t0.Add(time.Minute))
	if !v.Answer(r, terms, t0.Add(time.Minute)) || v.Facts.Refunded != (money.Amount{Minor: 333, Currency: "USD"}) || v.Facts.Outcome != onHold {
		t.Fatalf("%+v", v.Facts)
	}
}

// TestP4AnAnnouncedRefundIsFollowed: a provider that doesn't know the payment
// for a moment, or doesn't answer, right behind its own refund callback, is asked
// until it shows the money gone, and somebody is told if it never does.
func TestP4AnAnnouncedRefundIsFollowed(t *testing.T) {
	for name, ask := range map[string]func(*Verification, time.Time){
		"not found": func(v *Verification, now time.Time) { v.Answer(Report{Outcome: pending}, terms, now) },
		"no answer": func(v *Verification, now time.Time) { v.NoAnswer("down", terms, now) },
	} {
		t.Run(name, func(t *testing.T) {
			v, now := start(), t0.Add(time.Hour)
			v.Answer(report(paid), terms, t0)
			back := callback("c2", "refunded")
			back.Refunded = &orderv1.Money{Minor: price.Minor, Currency: price.Currency}
			v.CalledBack(back, 0, now)
			if ask(v, now); !v.NextAsk.After(now) {
				t.Fatalf("asked next at %v", v.NextAsk)
			}
			told := *v
			if told.Answer(report(refunded), terms, v.NextAsk); told.Facts.Outcome != refunded || !told.NextAsk.IsZero() {
				t.Fatalf("%+v next %v", told.Facts, told.NextAsk)
			}
			if ask(v, now.Add(terms.Life+time.Hour)); !v.NextAsk.IsZero() || v.Facts.Outcome != paid {
				t.Fatalf("%+v next %v", v.Facts, v.NextAsk)
			}
			if got := v.Attention(); got != verificationv1.Attention_ATTENTION_LIFE_OVER {
				t.Errorf("attention %v", got)
			}
		})
	}
}

func TestP4NeverGivesUp(t *testing.T) {
	v, now, asked := start(), t0, 0
	for !v.NextAsk.IsZero() {
		if !v.NextAsk.After(now) {
			t.Fatalf("hot loop at %v", now.Sub(t0))
		}
		now = v.NextAsk
		if asked++; asked%3 == 0 {
			v.NoAnswer("timeout", terms, now)
		} else {
			v.Answer(Report{Outcome: pending}, terms, now)
		}
		if v.TellDue(now) {
			v.ToldAgain(now)
		}
	}
	if now.Sub(t0) < Afterlife || v.Facts.Outcome != verificationv1.Outcome_OUTCOME_EXPIRED || v.Revision != 1 {
		t.Fatalf("ended after %v with %+v", now.Sub(t0), v.Facts)
	}
	// The order is told until it answers.
	for range 10 {
		due := NextDue(v)
		if !due.After(now) || !v.TellDue(due) {
			t.Fatalf("due %v", due)
		}
		now = due
		v.ToldAgain(now)
	}
	if !v.OrderKnows(1) || v.OrderKnows(1) || !NextDue(v).IsZero() {
		t.Fatal("acknowledged, but something is due")
	}
}

func TestPromptsAreSpaced(t *testing.T) {
	v := start()
	v.Prompt(t0)
	v.Answer(Report{Outcome: pending}, terms, t0)
	if v.Prompt(t0); v.NextAsk != t0.Add(minGap) {
		t.Fatalf("next %v", v.NextAsk.Sub(t0))
	}
}

// TestFactsInAnyOrder: any interleaving of answers, callbacks and returns ends
// where the strongest answer says, never takes a stronger fact back, and
// numbers every change.
func TestFactsInAnyOrder(t *testing.T) {
	outcomes := []Outcome{pending, failed, onHold, paid, refunded, chargeback}
	rapid.Check(t, func(t *rapid.T) {
		v, now, strongest := start(), t0, 0
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "pause")) * time.Second)
			before, revision := rank(v.Facts), v.Revision
			changed := false
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				v.CalledBack(callback(rapid.StringN(1, 2, 2).Draw(t, "id"), ClaimPaid), 0, now)
			case 1:
				v.Returned("", now)
			case 2:
				changed = v.NoAnswer("down", terms, now)
			default:
				o := rapid.SampledFrom(outcomes).Draw(t, "outcome")
				changed = v.Answer(report(o), terms, now)
				strongest = max(strongest, rank(Facts{Outcome: o}))
			}
			if rank(v.Facts) < before {
				t.Fatalf("%v took back a stronger fact", v.Facts.Outcome)
			}
			if changed != (v.Revision == revision+1) {
				t.Fatalf("changed %v, revision %d → %d", changed, revision, v.Revision)
			}
			if rank(v.Facts) <= 2 && v.NextAsk.IsZero() {
				t.Fatalf("%v and nobody asks", v.Facts.Outcome)
			}
		}
		if rank(v.Facts) != strongest {
			t.Fatalf("ended %v, the strongest answer has rank %d", v.Facts.Outcome, strongest)
		}
	})
}

// TestTheFinalAnswerDecides: the provider's truth moves on (tried, failed, tried
// again, paid, partly given back, …) while we ask at any moments, get answers or
// none, and are prompted at random. Once its final state was told, everything is
// as if only that had been told.
func TestTheFinalAnswerDecides(t *testing.T) {
	eur := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }
	part := Report{Outcome: refunded, Reference: "pay_1", TransactionID: "t1", Captured: price, Refunded: eur(300), Amount: eur(300)}
	whole := Report{Outcome: refunded, Reference: "pay_1", TransactionID: "t1", Captured: price, Refunded: price, Amount: price}
	wrong := report(paid)
	wrong.Amount = eur(998)
	lives := map[string][]Report{
		"paid":              {{Outcome: pending}, report(failed), {Outcome: pending}, report(paid)},
		"reviewed":          {{Outcome: pending}, report(onHold), report(paid)},
		"rejected":          {{Outcome: pending}, report(onHold), report(failed)},
		"captured":          {report(verificationv1.Outcome_OUTCOME_AUTHORIZED), report(paid)},
		"freed":             {report(verificationv1.Outcome_OUTCOME_AUTHORIZED), report(verificationv1.Outcome_OUTCOME_CANCELED)},
		"partly given back": {report(paid), part},
		"given back":        {report(paid), part, whole},
		"charged back":      {report(paid), part, report(chargeback)},
		"wrong amount":      {{Outcome: pending}, wrong},
		"wrong, given back": {wrong, whole},
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(lives))).Draw(t, "life")
		life := lives[name]
		v, now, at, finals := start(), t0, 0, 0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "pause")) * time.Second)
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				v.CalledBack(callback(rapid.StringN(1, 2, 2).Draw(t, "id"), ClaimPaid), 0, now)
			case 1:
				v.Returned("", now)
			case 2:
				v.NoAnswer("down", terms, now)
			case 3:
				at = min(at+1, len(life)-1)
			default:
				v.Answer(life[at], terms, now)
				if at == len(life)-1 {
					finals++
				}
			}
		}
		if finals == 0 {
			v.Answer(life[len(life)-1], terms, now)
		}
		only := start()
		only.Answer(life[len(life)-1], terms, now)
		got, want := v.Facts, only.Facts
		got.Authorized, want.Authorized = money.Amount{}, money.Amount{} // it was reserved before, or never seen so
		if got.Captured.Currency == "" || want.Captured.Currency == "" {
			got.Captured, want.Captured = money.Amount{}, money.Amount{}
		}
		if name == "wrong, given back" || name == "charged back" {
			got.Captured, want.Captured, got.Refunded, want.Refunded = money.Amount{}, money.Amount{}, money.Amount{}, money.Amount{}
		}
		if got != want {
			t.Fatalf("%s: %+v, want %+v", name, got, want)
		}
	})
}
