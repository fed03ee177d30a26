package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/money"
	"quittance/pkg/program"
	"quittance/pkg/rpc"
	"quittance/pkg/service"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	callbackingest "quittance/services/callback-ingest"
	"quittance/services/delivery"
	"quittance/services/notification"
	"quittance/services/order"
	paymentredirect "quittance/services/payment-redirect"
	"quittance/services/sabotage"
	"quittance/services/verification"
)

// What the test tells its own binary when it runs it as a service: the program's
// name, a file that is there while the store errs, the promise to break.
const (
	testProgram  = "QUITTANCE_TEST_PROGRAM"
	testErrs     = "QUITTANCE_TEST_STORE_ERRS"
	testSabotage = "QUITTANCE_TEST_SABOTAGE"
)

// runService is the main of a service, on parts that the test has its hands in,
// and ends the process. It returns if it is called to be none.
func runService(name string) {
	s := spoiler{kind: sabotage.Kind(os.Getenv(testSabotage)), errs: os.Getenv(testErrs)}
	switch name {
	case "":
	case "order":
		program.Main(order.Name, spoiled(s, order.Build))
	case "payment-redirect":
		program.Main(paymentredirect.Name, spoiled(s, paymentredirect.Build))
	case "callback-ingest":
		program.Main(callbackingest.Name, spoiled(s, callbackingest.Build))
	case "verification":
		program.Main(verification.Name, spoiled(s, verification.Build))
	case "delivery":
		program.Main(delivery.Name, spoiled(s, delivery.Build))
	case "notification":
		program.Main(notification.Name, spoiled(s, notification.Build))
	default:
		panic(name)
	}
}

// spoiled builds a service on spoiled parts.
func spoiled[C any](s spoiler, build program.Build[C]) program.Build[C] {
	return func(ctx context.Context, p program.Parts, own C) (program.Service, rpc.Authenticator, error) {
		p.Bus = spoiledBus{p.Bus, p.Engine, s.kind}
		p.Engine = spoiledEngine{p.Engine, s}
		built, auth, err := build(ctx, p, own)
		if err != nil {
			return nil, nil, err
		}
		if pages, ok := built.(routed); ok && s.kind == sabotage.AckBeforeRecord && built.Base().Name == callbackingest.Name {
			built = hasty{pages}
		}
		return built, auth, nil
	}
}

// spoiler is what is done to a service's parts.
type spoiler struct {
	kind sabotage.Kind
	errs string
}

// spoiledBus does what the sabotage does to a connection to the bus.
type spoiledBus struct {
	service.Bus
	engine docstore.Engine
	kind   sabotage.Kind
}

// Publish implements service.Bus.
func (b spoiledBus) Publish(ctx context.Context, events []event.Event) (int, error) {
	sent := b.kind.Sent(events)
	n, err := b.Bus.Publish(ctx, sent)
	if err == nil {
		n = len(events)
	}
	return n, err
}

// Consume implements service.Bus.
func (b spoiledBus) Consume(ctx context.Context, name string, handlers map[string]bus.Handler, parker bus.Parker) error {
	if b.kind == sabotage.SkipAmount && name == order.Name {
		verified := handlers[event.PaymentVerified]
		handlers[event.PaymentVerified] = func(ctx context.Context, e event.Event) error {
			told, err := b.asOrdered(ctx, e)
			if err != nil {
				return err
			}
			return verified(ctx, told)
		}
	}
	return b.Bus.Consume(ctx, name, handlers, parker)
}

// asOrdered turns what was verified into what was ordered.
func (b spoiledBus) asOrdered(ctx context.Context, e event.Event) (event.Event, error) {
	var f eventv1.PaymentVerified
	if err := e.Decode(&f); err != nil || f.GetHoldReason() != orderv1.HoldReason_HOLD_REASON_MISMATCH {
		return e, err
	}
	orders, err := b.engine.Open(ctx, docstore.StoreSpec{Name: "orders"})
	if err != nil {
		return e, err
	}
	rec, err := orders.Get(ctx, f.GetOrderId())
	if err != nil {
		return e, err
	}
	var body struct {
		Doc struct{ Total money.Amount }
	}
	if err := json.Unmarshal(rec.Body, &body); err != nil {
		return e, err
	}
	total := &orderv1.Money{Minor: body.Doc.Total.Minor, Currency: body.Doc.Total.Currency}
	f.Outcome, f.Captured, f.HoldReason, f.Detail = verificationv1.Outcome_OUTCOME_PAID, total, 0, ""
	told, err := event.New(e.Type, e.Source, e.Subject, e.Key, e.Merchant, e.Time, &f)
	if err != nil {
		return e, err
	}
	e.Data = told.Data
	return e, nil
}

