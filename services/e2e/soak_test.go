package e2e

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"quittance/pkg/id"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// Flags of the soak; `make soak` uses them.
var (
	soakOrders  = flag.Int("soak", 30, "how many orders TestSoak makes")
	soakSeed    = flag.Uint64("soakseed", 1, "seed of the faults and of what customers do in TestSoak")
	soakPercent = flag.Int("soakpercent", 30, "how many payments of a hundred have at least one fault in TestSoak")
)

// soakPatience is how long the last of n orders may take behind the last customer:
// a provider whose status API fails so often is asked ever more slowly, and no
// account more than status_rate times a second.
func soakPatience(n int) time.Duration { return 2*time.Minute + time.Duration(n)*200*time.Millisecond }

// booked is what the providers' books say of an order's payments.
type booked struct {
	// most is the most that one payment took or reserved, net what is left of all.
	most, net int64
	attempts  []string
	// quiet: no provider has anything left to do.
	quiet bool
}

// TestSoak has orders paid by every provider, with faults drawn from a seed. In
// the end every order agrees with the providers' books: nothing is delivered
// without money that was taken (or reserved, where that is enough), and no money
// is kept without delivery or a visible reason.
func TestSoak(t *testing.T) {
	w := start(t, setup{
		config:  func(c *standalone.Config) { c.ReturnWait = time.Second },
		seeding: func(s *standalone.Seeding) { s.Ask, s.RefundWindow = "1s,1s,2s,5s,15s,30s", "8s" },
	})
	// Faults are chosen by customers, so that a seed repeats them. What goes wrong
	// before a customer sees the vendor's page, when a payment is created, is
	// drawn by the vendor for the payment's reference, which is new every time.
	if err := w.sandbox.Unleash(t.Context(), client.Resurs, *soakSeed, *soakPercent/3); err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d: %d orders, %d %% of the payments with faults", *soakSeed, *soakOrders, *soakPercent)
	begun := time.Now()
	orders := w.soak(t)
	t.Logf("the last customer left after %v", time.Since(begun).Round(time.Millisecond))
	// First each order must agree at some time, then all of them at once.
	owners, left := map[string]string{}, orders
	said := time.Now()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(slowly(t.Context(), soakPatience(len(orders)), func() error {
		books, err := w.books(t.Context(), owners)
		if err != nil {
			return err
		}
		found := w.differing(t.Context(), left, books, map[string]int{})
		left, err = found.orders(), found.err()
		if time.Since(said) > 15*time.Second {
			t.Logf("%d don't agree yet after %v: %.600v", len(left), time.Since(begun).Round(time.Second), err)
			said = time.Now()
		}
		return err
	}))
	t.Logf("each has agreed after %v", time.Since(begun).Round(time.Millisecond))
	summary := map[string]int{}
	must(slowly(t.Context(), soakPatience(len(orders)), func() error {
		books, err := w.books(t.Context(), owners)
		if err != nil {
			return err
		}
		clear(summary)
		return w.differing(t.Context(), orders, books, summary).err()
	}))
	t.Logf("all agree after %v: %v", time.Since(begun).Round(time.Millisecond), summary)
}

// slowly repeats a check of everything until it is content, and returns its last
// error if it never is. It leaves the machine to the system in between.
func slowly(ctx context.Context, within time.Duration, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		begun := time.Now()
		err := check()
		if err == nil {
			return nil
		}
		timer := time.NewTimer(500*time.Millisecond + 4*time.Since(begun))
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("not within %v: %w", within, err)
		case <-timer.C:
		}
	}
}

