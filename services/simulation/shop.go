package simulation

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/money"
	"quittance/pkg/provider/flexpay"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
)

// shop is the merchant's storefront, with the orders that were acknowledged to it.
type shop struct {
	w      *world
	mu     sync.Mutex
	orders []*bought
	// doubtful were never acknowledged; they may exist all the same.
	doubtful []*bought
}

// bought is an order as its customer knows it.
type bought struct {
	n     int
	id    string
	email string
	plan  OrderPlan
	total money.Amount
	// attempts are the references under which the provider may have a sale.
	attempts []string
}

// buy lives one customer.
func (s *shop) buy(n int, plan OrderPlan) {
	w := s.w
	w.rest(plan.At)
	email := fmt.Sprintf("customer%d@example.com", n)
	req := &orderv1.CreateOrderRequest{
		IdempotencyKey: fmt.Sprintf("order-%d", n), Currency: "EUR", Prepaid: plan.Prepaid,
		Customer: &orderv1.Customer{Email: email, Name: "Ada"}, ReturnUrl: "https://shop.sim.example/back",
	}
	for _, it := range plan.Items {
		req.Items = append(req.Items, &orderv1.OrderItem{ProductId: it.Product, Quantity: it.Quantity})
	}
	orders := orderv1.NewOrderServiceClient(w.merchant(orderName))
	var o *orderv1.Order
	if !w.insist(30, func() (ok bool) {
		var err error
		o, err = orders.CreateOrder(w.ctx, req)
		if err != nil && fault.KindOf(err) != fault.KindUnavailable && fault.KindOf(err) != fault.KindInternal {
			w.fail("P10: order %d is refused: %v", n, err)
		}
		return err == nil
	}) {
		w.note("customer %d gives up ordering", n)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.doubtful = append(s.doubtful, &bought{n: n, id: id.Derived("ord", merchantID, req.GetIdempotencyKey()), email: email, plan: plan})
		return
	}
	w.note("order %d is acknowledged: %d.%02d EUR, prepaid: %v", n, o.GetTotal().GetMinor()/100, o.GetTotal().GetMinor()%100, plan.Prepaid)
	b := &bought{n: n, id: o.GetId(), email: email, plan: plan, total: money.Amount{Minor: o.GetTotal().GetMinor(), Currency: o.GetTotal().GetCurrency()}}
	s.mu.Lock()
	s.orders = append(s.orders, b)
	s.mu.Unlock()
	if plan.CancelAfter > 0 {
		w.spawn(func() { s.cancel(b) })
	}
	for i, v := range plan.Visits {
		s.visit(b, o, i, v)
	}
}

func (s *shop) cancel(b *bought) {
	s.w.rest(b.plan.CancelAfter)
	_, err := orderv1.NewOrderServiceClient(s.w.merchant(orderName)).CancelOrder(s.w.ctx, &orderv1.CancelOrderRequest{OrderId: b.id})
	s.w.note("order %d is canceled: %v", b.n, err == nil)
}

// visit is one payment attempt.
func (s *shop) visit(b *bought, o *orderv1.Order, i int, v Visit) {
	w := s.w
	w.rest(v.After)
	address := s.begin(b, o, i, v)
	if address == "" {
		w.note("customer %d finds no way to pay", b.n)
		return
	}
	sale, err := w.provider.enter(address)
	if err != nil {
		w.fail("P1: the provider refuses the order page of order %d: %v", b.n, err)
		return
	}
	b.attempts = append(b.attempts, sale.reference)
	if v.Forged {
		s.forge(sale)
	}
	w.rest(v.Think)
	s.decide(b, sale, v)
}

// begin starts an attempt and returns where the customer is sent, empty for nowhere.
func (s *shop) begin(b *bought, o *orderv1.Order, i int, v Visit) (address string) {
	w := s.w
	key := id.Derived("key", b.id, fmt.Sprint(i))
	w.insist(12, func() bool {
		if v.ByPage {
			u, err := url.Parse(o.GetPayUrl())
			if err != nil {
				w.fail("P10: pay URL: %v", err)
				return true
			}
			form := url.Values{"method": {accountID}, "key": {formKey(b.n, i)}}.Encode()
			got := w.request(w.nodes[paymentName], http.MethodPost, u.Path, form)
			address = got.redirected()
			if to, err := url.Parse(address); err == nil && to.Host == "" {
				address = "" // to another of our own pages: there is nothing to pay
			}
			return got.status != 0 && got.status < 500
		}
		a, err := paymentv1.NewPaymentServiceClient(w.merchant(paymentName)).StartPayment(w.ctx, &paymentv1.StartPaymentRequest{
			IdempotencyKey: key, OrderId: b.id, AccountId: accountID,
		})
		address = a.GetRedirect().GetUrl()
		kind := fault.KindOf(err)
		return err == nil || kind != fault.KindUnavailable && kind != fault.KindInternal
	})
	return address
}

// formKey has the form of the tokens that the pay page gives.
func formKey(n, i int) string { return fmt.Sprintf("%043d", n*100+i) }

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
	case Pay, ReusePayment:
	}
	if v.Comeback == Early {
		s.comeBack(b, sale, v, "")
	}
	if p.approve(sale, v, amount) {
		w.note("customer %d pays %s of %s by %s (%s)", b.n, amount, sale.ordered, v.Method, v.Decision)
	}
	switch v.Comeback {
	case Twice:
		w.spawn(func() { s.comeBack(b, sale, v, "") })
		s.comeBack(b, sale, v, "")
	case Usual, ByForgery:
		s.comeBack(b, sale, v, "")
	case Early, Never:
	}
}

// comeBack is the browser's return.
func (s *shop) comeBack(b *bought, sale *sale, v Visit, path string) {
	w := s.w
	query := ""
	if path == "" {
		params := flexpay.Params{"saleID": sale.id, "referenceID": sale.reference, "shopID": shopID, "priceAmount": sale.ordered.Decimal()}
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
		"saleID": "1", "transactionID": "2", "referenceID": sale.reference, "shopID": shopID, "type": "purchase",
		"priceAmount": sale.ordered.Decimal(), "priceCurrency": sale.ordered.Currency, "paymentMethod": "CC",
	})
	got := s.w.request(s.w.nodes[callbackName], http.MethodGet, "/callbacks/flexpay/"+accountID+"?"+params.Query(), "")
	s.w.note("forged postback answered %d", got.status)
	if got.body == "OK" {
		s.w.fail("P2: a forged postback was acknowledged")
	}
}
