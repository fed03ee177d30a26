package simulation

import (
	"net/http"
	"time"

	"quittance/pkg/fault"
	"quittance/pkg/money"
	"quittance/pkg/provider/flexpay"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
)

// decide is what the customer does on the provider's page.
func (s *shop) decide(b *bought, sale *sale, v Visit) {
	w, p := s.w, s.w.provider
	amount := sale.ordered
	switch v.Decision {
	case Abandon:
		w.note("customer %d abandons the provider's page", b.n)
		return
	case Decline, DeclinePay:
		w.note("the payment of order %d is declined", b.n)
		p.decline(sale)
		s.comeBack(b, sale, v, "/declined")
		if v.Decision == Decline {
			return
		}
		w.rest(between(w.ask("decline"), time.Second, 2*time.Minute))
	case PayLess:
		amount.Minor -= 1 + amount.Minor/3
	case PayCurrency:
		amount.Currency = "USD"
	case Pay, ReusePayment, ReviewAccept, ReviewReject, ReserveTake, ReserveVoid:
	}
	if v.Comeback == Early {
		s.comeBack(b, sale, v, "")
	}
	s.hand(b, sale, v, amount)
	switch v.Comeback {
	case Twice:
		w.spawn(func() { s.comeBack(b, sale, v, "") })
		s.comeBack(b, sale, v, "")
	case Usual, ByForgery:
		s.comeBack(b, sale, v, "")
	case Early, Never:
	}
}

// hand is what becomes of the customer's money.
func (s *shop) hand(b *bought, sale *sale, v Visit, amount money.Amount) {
	w, p := s.w, s.w.provider
	later := func(word string, end func()) {
		p.open(sale, v, word)
		w.note("customer %d pays %s, which is %s for %v (%s)", b.n, amount, word, v.Open, v.Decision)
		w.count("a payment is first " + word)
		w.spawn(func() {
			w.rest(v.Open)
			w.note("provider: the payment of order %d is decided (%s)", b.n, v.Decision)
			end()
		})
	}
	switch v.Decision {
	case ReviewAccept:
		later(wordFrozen, func() { p.approve(sale, v, amount) })
	case ReviewReject:
		later(wordFrozen, func() { p.decline(sale) })
	case ReserveTake:
		later(wordReserved, func() { p.approve(sale, v, amount) })
	case ReserveVoid:
		later(wordReserved, func() { p.void(sale) })
	case Pay, Decline, DeclinePay, Abandon, PayLess, PayCurrency, ReusePayment:
		if p.approve(sale, v, amount) {
			w.note("customer %d pays %s of %s by %s (%s)", b.n, amount, sale.ordered, v.Method, v.Decision)
		}
	}
}

// comeBack is the browser's return.
func (s *shop) comeBack(b *bought, sale *sale, v Visit, path string) {
	w := s.w
	query := ""
	if path == "" {
		params := flexpay.Params{"saleID": sale.id, "referenceID": sale.reference, "shopID": shops[sale.account], "priceAmount": sale.ordered.Decimal()}
		query = "?" + flexpay.SignData(signatureKey, params).Query()
	}
	if v.Comeback == ByForgery {
		query = "?paymentResult=OK&fulfillmentStatus=success&signature=0000"
	}
	w.rest(between(w.ask("return"), 10*time.Millisecond, 2*time.Second))
	got := w.request(w.nodes[paymentName], http.MethodGet, "/return/"+sale.reference+path+query, "")
	w.note("browser of order %d is back: %d", b.n, got.status)
}

// forge sends a postback that the provider never signed.
func (s *shop) forge(sale *sale) {
	params := flexpay.SignData("another key", flexpay.Params{
		"saleID": "1", "transactionID": "2", "referenceID": sale.reference, "shopID": shops[sale.account], "type": "purchase",
		"priceAmount": sale.ordered.Decimal(), "priceCurrency": sale.ordered.Currency, "paymentMethod": "CC",
	})
	got := s.w.request(s.w.nodes[callbackName], http.MethodGet, "/callbacks/flexpay/"+sale.account+"?"+params.Query(), "")
	s.w.note("forged postback answered %d", got.status)
	if got.body == "OK" {
		s.w.fail("P2: a forged postback was acknowledged")
	}
}

// transfer is a payment to the merchant's bank account. The merchant sees it
// there and says so.
func (s *shop) transfer(b *bought, sale *sale, v Visit) {
	w := s.w
	amount := sale.ordered
	switch v.Decision {
	case Abandon, Decline:
		w.note("customer %d transfers nothing", b.n)
		return
	case PayLess:
		amount.Minor -= 1 + amount.Minor/3
	case PayCurrency:
		amount.Currency = "USD"
	case Pay, DeclinePay, ReusePayment, ReviewAccept, ReviewReject, ReserveTake, ReserveVoid:
	}
	w.rest(v.Open)
	w.provider.change(sale, func() {
		w.provider.number(sale)
		sale.word, sale.captured, sale.approved = wordApproved, amount, time.Now()
	})
	w.count("a transfer arrives at the merchant's bank")
	req := &paymentv1.ConfirmOfflineRequest{
		IdempotencyKey: "seen-" + sale.id, AttemptId: sale.reference, TransactionId: sale.id,
		Amount: &orderv1.Money{Minor: amount.Minor, Currency: amount.Currency},
	}
	done := w.insist(60, func() bool {
		_, err := paymentv1.NewPaymentServiceClient(w.merchant(paymentName)).ConfirmOffline(w.ctx, req)
		if kind := fault.KindOf(err); err != nil && kind != fault.KindUnavailable && kind != fault.KindInternal {
			w.fail("P10: the transfer for order %d is refused: %v", b.n, err)
		}
		return err == nil
	})
	w.provider.change(sale, func() { sale.acked = done })
	w.note("the merchant confirms a transfer of %s of %s for order %d: %v", amount, sale.ordered, b.n, done)
}

// payLate pays an order that has expired, on the provider's page where its
// customer has been before.
func (s *shop) payLate(b *bought) {
	w := s.w
	w.rest(between(w.ask("late"), 0, lateLength/2))
	for _, reference := range b.attempts {
		sale := w.provider.sales[reference]
		if sale.account == bankID {
			s.transfer(b, sale, Visit{Decision: Pay})
		} else {
			s.decide(b, sale, Visit{Decision: Pay, Method: "IDEAL", Comeback: Usual})
		}
		w.count("an expired order is paid")
	}
}
