package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	aggregate "quittance/services/delivery/internal/delivery"
)

// step is one thing that happens in a scenario.
type step struct {
	Kind    string
	Order   int
	Replica int
	Product string
	Keys    int
	// After how many writes a process dies or a write goes wrong; Late: after
	// the write, not before it.
	Writes int
	Late   bool
	Pause  time.Duration
}

// The kinds of steps.
const (
	doPay     = "pay"     // payment.succeeded, once, with no wait for its handler
	doImport  = "import"  // keys for a product
	doRefund  = "refund"  // order.refunded
	doResend  = "resend"  // the merchant asks for the mail again
	doDie     = "die"     // a process dies at a later write; another starts
	doFail    = "fail"    // one of the next writes fails or loses its answer
	doTrouble = "trouble" // the mail server misbehaves for some mails
	doService = "service" // the merchant's web service misbehaves for some calls
	doRevoke  = "revoke"  // the merchant revokes a unit's licence
	doReplace = "replace" // the merchant replaces a unit's licence
	doWait    = "wait"
)

var anyStep = rapid.Custom(func(t *rapid.T) step {
	return step{
		// Payments come as often as all else together.
		Kind:    rapid.SampledFrom([]string{doPay, doPay, doPay, doPay, doImport, doImport, doRefund, doResend, doDie, doDie, doFail, doFail, doTrouble, doService, doService, doRevoke, doReplace, doReplace, doWait, doWait}).Draw(t, "kind"),
		Order:   rapid.IntRange(0, len(scenarioOrders)-1).Draw(t, "order"),
		Replica: rapid.IntRange(0, 1).Draw(t, "replica"),
		Product: rapid.SampledFrom([]string{"tool", "game"}).Draw(t, "product"),
		Keys:    rapid.IntRange(1, 4).Draw(t, "keys"),
		Writes:  rapid.IntRange(1, 6).Draw(t, "writes"),
		Late:    rapid.Bool().Draw(t, "late"),
		Pause:   time.Duration(rapid.SampledFrom([]int{0, 1, 1000, 7000, 61_000}).Draw(t, "pause")) * time.Millisecond,
	}
})

var scenarioOrders = [][]line{
	{{product: "tool", quantity: 1}},
	{{product: "tool", quantity: 2}},
	{{product: "tool", quantity: 1}, {product: "game", quantity: 2}},
	{{product: "game", quantity: 3}, {product: "book", quantity: 1, mail: true}},
	{{product: "tool", quantity: 4}},
	{{product: "cloud", quantity: 2, service: true}, {product: "tool", quantity: 1}},
	{{product: "mixed", quantity: 3, service: true, fallback: true}},
}

func scenarioOrder(n int, state orderv1.PaymentState) *eventv1.OrderEvent {
	return orderEvent(fmt.Sprint("ord_", n), state, scenarioOrders[n]...)
}

// scenario is a history of a shop with two replicas.
type scenario struct {
	*shop
	paid, refunded map[int]bool
	imported       int
	failing        atomic.Int64 // writes until one goes wrong
	late           atomic.Bool
}

var errLost = errors.New("connection to the database lost")

// faults makes a write go wrong for a process that lives on.
func (s *scenario) faults(op, _, _ string) memory.Fault {
	if op != memory.OpInsert && op != memory.OpUpdate || s.failing.Load() <= 0 || s.failing.Add(-1) != 0 {
		return memory.Fault{Rerun: op == memory.OpUpdate}
	}
	if s.late.Load() {
		return memory.Fault{After: errLost}
	}
	return memory.Fault{Before: errLost}
}

// lags makes operations take some milliseconds, so that processes and handlers
// meet in between, and now and then longer than a lease lasts.
func lags(seed uint64) func() time.Duration {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, seed))
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		if r.IntN(200) == 0 {
			return 70 * time.Second
		}
		return time.Duration(r.IntN(30)) * time.Millisecond
	}
}

// play runs the steps and then lets everything come to its end.
func play(ctx context.Context, steps []step, seed uint64) (err error) {
	s := &scenario{paid: map[int]bool{}, refunded: map[int]bool{}}
	if s.shop, err = newShop(memory.New(memory.WithFaults(s.faults))); err != nil {
		return err
	}
	s.lag = lags(seed)
	defer func() { err = errors.Join(err, s.close()) }()
	for range 2 {
		if _, err := s.start(ctx); err != nil {
			return err
		}
	}
	if err := s.settings(ctx); err != nil {
		return err
	}
	for i, st := range steps {
		if err := s.do(ctx, st); err != nil {
			return fmt.Errorf("step %d %+v: %w", i, st, err)
		}
		if err := s.bury(ctx); err != nil {
			return fmt.Errorf("step %d %+v: %w", i, st, err)
		}
		if _, err := s.audit(ctx); err != nil {
			return fmt.Errorf("after step %d %+v: %w", i, st, err)
		}
	}
	return s.end(ctx)
}

// settings of the products: refunds bring licences back into the tool's pool, and
// revoke the game's and the cloud's; the mixed product falls back after a minute.
func (s *scenario) settings(ctx context.Context) error {
	r := s.replica(0)
	for product, d := range map[string]deliveryv1.Disposition{
		"tool": deliveryv1.Disposition_DISPOSITION_RETURN, "game": deliveryv1.Disposition_DISPOSITION_REVOKE, "cloud": deliveryv1.Disposition_DISPOSITION_REVOKE,
	} {
		if _, err := r.server.PutPool(as(ctx, merchant), &deliveryv1.PutPoolRequest{Settings: &deliveryv1.PoolSettings{
			ProductId: product, OnRefund: d, OnChargeback: d, LowWaterMark: 2,
		}}); err != nil {
			return err
		}
	}
	for _, product := range []string{"cloud", "mixed"} {
		if err := s.web.register(ctx, r, &deliveryv1.WebService{ProductId: product, FallBackAfter: durationpb.New(time.Minute)}); err != nil {
			return err
		}
	}
	return nil
}

