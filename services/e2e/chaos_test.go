package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quittance/pkg/id"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sabotage"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// Flags of the fault machine; `make chaos` uses them.
var (
	chaosFor     = flag.Duration("chaos", 0, "how long TestChaos injects faults; 0: it is skipped")
	chaosSeed    = flag.Uint64("chaosseed", 1, "seed of TestChaos: of its faults and when they come, and of what customers and providers do")
	chaosBuyers  = flag.Int("chaosbuyers", 6, "how many customers buy at once in TestChaos")
	chaosNodes   = flag.Int("chaosnodes", 1, "servers of the bus in TestChaos: 1, or a cluster of 3 with three replicas of each stream")
	chaosPercent = flag.Int("chaospercent", 30, "how many payments of a hundred have at least one fault of the provider's in TestChaos")
)

// chaosClocks is how far a replica's clock may be before or behind the machine's.
const chaosClocks = 5 * time.Second

// chaosPatience is how long everything may take to come about after the last fault.
const chaosPatience = 4 * time.Minute

// chaosOrder is what a customer knows: the system took the order, for this address.
type chaosOrder struct{ id, email string }

// chaosRun is what a run of the fault machine is to be like.
type chaosRun struct {
	// length of the faults, one about every pace, and patience afterwards.
	length, pace, patience time.Duration
	seed                   uint64
	buyers                 int
	// percent of the payments have at least one fault of the provider's.
	percent int
	// evils are the kinds of faults; prey the services whose processes and stores
	// they hit.
	evils []evil
	prey  []string
	// scarce: the pool has few keys until the faults are over.
	scarce bool
	// nodes of the bus.
	nodes int
	// sabotage is built into the replicas.
	sabotage sabotage.Kind
}

// chaos is the system as processes, two of each service, in a network that fails.
type chaos struct {
	*world
	chaosRun
	links map[string][]*faultProxy
	// errs is there while the stores of some replicas err.
	errs string
	// emptied is when the bus lost what it had.
	emptied []time.Time

	mu           sync.Mutex
	acknowledged []chaosOrder
	// misnamed are orders of whose one payment the provider names too little.
	misnamed map[string]bool
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
	run := chaosRun{
		length: *chaosFor, pace: 600 * time.Millisecond, patience: chaosPatience, seed: *chaosSeed, buyers: *chaosBuyers, percent: *chaosPercent,
		evils: evils, prey: fleetNames, nodes: *chaosNodes,
	}
	if run.nodes > 1 {
		run.evils = slices.Concat(evils, losses)
	}
	t.Logf("seed %d: %v of faults, %d customers, %d %% of the payments with faults of the provider's, %d nodes of the bus", run.seed, run.length, run.buyers, run.percent, run.nodes)
	c := startChaos(t, run)
	v, err := c.run(t.Context())
	if err != nil {
		t.Error(err)
	}
	for i, orderID := range v.findings.orders() {
		if i < 5 {
			c.story(t.Context(), orderID)
		}
	}
	for _, f := range v.findings {
		t.Error(f)
	}
}

// run has customers buy while faults are injected, and then compares the books.
func (c *chaos) run(ctx context.Context) (verdict, error) {
	c.t.Helper()
	begun := time.Now()
	buying, cancel := context.WithCancel(ctx)
	defer cancel()
	var customers sync.WaitGroup
	over := make(chan struct{})
	for n := range c.buyers {
		customers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
					c.customer(buying, fmt.Sprintf("chaos-%d-%d@example.com", n, i), rand.New(rand.NewPCG(c.seed, uint64(n)<<32+uint64(i))))
				}
			}
		})
	}
	tally := c.misrule()
	close(over)
	customers.Wait()
	cancel()
	if c.scarce {
		c.stock()
	}
	faults := 0
	for name, n := range tally {
		if name != revived {
			faults += n
		}
	}
	c.t.Logf("%d orders acknowledged in %v", len(c.acknowledged), time.Since(begun).Round(time.Second))
	if len(c.acknowledged) == 0 {
		return verdict{}, errors.New("no order is no proof")
	}
	v, err := c.judge(ctx)
	c.t.Logf("books closed %v after the begin: %v", time.Since(begun).Round(time.Second), v.states)
	c.t.Logf("seed %d: orders %d, faults %d %v, lost %d, doubled %d, paid wrongly %d", c.seed, len(c.acknowledged), faults, tally,
		v.findings.count(lost), v.findings.count(doubled), v.findings.count(wrongly))
	return v, err
}

