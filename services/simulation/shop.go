package simulation

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/money"
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
	// accepted: the merchant took money as it was, or tried to.
	accepted bool
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
		if plan.Tabs {
			w.spawn(func() { s.visit(b, o, i, v) })
		} else {
			s.visit(b, o, i, v)
		}
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
	address, attempt := s.begin(b, o, i, v)
	if address == "" && attempt == "" {
		w.note("customer %d finds no way to pay", b.n)
		return
	}
	if v.Account == bankID {
		sale := w.provider.sale(attempt, v.Account, b.total)
		s.tried(b, sale)
		w.rest(v.Think)
		s.transfer(b, sale, v)
		return
	}
	sale, err := w.provider.enter(address, v.Account)
	if err != nil {
		w.fail("P1: the provider refuses the order page of order %d: %v", b.n, err)
		return
	}
	s.tried(b, sale)
	if v.Forged {
		s.forge(sale)
	}
	w.rest(v.Think)
	s.decide(b, sale, v)
}

func (s *shop) tried(b *bought, sale *sale) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.attempts = append(b.attempts, sale.reference)
}

// begin starts an attempt and returns where the customer is sent, empty for
// nowhere, and what the merchant is told of the attempt.
func (s *shop) begin(b *bought, o *orderv1.Order, i int, v Visit) (address, attempt string) {
	w := s.w
	key := id.Derived("key", b.id, fmt.Sprint(i))
	w.insist(12, func() bool {
		if v.ByPage && v.Account != bankID {
			u, err := url.Parse(o.GetPayUrl())
			if err != nil {
				w.fail("P10: pay URL: %v", err)
				return true
			}
			form := url.Values{"method": {v.Account}, "key": {formKey(b.n, i)}}.Encode()
			got := w.request(w.nodes[paymentName], http.MethodPost, u.Path, form)
			address = got.redirected()
			if to, err := url.Parse(address); err == nil && to.Host == "" {
				address = "" // to another of our own pages: there is nothing to pay
			}
			return got.status != 0 && got.status < 500
		}
		a, err := paymentv1.NewPaymentServiceClient(w.merchant(paymentName)).StartPayment(w.ctx, &paymentv1.StartPaymentRequest{
			IdempotencyKey: key, OrderId: b.id, AccountId: v.Account,
		})
		address, attempt = a.GetRedirect().GetUrl(), a.GetId()
		kind := fault.KindOf(err)
		return err == nil || kind != fault.KindUnavailable && kind != fault.KindInternal
	})
	return address, attempt
}

// formKey has the form of the tokens that the pay page gives.
func formKey(n, i int) string { return fmt.Sprintf("%043d", n*100+i) }
