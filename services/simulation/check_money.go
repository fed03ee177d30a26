package simulation

import (
	"slices"

	"quittance/pkg/event"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// sales are the provider's, of the order's attempts.
func (w *world) sales(b *bought) []*sale {
	var out []*sale
	for _, reference := range b.attempts {
		if s := w.provider.sales[reference]; s != nil && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// checkMoney is P1: nothing for nothing, and no captured money without a trace.
func (w *world) checkMoney(e *ending) {
	sales := w.sales(e.bought)
	exact := slices.ContainsFunc(sales, func(s *sale) bool { return s.took() && s.ordered == e.total })
	early := slices.ContainsFunc(sales, func(s *sale) bool {
		return s.reserved && s.account == earlyID && s.ordered == e.total
	})
	if e.given() && !e.plan.Prepaid && !exact && !early && !e.accepted {
		w.fail("P1: order %d got something, and the provider's book has no sale of %s for it", e.n, e.total)
	}
	if e.counts() && !e.plan.Prepaid && !exact && !e.accepted {
		w.fail("P1: order %d counts as paid, and the provider's book has no sale of %s for it", e.n, e.total)
	}
	for _, s := range sales {
		if s.approved.IsZero() || s.account == bankID && !s.acked {
			continue // nobody took money, or nobody told us
		}
		if why := w.trace(e, s); why != "" {
			w.fail("P1: order %d is %v (paid by this attempt: %v), but the provider says of its sale: %s, took %s of %s, gave back %s: %s",
				e.n, e.order.GetPaymentState(), e.order.GetPaidAttemptId() == s.reference, s.word, s.captured, s.ordered, s.returned, why)
		}
	}
}

// trace says what is wrong with the order in view of a sale that took money.
func (w *world) trace(e *ending, s *sale) string {
	p, state := w.provider, e.order.GetPaymentState()
	if e.order.GetPaidAttemptId() == s.reference {
		back, told, last := int64(0), false, false // last: were we told of the latest return?
		for _, n := range s.returns {
			if last = p.told(s, n); last {
				back, told = back+n.amount.Minor, true
			}
		}
		over := state == refunded || state == chargedBack
		switch {
		case state == onHold && e.order.GetHold().GetAttemptId() == s.reference:
		case s.keeps() && !told && state == partly && s.returned.Minor > 0 && e.order.GetRefunded().GetMinor() <= w.returned(e): // a postback may be recorded, and its answer lost
		case s.keeps() && !told && state != paid && s.account != bankID:
			return "it keeps the money"
		case s.keeps() && told && state != partly:
			return "a part of it went back, and we were told"
		case s.keeps() && told && s.captured.Currency == e.total.Currency && (e.order.GetRefunded().GetMinor() < back || e.order.GetRefunded().GetMinor() > w.returned(e)):
			return "the part that went back is another one"
		case !s.keeps() && !over && (last || !s.acked && s.method == "CC"):
			return "all of it went back, and we were told, or should have asked"
		case !s.keeps() && !over && told && (state != partly || e.order.GetRefunded().GetMinor() < back): // the rest was never told
			return "a part went back first, and we were told"
		}
		return ""
	}
	switch {
	case e.has(event.PaymentDuplicate), state == onHold:
	case !s.keeps() && (e.has(event.PaymentFailed) || state != unpaid): // nothing was lost, and nothing is owed
	case slices.ContainsFunc(e.order.GetOperations(), func(op *orderv1.Operation) bool { return op.GetAttemptId() == s.reference }): // it is on the list
	case (s.lies != nil || p.usurped(s)) && (state != unpaid || e.has(event.PaymentFailed)): // the transaction paid another attempt: here it brought no money
	default:
		return "nothing shows what became of it"
	}
	return ""
}

// returned is how much of all the order's sales went back, in its currency.
func (w *world) returned(e *ending) (minor int64) {
	for _, s := range w.sales(e.bought) {
		if s.returned.Currency == e.total.Currency {
			minor += s.returned.Minor
		}
	}
	return minor
}

// checkTransactions is P1: one transaction of the provider pays one order.
func (w *world) checkTransactions(endings []*ending) {
	pays := map[string]int{}
	for _, e := range endings {
		s := w.provider.sales[e.order.GetPaidAttemptId()]
		if s == nil {
			continue
		}
		if other, used := pays[s.transaction()]; used {
			w.fail("P1: one transaction pays orders %d and %d", other, e.n)
		}
		pays[s.transaction()] = e.n
	}
}
