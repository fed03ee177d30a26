package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quittance/pkg/id"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// Flags of the fault machine; `make chaos` uses them.
var (
	chaosFor     = flag.Duration("chaos", 0, "how long TestChaos injects faults; 0: it is skipped")
	chaosSeed    = flag.Uint64("chaosseed", 1, "seed of TestChaos: of its faults and when they come, and of what customers and providers do")
	chaosBuyers  = flag.Int("chaosbuyers", 6, "how many customers buy at once in TestChaos")
	chaosPercent = flag.Int("chaospercent", 30, "how many payments of a hundred have at least one fault of the provider's in TestChaos")
)

// chaosClocks is how far a replica's clock may be before or behind the machine's.
const chaosClocks = 5 * time.Second

// chaosPatience is how long everything may take to come about after the last fault.
const chaosPatience = 4 * time.Minute

// chaosOrder is what a customer knows: the system took the order, for this address.
type chaosOrder struct{ id, email string }

// chaos is the system as processes, two of each service, in a network that fails.
type chaos struct {
	*world
	links map[string][]*faultProxy

	mu           sync.Mutex
	acknowledged []chaosOrder
}

// TestChaos has customers buy through the public edges while everything fails
// that can: processes, the bus, the network, stores, clocks, providers, the
// merchant's endpoint, the mail server. In the end the promises are checked
// against books that the faults don't reach: the providers' (in the sandbox), the
// webhook receiver's, the mail server's, and this test's own list of the orders
// that were acknowledged.
func TestChaos(t *testing.T) {
	if *chaosFor == 0 {
		t.Skip("with -chaos only: make chaos")
	}
	t.Logf("seed %d: %v of faults, %d customers, %d %% of the payments with faults of the provider's", *chaosSeed, *chaosFor, *chaosBuyers, *chaosPercent)
	c := startChaos(t)
	begun := time.Now()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var customers sync.WaitGroup
	over := make(chan struct{})
	for n := range *chaosBuyers {
		customers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
					c.customer(ctx, fmt.Sprintf("chaos-%d-%d@example.com", n, i), rand.New(rand.NewPCG(*chaosSeed, uint64(n)<<32+uint64(i))))
				}
			}
		})
	}
	tally := c.misrule(*chaosFor)
	close(over)
	customers.Wait()
	cancel()
	t.Logf("faults: %v", tally)
	t.Logf("%d orders acknowledged in %v", len(c.acknowledged), time.Since(begun).Round(time.Second))
	if len(c.acknowledged) == 0 {
		t.Fatal("no order is no proof")
	}
	c.judge(begun)
}

// startChaos starts the processes with a network of fault proxies between them.
func startChaos(t *testing.T) *chaos {
	links := map[string][]*faultProxy{}
	between := func(part, addr string) string {
		if !slices.Contains([]string{"bus", "mail", "callbacks", "sandbox", "order", "delivery"}, part) {
			return addr // nobody else calls it
		}
		p := newFaultProxy(t, addr)
		links[part] = append(links[part], p)
		return p.addr
	}
	clocks := rand.New(rand.NewPCG(*chaosSeed, 1<<63))
	w := startProcesses(t, config(""), setup{
		fleet: fleetSetup{replicas: 2, between: between, env: func(string, int) []string {
			offset := time.Duration(clocks.Int64N(int64(2*chaosClocks))) - chaosClocks
			return []string{"QUITTANCE_CLOCK_OFFSET=" + offset.String(), "QUITTANCE_STORE_WAIT=500ms", "QUITTANCE_WEBHOOK_RETRIES=1s,2s,4s,8s,15s,15s,15s,15s,15s,15s"}
		}},
		seeding: func(s *standalone.Seeding) {
			sandbox := "http://" + between("sandbox", strings.TrimPrefix(s.SandboxURL, "http://"))
			s.FlexPayURL, s.WebhookURL = sandbox+"/flexpay", sandbox+"/webhooks/"+standalone.DemoEndpoint
			s.SandboxURL, s.Ask, s.RefundWindow = sandbox, "1s,1s,2s,5s,15s", "15s"
		},
	})
	w.stock()
	// A merchant's second endpoint is dead, and must not be felt.
	retried(w, w.notifications.PutEndpoint, &notificationv1.PutEndpointRequest{
		Endpoint: &notificationv1.Endpoint{Id: "dead", Url: "http://" + freeAddr(t) + "/"},
	})
	// An endpoint hears of what happens from its creation on, which replicas
	// whose clocks disagree judge differently for as long as these differ.
	pause(2 * chaosClocks)
	if err := w.sandbox.Unleash(t.Context(), client.Resurs, *chaosSeed, *chaosPercent/3); err != nil {
		t.Fatal(err)
	}
	return &chaos{world: w, links: links}
}

