package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quittance/pkg/id"
	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// TestP3DeliveryKilled: the delivery service is killed (SIGKILL) at random moments
// while paid orders of one to three keys arrive. In the end the keys handed out are
// as many as the units paid, none twice, none missing, and each customer has mails
// with exactly the order's keys, at least one. QUITTANCE_TEST_DELIVERY_KILLS and
// QUITTANCE_TEST_DELIVERY_ORDERS set how much, QUITTANCE_TEST_SEED the moments.
func TestP3DeliveryKilled(t *testing.T) {
	kills, orders := setting(t, "QUITTANCE_TEST_DELIVERY_KILLS", 6), setting(t, "QUITTANCE_TEST_DELIVERY_ORDERS", 30)
	seed := uint64(setting(t, "QUITTANCE_TEST_SEED", int(time.Now().UnixNano()%1_000_000)))
	t.Logf("%d kills, %d orders, seed %d", kills, orders, seed)
	w := startProcesses(t, config(""), setup{})
	product := w.sell(&orderv1.Product{DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL})
	units, all := 0, []string{}
	for n := range orders {
		units += 1 + n%3
	}
	for i := range units + 50 {
		all = append(all, fmt.Sprintf("KILL-%05d", i))
	}
	w.fill(product, "KILL-FIRST") // known
	for part := range slices.Chunk(all, 1000) {
		w.fill(product, part...)
	}

	killed := make(chan struct{})
	go func() {
		defer close(killed)
		rng := rand.New(rand.NewPCG(seed, 0))
		delivery := w.fleet.services["delivery"][0]
		for range kills {
			pause := time.NewTimer(time.Duration(rng.IntN(500)) * time.Millisecond)
			<-pause.C
			delivery.kill()
			delivery.start()
			delivery.ready()
		}
	}()
	ids := w.buyAll(product, orders, killed)
	<-killed
	w.checkKilled(ids, units)
}

// buyAll creates paid orders, a share of them at once, as long as kills last.
func (w *world) buyAll(product string, orders int, killed <-chan struct{}) []string {
	w.t.Helper()
	ids := make([]string, orders)
	var wg sync.WaitGroup
	for buyer := range 4 {
		wg.Go(func() {
			for n := buyer; n < orders; n += 4 {
				o, err := w.orders.CreateOrder(w.t.Context(), &orderv1.CreateOrderRequest{
					IdempotencyKey: id.New("kill"), Currency: "EUR", Customer: &orderv1.Customer{Email: fmt.Sprintf("kill-%d@example.com", n)},
					Items: []*orderv1.OrderItem{item(product, 1+int64(n%3))}, Prepaid: true,
				})
				if err != nil {
					w.t.Errorf("order %d: %v", n, err)
					return
				}
				ids[n] = o.GetId()
				pause := time.NewTimer(time.Duration(n%7) * 20 * time.Millisecond)
				select {
				case <-killed:
					pause.Stop()
				case <-pause.C:
				}
			}
		})
	}
	wg.Wait()
	return ids
}

func (w *world) checkKilled(ids []string, units int) {
	w.t.Helper()
	given := map[string]string{}
	for n, orderID := range ids {
		// A mail under way when the process died is due again when its lease ends.
		testkit.Eventually(w.t, 4*time.Minute, func() error {
			o, err := w.orders.GetOrder(w.t.Context(), &orderv1.GetOrderRequest{OrderId: orderID})
			if err == nil && o.GetDeliveryState() != delivered {
				err = fmt.Errorf("order %d is %v, %q", n, o.GetDeliveryState(), o.GetDeliveryProblem())
			}
			return err
		})
		keys := w.keys(orderID)[1]
		if len(keys) != 1+n%3 {
			w.t.Errorf("order %d has %d keys", n, len(keys))
		}
		for _, key := range keys {
			if other := given[key]; other != "" {
				w.t.Errorf("%s is in %s and in %s", key, other, orderID)
			}
			given[key] = orderID
		}
		mails, err := w.sandbox.Mails(w.t.Context(), fmt.Sprintf("kill-%d@example.com", n))
		mails = onlyMails(mails, goods)
		if err != nil || len(mails) == 0 {
			w.t.Errorf("order %d: %d mails, %v", n, len(mails), err)
		}
		for _, m := range mails {
			for _, key := range keys {
				if strings.Count(m.Text, key) != 1 {
					w.t.Errorf("a mail of order %d has not exactly its keys", n)
				}
			}
			if strings.Count(m.Text, "KILL-") != len(keys) {
				w.t.Errorf("a mail of order %d has other keys", n)
			}
		}
	}
	if len(given) != units {
		w.t.Errorf("%d keys are given, %d units are paid", len(given), units)
	}
}