// startChaos starts the processes with a network of fault proxies between them.
// Of each service one replica is the program as it is built; the other one is
// made of the same parts by this test's own binary, whose store can err. In a
// sabotaged system both are.
func startChaos(t *testing.T, run chaosRun) *chaos {
	c := &chaos{chaosRun: run, links: map[string][]*faultProxy{}, errs: filepath.Join(t.TempDir(), "errs"), misnamed: map[string]bool{}}
	between := func(part, addr string) string {
		if !slices.Contains([]string{"bus", "route", "mail", "callbacks", "sandbox", "order", "delivery"}, part) {
			return addr // nobody else calls it
		}
		p := newFaultProxy(t, addr)
		c.links[part] = append(c.links[part], p)
		return p.addr
	}
	clocks := rand.New(rand.NewPCG(run.seed, 1<<63))
	w := startProcesses(t, config(""), setup{
		fleet: fleetSetup{
			replicas: 2, nodes: run.nodes, between: between,
			inTest: func(replica int) bool { return replica == 1 || run.sabotage != sabotage.Honest },
			env: func(string, int) []string {
				offset := time.Duration(clocks.Int64N(int64(2*chaosClocks))) - chaosClocks
				return []string{
					"QUITTANCE_CLOCK_OFFSET=" + offset.String(), "QUITTANCE_STORE_WAIT=500ms", "QUITTANCE_WEBHOOK_RETRIES=1s,2s,4s,8s,15s,15s,15s,15s,15s,15s",
					testErrs + "=" + c.errs, testSabotage + "=" + string(run.sabotage),
				}
			},
		},
		seeding: func(s *standalone.Seeding) {
			sandbox := "http://" + between("sandbox", strings.TrimPrefix(s.SandboxURL, "http://"))
			s.FlexPayURL, s.WebhookURL = sandbox+"/flexpay", sandbox+"/webhooks/"+standalone.DemoEndpoint
			s.SandboxURL, s.Ask, s.RefundWindow = sandbox, "1s,1s,2s,5s,15s", "15s"
		},
	})
	c.world = w
	if !run.scarce {
		w.stock()
	}
	// A merchant's second endpoint is dead, a third one slower than it may be, and
	// neither must be felt.
	for name, url := range map[string]string{"dead": "http://" + freeAddr(t) + "/", "slow": slowEndpoint(t)} {
		retried(w, w.notifications.PutEndpoint, &notificationv1.PutEndpointRequest{Endpoint: &notificationv1.Endpoint{Id: name, Url: url}})
	}
	// An endpoint hears of what happens from its creation on, which replicas
	// whose clocks disagree judge differently for as long as these differ.
	pause(2 * chaosClocks)
	if err := w.sandbox.Unleash(t.Context(), client.Resurs, run.seed, run.percent/3); err != nil {
		t.Fatal(err)
	}
	return c
}

// slowEndpoint is a webhook receiver that thinks for longer than senders wait.
func slowEndpoint(t *testing.T) string {
	t.Helper()
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}))
	t.Cleanup(func() { close(over); s.Close() })
	return s.URL
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
			Fields: client.DrawFaults(c.seed, c.percent, fmt.Sprint(email, ", try ", try)),
		}
		if dice.IntN(10) == 0 {
			how.Fields = map[string]string{"fault.status": string(client.StatusAmount)}
			c.mu.Lock()
			c.misnamed[o.GetId()] = action == "pay"
			c.mu.Unlock()
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