// spoiledEngine opens collections that err, or that the sabotage spoils.
type spoiledEngine struct {
	docstore.Engine
	spoiler
}

// Open implements docstore.Engine.
func (e spoiledEngine) Open(ctx context.Context, spec docstore.StoreSpec) (docstore.Store, error) {
	s, err := e.Engine.Open(ctx, spec)
	if err != nil {
		return nil, err
	}
	// As long as others need to write in between, and the process to be killed.
	const between = 700 * time.Millisecond
	return e.kind.Store(spec.Name, erring{s, e.errs}, func() { pause(between) }, func(note func() error) {
		go func() {
			pause(between)
			if err := note(); err != nil {
				fmt.Fprintln(os.Stderr, "events not noted:", err)
			}
		}()
	}), nil
}

// erring is a store of which half of the operations fail as long as a file is
// there: before they are done, or after.
type erring struct {
	docstore.Store
	while string
}

var errDisk = errors.New("the disk errs")

// fate says whether an operation fails, and whether it is done all the same.
func (s erring) fate() (before, after error) {
	_, gone := os.Stat(s.while)
	switch n := rand.IntN(4); {
	case gone == nil && n == 0:
		return errDisk, nil
	case gone == nil && n == 1:
		return nil, errDisk
	}
	return nil, nil
}

// faulty does an operation, or fails.
func faulty[A any](s erring, do func() (A, error)) (answer A, err error) {
	before, after := s.fate()
	if before != nil {
		return answer, before
	}
	done, err := do()
	if err == nil && after != nil {
		return answer, after
	}
	return done, err
}

// Insert implements docstore.Store.
func (s erring) Insert(ctx context.Context, rec *docstore.Record) error {
	_, err := faulty(s, func() (any, error) { return nil, s.Store.Insert(ctx, rec) })
	return err
}

// Get implements docstore.Store.
func (s erring) Get(ctx context.Context, id string) (*docstore.Record, error) {
	return faulty(s, func() (*docstore.Record, error) { return s.Store.Get(ctx, id) })
}

// Update implements docstore.Store.
func (s erring) Update(ctx context.Context, id string, change func(*docstore.Record) error) (*docstore.Record, error) {
	return faulty(s, func() (*docstore.Record, error) { return s.Store.Update(ctx, id, change) })
}

// Delete implements docstore.Store.
func (s erring) Delete(ctx context.Context, id string, version int64) (bool, error) {
	return faulty(s, func() (bool, error) { return s.Store.Delete(ctx, id, version) })
}

// Find implements docstore.Store.
func (s erring) Find(ctx context.Context, q docstore.Query) (docstore.Page, error) {
	return faulty(s, func() (docstore.Page, error) { return s.Store.Find(ctx, q) })
}

// Claim implements docstore.Store.
func (s erring) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]*docstore.Record, error) {
	return faulty(s, func() ([]*docstore.Record, error) { return s.Store.Claim(ctx, now, lease, limit) })
}

// MarkPublished implements docstore.Store.
func (s erring) MarkPublished(ctx context.Context, marks []docstore.Mark) error {
	_, err := faulty(s, func() (any, error) { return nil, s.Store.MarkPublished(ctx, marks) })
	return err
}

// routed is a service with pages.
type routed interface {
	program.Service
	Routes(mux *http.ServeMux)
}

// hasty is a callback-ingest that says OK to FlexPay before it has looked.
type hasty struct{ routed }

// Routes implements routed.
func (h hasty) Routes(mux *http.ServeMux) {
	inner := http.NewServeMux()
	h.routed.Routes(inner)
	mux.Handle("/callbacks/", inner)
	mux.HandleFunc("/callbacks/flexpay/{account}", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		later := r.Clone(context.WithoutCancel(r.Context()))
		later.Body = io.NopCloser(bytes.NewReader(body))
		_, _ = io.WriteString(w, "OK") // a vendor that left comes again
		go func() {
			pause(time.Second)
			inner.ServeHTTP(httptest.NewRecorder(), later)
		}()
	})
}