// customer buys until the system has taken the order, and goes to pay once, or
// once more if nothing came of it. What is down meanwhile they wait for.
func (c *chaos) customer(ctx context.Context, email string, dice *rand.Rand) {
	req := &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("chaos"), Currency: "EUR", Customer: &orderv1.Customer{Email: email},
		Items: []*orderv1.OrderItem{item("notepad", 1+dice.Int64N(2))}, ReturnUrl: c.shop + "/shop/return",
	}
	var o *orderv1.Order
	if err := again(ctx, func() (err error) {
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		o, err = c.orders.CreateOrder(call, req)
		return err
	}); err != nil {
		return // it was never acknowledged
	}
	c.mu.Lock()
	c.acknowledged = append(c.acknowledged, chaosOrder{o.GetId(), email})
	c.mu.Unlock()
	accounts := []string{standalone.DemoAccount, standalone.DemoWallet, standalone.DemoInvoice}
	for try := range 2 {
		action := [...]string{"decline", "cancel", "pay", "pay", "pay", "pay", "pay", "pay", "pay", "pay"}[dice.IntN(10)]
		how := client.Pay{
			Method: accounts[dice.IntN(len(accounts))], Action: action, Patience: 2 * time.Second,
			Fields: client.DrawFaults(*chaosSeed, *chaosPercent, fmt.Sprint(email, ", try ", try)),
		}
		// A page that does not come is opened again; a button is pressed once.
		_ = again(ctx, func() error {
			visit, err := client.PayLikeABrowser(ctx, o.GetPayUrl(), how)
			if err == nil && !visit.Ordered && visit.FulfillmentStatus() == "" {
				err = errors.New("not at the provider")
			}
			if visit.Ordered {
				return nil
			}
			return err
		})
		if action == "pay" {
			return
		}
	}
}

// judge waits until every acknowledged order agrees with the books, and then
// looks for what was lost and what was doubled.
func (c *chaos) judge(begun time.Time) {
	c.t.Helper()
	ids, buyers := make([]string, 0, len(c.acknowledged)), map[string]string{}
	for _, o := range c.acknowledged {
		ids = append(ids, o.id)
		buyers[o.email] = o.id
	}
	ctx := c.t.Context()
	owners, left, summary := map[string]string{}, ids, map[string]int{}
	disagree := slowly(ctx, chaosPatience, func() error {
		books, err := c.books(ctx, owners)
		if err != nil {
			return err
		}
		left, err = c.differing(ctx, left, books, map[string]int{})
		return err
	})
	if disagree == nil {
		books, err := c.books(ctx, owners)
		if err == nil {
			left, err = c.differing(ctx, ids, books, summary)
		}
		disagree = err
	}
	lost := left
	wrong := map[string]string{}
	goods := slowly(ctx, chaosPatience, func() (err error) {
		wrong, err = c.checkGoods(ctx, buyers)
		return err
	})
	var silent []string
	events := slowly(ctx, chaosPatience, func() (err error) {
		_, silent, err = c.missingEvents(ctx, ids)
		return err
	})
	c.t.Logf("all settled %v after the begin: %v", time.Since(begun).Round(time.Second), summary)
	c.t.Logf("orders %d, lost %d, doubled or wrong %d, not told of to the merchant %d", len(ids), len(lost), len(wrong), len(silent))
	if err := errors.Join(disagree, goods, events); err != nil {
		c.t.Error(err)
	}
	told := 0
	for _, orderID := range slices.Concat(lost, slices.Collect(maps.Keys(wrong)), silent) {
		if told++; told <= 5 {
			c.story(orderID)
		}
	}
}