// soak has customers buy and pay, eight at a time, and returns their orders.
func (w *world) soak(t *testing.T) []string {
	orders, places := make([]string, *soakOrders), make(chan struct{}, 8)
	var wg sync.WaitGroup
	for i := range orders {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			dice := rand.New(rand.NewPCG(*soakSeed, uint64(i)))
			// The pools have a hundred keys; the handbook is mailed.
			o, err := w.orders.CreateOrder(t.Context(), &orderv1.CreateOrderRequest{
				IdempotencyKey: id.New("key"), Currency: "EUR", Customer: &orderv1.Customer{Email: fmt.Sprintf("soak-%d@example.com", i), Name: "Ada"},
				Items: []*orderv1.OrderItem{item("handbook", 1+dice.Int64N(3))}, ReturnUrl: w.shop + "/shop/return?shop=kept",
			})
			if err != nil {
				t.Error(err)
				return
			}
			orders[i] = o.GetId()
			w.customer(t, o, fmt.Sprint("customer ", i), dice)
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return orders
}

// customer pays, or gives up, or is declined and perhaps tries once more.
func (w *world) customer(t *testing.T, o *orderv1.Order, name string, dice *rand.Rand) {
	accounts := []string{standalone.DemoAccount, standalone.DemoWallet, standalone.DemoInvoice}
	for try := range 2 {
		action := "pay"
		if n := dice.IntN(10); n == 0 {
			action = "decline"
		} else if n == 1 {
			action = "cancel"
		}
		visit, err := client.PayLikeABrowser(t.Context(), o.GetPayUrl(), client.Pay{
			Method: accounts[dice.IntN(len(accounts))], Action: action, Patience: 5 * time.Second,
			Fields: client.DrawFaults(*soakSeed, *soakPercent, fmt.Sprint(name, ", try ", try)),
		})
		if err != nil {
			t.Errorf("pay %s: %v; visited %v", o.GetId(), err, visit.URLs)
			return
		}
		if action == "pay" || dice.IntN(2) == 0 {
			return
		}
	}
}

// differing gives what of the orders doesn't agree with the books; summary counts
// the states.
func (w *world) differing(ctx context.Context, orders []string, books map[string]*booked, summary map[string]int) (found findings) {
	for _, orderID := range orders {
		o, err := w.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: orderID})
		if err != nil {
			found = append(found, finding{lost, orderID, err.Error(), false})
			continue
		}
		summary[fmt.Sprintf("%v, %v", o.GetPaymentState(), o.GetDeliveryState())]++
		if kind, text := w.disagrees(ctx, o, books[orderID]); text != "" {
			found = append(found, finding{kind, orderID, text, false})
		}
	}
	return found
}

// books reads all providers' books and puts payments to their orders;
// owners remembers whose they are.
func (w *world) books(ctx context.Context, owners map[string]string) (map[string]*booked, error) {
	books := map[string]*booked{}
	of := func(reference string) (*booked, error) {
		owner, known := owners[reference]
		if !known {
			a, err := w.payments.GetAttempt(ctx, &paymentv1.GetAttemptRequest{AttemptId: reference})
			if err != nil {
				return nil, fmt.Errorf("attempt %s of a book: %w", reference, err)
			}
			owner = a.GetOrderId()
			owners[reference] = owner
		}
		b, ok := books[owner]
		if !ok {
			b = &booked{quiet: true}
			books[owner] = b
		}
		b.attempts = append(b.attempts, reference)
		return b, nil
	}
	cards, err := w.sandbox.Book(ctx)
	if err != nil {
		return nil, err
	}
	for _, sale := range cards.Sales {
		b, err := of(sale.ReferenceID)
		if err != nil {
			return nil, err
		}
		b.most, b.net = max(b.most, sale.Captured.Minor), b.net+sale.Captured.Minor-sale.Refunded.Minor
		told := sale.PaidOn.IsZero() || sale.Acknowledged || sale.Problem != ""
		b.quiet = b.quiet && told && sale.RefundOn.IsZero() && sale.State != "REVIEW"
	}
	for _, vendor := range others {
		list, err := w.sandbox.Payments(ctx, vendor)
		if err != nil {
			return nil, err
		}
		for _, p := range list.Payments {
			b, err := of(p.Reference)
			if err != nil {
				return nil, err
			}
			taken := p.Captured.Minor + p.Authorized.Minor
			b.most, b.net = max(b.most, taken), b.net+taken-p.Refunded.Minor
			b.quiet = b.quiet && len(p.Tasks) == 0
		}
	}
	return books, nil
}

// disagrees says in what an order and the books differ; nothing if they don't.
func (w *world) disagrees(ctx context.Context, o *orderv1.Order, b *booked) (kind, text string) {
	if b == nil {
		b = &booked{quiet: true}
	}
	total, goods := o.GetTotal().GetMinor(), o.GetDeliveryState() != orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED
	switch {
	case !b.quiet:
		return lost, "its provider is not done"
	case goods && b.most != total:
		return wrongly, fmt.Sprintf("P1: delivered for %d of %d", b.most, total)
	case goods || b.net == 0, o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
		return "", ""
	}
	for _, a := range b.attempts { // money that nobody can be asked about is visible there
		v, err := w.verifications.GetVerification(ctx, &verificationv1.GetVerificationRequest{AttemptId: a})
		if err == nil && strings.Contains(v.GetDetail(), "uniqueReference") && v.GetNextAskTime() == nil {
			return "", ""
		}
	}
	return lost, fmt.Sprintf("P4: %v, %v, but the providers keep %d (attempts %v)", o.GetPaymentState(), o.GetDeliveryState(), b.net, b.attempts)
}
