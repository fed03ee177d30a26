package simulation

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	callbackingest "quittance/services/callback-ingest"
	"quittance/services/delivery"
	"quittance/services/notification"
	"quittance/services/order"
	paymentredirect "quittance/services/payment-redirect"
	"quittance/services/sabotage"
	"quittance/services/verification"
)

// Names of the services.
const (
	orderName        = order.Name
	paymentName      = paymentredirect.Name
	callbackName     = callbackingest.Name
	verificationName = verification.Name
	deliveryName     = delivery.Name
	notificationName = notification.Name
)

var names = []string{orderName, paymentName, callbackName, verificationName, deliveryName, notificationName}

const (
	merchantID = "acme"
	publicURL  = "https://quittance.sim.example"
)

// Options of a history.
type Options struct {
	Seed     uint64
	Sabotage sabotage.Kind
	// Verbose adds the services' log and each fault to the steps.
	Verbose bool
}

// Result is what came of a history.
type Result struct {
	Plan Plan
	// Violations of promises; none: all were kept.
	Violations []string
	// Steps are what happened, one a line.
	Steps []string
	// Summary is how each order ended, for comparing histories.
	Summary []string
	// Counts says how often what happened, by kind.
	Counts map[string]int
	// Lasted is how much virtual time went by.
	Lasted time.Duration
}

// String tells the history of a failure.
func (r Result) String() string {
	return fmt.Sprintf("seed %d\n%s\n%s", r.Plan.Seed, strings.Join(r.Steps, "\n"), strings.Join(r.Violations, "\n"))
}

// Ids are time-ordered and never go back within a process, whatever its clocks
// do. So that the same seed gives the same ids, each history has days of its own,
// and a process lives its histories in the order of their slots.
const (
	// Slots is how many histories follow each other, from the year 2000 on.
	Slots = 768
	slot  = 110 * 24 * time.Hour
)

// Run lives one history. It can't run beside other tests of the process: the
// process's source of randomness is the history's meanwhile.
func Run(t *testing.T, o Options) (result Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, o.Seed)
		keys, err := seal.ParseKeyring(seal.Generate())
		if err != nil {
			t.Fatal(err)
		}
		pause(time.Duration(o.Seed%Slots) * slot)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := newWorld(ctx, o, keys)
		w.live()
		result = Result{Plan: w.plan, Violations: w.faults, Steps: w.steps, Summary: w.summary(), Counts: w.counts, Lasted: w.now()}
		w.end()
	})
	return result
}

func newWorld(ctx context.Context, o Options, keys *seal.Keyring) *world {
	w := &world{
		ctx: ctx, plan: NewPlan(o.Seed), dice: dice(o.Seed), sabotage: o.Sabotage, keyring: keys, verbose: o.Verbose,
		nodes: map[string]*node{}, crashed: make(chan *life, 1000),
		asked: map[string]int{}, counts: map[string]int{}, imported: map[string]int{}, gone: make(chan struct{}, 1),
	}
	w.began.Store(time.Now().UnixNano())
	w.log = slog.New(slog.DiscardHandler)
	if o.Verbose {
		w.log = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: withoutTime}))
	}
	w.provider = &provider{w: w, sales: map[string]*sale{}}
	w.mails = &mailbox{w: w, refused: map[string]bool{}}
	w.hooks = &receiver{w: w}
	w.shop = &shop{w: w}
	w.openBus()
	for _, name := range names {
		w.nodes[name] = newNode(w, name, builders[name], max(1, w.plan.Replicas[name]))
	}
	return w
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// builders wire each service as its program does, but for what is doubled.
var builders = map[string]builder{
	orderName: func(ctx context.Context, _ *life, d service.Deps) (running, error) {
		return order.New(ctx, d, order.Config{PublicURL: publicURL})
	},
	paymentName: func(ctx context.Context, l *life, d service.Deps) (running, error) {
		return paymentredirect.New(ctx, d, paymentredirect.Config{PublicURL: publicURL, CallbackURL: publicURL}, l.orders())
	},
	callbackName: func(ctx context.Context, l *life, d service.Deps) (running, error) {
		return callbackingest.New(ctx, d, callbackingest.Config{}, l.orders())
	},
	verificationName: func(ctx context.Context, l *life, d service.Deps) (running, error) {
		return verification.New(ctx, d, l.orders(), &http.Client{Transport: &asker{l.node.w.provider, l}})
	},
	deliveryName: func(ctx context.Context, l *life, d service.Deps) (running, error) {
		return delivery.New(ctx, d, delivery.Config{Workers: workers}, l.orders(), &mailer{l.node.w.mails, l})
	},
	notificationName: func(ctx context.Context, l *life, d service.Deps) (running, error) {
		return notification.New(ctx, d, notification.Config{Transport: &postman{l.node.w.hooks, l}, CatchUp: catchUp, Workers: workers}, l.orders(), &mailer{l.node.w.mails, l})
	},
}

// workers are few: starting them is most of what starting a service costs.
const workers = 8

// catchUp is the pause between notification's looks for lost events.
const catchUp = time.Minute

// orders is the process's connection to the order service's internal listener.
func (l *life) orders() *conn {
	return &conn{to: l.node.w.nodes[orderName], as: rpc.Principal{Role: rpc.RoleService}, from: l}
}

// merchant is the merchant's connection to a service.
func (w *world) merchant(name string) *conn {
	return &conn{to: w.nodes[name], as: rpc.Principal{Role: rpc.RoleMerchant, Merchant: merchantID}}
}

// end stops everything and waits until all of it is gone.
func (w *world) end() {
	w.places(func(p *place) { p.stop(0) })
	w.people.Wait()
	w.places(func(p *place) {
		for _, l := range p.lives {
			<-l.ended
		}
	})
}

var _ io.Writer = (*world)(nil)