func (s *scenario) do(ctx context.Context, st step) error {
	r := s.replica(st.Replica)
	switch st.Kind {
	case doPay:
		f := scenarioOrder(st.Order, orderv1.PaymentState_PAYMENT_STATE_PAID)
		s.paid[st.Order] = true
		s.calls.Go(func() { _ = r.pay(ctx, f) }) // what failed is told again in the end
	case doRefund:
		if s.paid[st.Order] {
			s.refunded[st.Order] = true
			f := scenarioOrder(st.Order, orderv1.PaymentState_PAYMENT_STATE_REFUNDED)
			s.calls.Go(func() { s.send(ctx, fact(event.OrderRefunded, f.GetOrder().GetId(), f)) })
		}
	case doImport:
		s.add(ctx, r, st.Product, st.Keys)
	case doResend:
		_, _ = r.server.ResendEmail(as(ctx, merchant), resendRequest(st.Order)) // refused or not
	case doDie:
		r.engine.die(st.Writes, st.Late)
	case doFail:
		s.late.Store(st.Late)
		s.failing.Store(int64(st.Writes))
	case doTrouble:
		m := away
		if st.Late {
			m = forgetful
		}
		s.relay.set(m, st.Keys)
	case doService:
		moods := []serviceMood{unreachable, hanging, says(503, "not now"), says(403, "never"), says(200, "not JSON"), says(200, `{"licenses":["WS-000001"]}`)}
		s.web.set(moods[(st.Keys+st.Writes)%len(moods)], st.Keys)
		s.web.mu.Lock()
		s.web.forgets = st.Late
		s.web.mu.Unlock()
	case doRevoke:
		_, _ = r.server.RevokeLicense(as(ctx, merchant), &deliveryv1.RevokeLicenseRequest{
			OrderId: fmt.Sprint("ord_", st.Order), LineNumber: 1, Unit: int32(st.Keys), Reason: "test"})
	case doReplace:
		_, _ = r.server.ReplaceLicense(as(ctx, merchant), &deliveryv1.ReplaceLicenseRequest{
			OrderId: fmt.Sprint("ord_", st.Order), LineNumber: 1, Unit: int32(st.Keys), Reason: "test"})
	case doWait:
	}
	wait(st.Pause)
	return nil
}

func (s *scenario) add(ctx context.Context, r *replica, product string, n int) {
	fresh := keys(fmt.Sprintf("%s-%d", strings.ToUpper(product), s.imported), n)
	s.imported += n
	_, _ = r.importKeys(ctx, product, fresh...) // cut off or not
}

// end lets nothing go wrong any more and tells once again what was paid and never
// begun, as the order does: then everything paid must be delivered, and nothing
// else be held. What a crash left in deliveries that nobody asks for again is the
// audit's to find.
func (s *scenario) end(ctx context.Context) error {
	s.failing.Store(0)
	s.relay.set(nil, 0)
	for n := range 2 {
		s.replica(n).engine.die(0, false)
	}
	wait(time.Second)
	if err := s.bury(ctx); err != nil {
		return err
	}
	begun, err := s.audit(ctx)
	if err != nil {
		return err
	}
	for n := range scenarioOrders {
		if _, ok := begun.deliveries[deliveryID(n)]; s.paid[n] && !ok {
			s.calls.Go(func() {
				f := scenarioOrder(n, orderv1.PaymentState_PAYMENT_STATE_PAID)
				s.send(ctx, fact(event.PaymentSucceeded, f.GetOrder().GetId(), f))
			})
		}
	}
	s.web.set(nil, 0)
	for _, product := range []string{"tool", "game", "mixed"} {
		s.add(ctx, s.replica(0), product, 20)
	}
	for range 24 {
		wait(10 * time.Minute)
		for n := range scenarioOrders { // what has failed for good waits for the merchant
			_, _ = s.replica(0).server.RetryDelivery(as(ctx, merchant), &deliveryv1.RetryDeliveryRequest{OrderId: fmt.Sprint("ord_", n)})
		}
		b, err := s.audit(ctx)
		if err != nil {
			return err
		}
		if len(b.undelivered()) == 0 && len(b.strays()) == 0 && len(b.deliveries) == len(s.paid) && s.allClosed(b) == nil {
			return nil
		}
	}
	b, err := s.audit(ctx)
	return errors.Join(err, s.allClosed(b), fmt.Errorf("in the end %d deliveries of %d, not delivered: %v, strays: %v",
		len(b.deliveries), len(s.paid), b.undelivered(), b.strays()))
}

func deliveryID(n int) string { return aggregate.ID(fmt.Sprint("ord_", n)) }

// allClosed checks that exactly the refunded orders are closed.
func (s *scenario) allClosed(b *books) error {
	for _, d := range b.deliveries {
		var n int
		if _, err := fmt.Sscanf(d.Order, "ord_%d", &n); err != nil {
			return err
		}
		if s.refunded[n] == d.Closed.IsZero() {
			return fmt.Errorf("%s: refunded %v, closed %v", d.Order, s.refunded[n], d.Closed)
		}
	}
	return nil
}

// P3, P4, P5: whatever happens in between, every unit paid gets one licence of
// its own, and the customer gets exactly those.
func TestScenarios(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(anyStep, 1, 40).Draw(rt, "steps")
		seed := rapid.Uint64().Draw(rt, "seed")
		var err error
		synctest.Test(t, func(t *testing.T) { err = play(t.Context(), steps, seed) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}