// checkGoods compares, for the one order of each buyer, what the merchant sees
// delivered with what was mailed: as many keys as units, each key of one order
// only, one mail each, and none for an order that isn't delivered.
func (w *world) checkGoods(ctx context.Context, buyers map[string]string) (wrong map[string]string, err error) {
	all, err := w.sandbox.Mails(ctx, "")
	if err != nil {
		return nil, err
	}
	wrong = map[string]string{}
	mailed, owner := mailedKeys(all), map[string]string{}
	for email, keys := range mailed {
		for key, mails := range keys {
			if len(mails) > 1 {
				wrong[buyers[email]] = fmt.Sprintf("key %s came in two mails", key)
			}
		}
	}
	for email, orderID := range buyers {
		o, err := w.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: orderID})
		if err != nil {
			return nil, err
		}
		if o.GetDeliveryState() != delivered {
			if n := len(mailed[email]); n > 0 {
				wrong[orderID] = fmt.Sprintf("%v, but %d keys were mailed", o.GetDeliveryState(), n)
			}
			continue
		}
		d, err := w.deliveries.GetDelivery(ctx, &deliveryv1.GetDeliveryRequest{OrderId: orderID})
		if err != nil {
			return nil, err
		}
		units, keys := int(o.GetLines()[0].GetQuantity()), d.GetLines()[0].GetLicenseKeys()
		if len(keys) != units || len(mailed[email]) != units {
			wrong[orderID] = fmt.Sprintf("%d keys, %d mailed, for %d units", len(keys), len(mailed[email]), units)
		}
		for _, key := range keys {
			if mailed[email][key] == nil {
				wrong[orderID] = fmt.Sprintf("key %s was not mailed", key)
			}
			if other := owner[key]; other != "" {
				wrong[orderID] = fmt.Sprintf("key %s is that of %s too", key, other)
			}
			owner[key] = orderID
		}
	}
	for orderID, what := range wrong {
		err = errors.Join(err, fmt.Errorf("order %s: %s", orderID, what))
	}
	return wrong, err
}

// mailedKeys are the licence keys in mails: for each address and key, the
// Message-IDs of the mails that it came in.
func mailedKeys(all []client.Mail) map[string]map[string]map[string]bool {
	mailed := map[string]map[string]map[string]bool{}
	for _, m := range all {
		to := m.EnvelopeTo[0]
		for line := range strings.Lines(m.Text) {
			key := strings.TrimSpace(line)
			if !strings.HasPrefix(key, "STORM-") && !strings.HasPrefix(key, "DEMO-") {
				continue
			}
			if mailed[to] == nil {
				mailed[to] = map[string]map[string]bool{}
			}
			if mailed[to][key] == nil {
				mailed[to][key] = map[string]bool{}
			}
			mailed[to][key][m.MessageID] = true
		}
	}
	return mailed
}

// missingEvents compares the orders' public histories, of so many events in all,
// with what the endpoint got, and names the orders of which it lacks something.
func (w *world) missingEvents(ctx context.Context, orderIDs []string) (events int, of []string, err error) {
	hooks, err := w.sandbox.Webhooks(ctx, standalone.DemoEndpoint)
	if err != nil {
		return 0, nil, err
	}
	got := map[string]bool{}
	for _, h := range hooks {
		got[h.ID] = got[h.ID] || h.Accepted
	}
	for _, orderID := range orderIDs {
		list, failed := w.orders.ListEvents(ctx, &orderv1.ListEventsRequest{OrderId: orderID})
		if failed != nil {
			return 0, nil, failed
		}
		for _, e := range list.GetEvents() {
			if events++; !got[e.GetId()] {
				err = errors.Join(err, fmt.Errorf("P7: %s %d of %s did not arrive", e.GetType(), e.GetSequence(), orderID))
				of = append(of, orderID)
			}
		}
	}
	return events, slices.Compact(of), err
}

// story prints an order's whole timeline.
func (c *chaos) story(orderID string) {
	ctx := c.t.Context()
	o, err := c.orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: orderID})
	if err != nil {
		c.t.Logf("%s: %v", orderID, err)
		return
	}
	c.t.Logf("%s: %v", orderID, o)
	list, err := c.orders.ListEvents(ctx, &orderv1.ListEventsRequest{OrderId: orderID})
	if err != nil {
		c.t.Log(err)
	}
	for _, e := range list.GetEvents() {
		c.t.Logf("  %v %s %d", e.GetTime().AsTime().Format(time.StampMilli), e.GetType(), e.GetSequence())
	}
	d, err := c.deliveries.GetDelivery(ctx, &deliveryv1.GetDeliveryRequest{OrderId: orderID})
	c.t.Logf("  delivery: %v %v", d, err)
	hooks, err := c.notifications.ListDeliveries(ctx, &notificationv1.ListDeliveriesRequest{OrderId: orderID})
	for _, h := range hooks.GetWebhooks() {
		c.t.Logf("  webhook: %v", h)
	}
	if err != nil {
		c.t.Log(err)
	}
}
