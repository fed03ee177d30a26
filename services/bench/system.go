package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/mail"
	"quittance/pkg/service"
	"quittance/pkg/telemetry"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	callbackingest "quittance/services/callback-ingest"
	"quittance/services/notification"
	"quittance/services/standalone"
)

// operatorKey of the measured system, which lives as long as a row.
const operatorKey = "operator-key-of-the-bench"

type (
	// systemArgs start the system; addresses of the first start are given to the
	// next, so that it comes up where it was.
	systemArgs struct {
		Dir        string
		GRPC, HTTP string
		SMTPHost   string
		SMTPPort   int
	}
	systemAnswer struct{ GRPC, URL string }

	// emitArgs are public events of N orders that never were, from First on,
	// PerSecond (0: as fast as they go), with bodies of a size.
	emitArgs struct{ First, N, PerSecond, Bytes int }
)

// system is standalone, opened up: operations are counted, a store can fail,
// events be emitted and orders be put into the stores.
type system struct {
	tally     Tally
	broken    atomic.Bool
	stock     stock
	bus       service.Bus
	stop      context.CancelFunc
	ended     chan error
	profiling *os.File
}

func systemRole() (map[string]command, func() error) {
	s := &system{stock: stock{stores: map[string]docstore.Store{}}}
	return map[string]command{
		"start":  with(s.start),
		"counts": func(context.Context, json.RawMessage) (any, error) { return s.tally.Counts(), nil },
		"break": with(func(_ context.Context, broken bool) (any, error) {
			s.broken.Store(broken)
			return true, nil
		}),
		"emit":     with(s.emit),
		"remember": func(ctx context.Context, _ json.RawMessage) (any, error) { return true, s.stock.remember(ctx) },
		"multiply": with(s.stock.multiply),
		"profile":  with(s.profile),
	}, s.close
}

func (s *system) start(ctx context.Context, args systemArgs) (any, error) {
	cfg := standalone.Config{
		DataDir: args.Dir, GRPCAddr: args.GRPC, HTTPAddr: args.HTTP, OperatorKey: operatorKey,
		ReturnWait: 5 * time.Second, CallbacksPerSecond: 1 << 20, ServiceAllow: []string{"127.0.0.0/8"},
		Notification: notification.Config{AllowCIDRs: []string{"127.0.0.0/8"}, CatchUp: 5 * time.Second},
		SMTP:         mail.Config{Host: args.SMTPHost, Port: args.SMTPPort, TLS: mail.TLSNone},
		Telemetry:    telemetry.Config{Level: slog.LevelError + 1}, // a store that fails says so a thousand times
	}
	sys, err := standalone.Open(ctx, cfg, standalone.Options{
		Engine: func(name string, e docstore.Engine) docstore.Engine {
			e = s.stock.engine(name, s.tally.Engine(name, e))
			if name == callbackingest.Name {
				e = breakable{e, &s.broken}
			}
			return e
		},
		Bus: func(b service.Bus) service.Bus {
			s.bus = b
			return s.tally.Bus(b)
		},
	})
	if err != nil {
		return nil, err
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.ended = make(chan error, 1)
	go func() { s.ended <- sys.Run(ctx) }()
	return systemAnswer{sys.GRPCAddr(), sys.PublicURL()}, nil
}

func (s *system) close() error {
	if s.stop == nil {
		return nil
	}
	s.stop()
	return <-s.ended
}

// emit publishes past the orders: what is measured is notification alone.
func (s *system) emit(ctx context.Context, args emitArgs) (any, error) {
	const together = 64
	batch := make([]event.Event, 0, together)
	begun := time.Now()
	for i := range args.N {
		e, err := madeUp(args.First+i, args.Bytes)
		if err != nil {
			return nil, err
		}
		batch = append(batch, e)
		if args.PerSecond > 0 {
			if err := pause(ctx, time.Until(begun.Add(time.Duration(i)*time.Second/time.Duration(args.PerSecond)))); err != nil {
				return nil, err
			}
			batch[0].Time = time.Now()
		}
		if args.PerSecond > 0 || len(batch) == together || i == args.N-1 {
			if _, err := s.bus.Publish(ctx, batch); err != nil {
				return nil, err
			}
			batch = batch[:0]
		}
	}
	return true, nil
}

// madeUp is an event whose webhook has about so many bytes: an order's line makes
// about 350.
func madeUp(n, bytes int) (event.Event, error) {
	o := &orderv1.Order{
		Id: fmt.Sprintf("ord_%032x", n), MerchantId: standalone.DemoMerchant, Sequence: 1,
		Customer: &orderv1.Customer{Email: "ada@example.com", Name: "Ada Lovelace", Locale: "en"},
		Total:    &orderv1.Money{Minor: 39_980, Currency: "EUR"},
	}
	for i := range max(1, bytes/350) {
		o.Lines = append(o.Lines, &orderv1.Line{
			Number: int32(i + 1), ProductId: fmt.Sprintf("product-%02d", i), Name: "A product with a name of the usual length", Quantity: 1,
			UnitPrice: &orderv1.Money{Minor: 1999, Currency: "EUR"}, Amount: &orderv1.Money{Minor: 1999, Currency: "EUR"},
			DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL, DeliveryState: orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED,
		})
	}
	return event.New(event.OrderCreated, "order", o.GetId(), o.GetId(), o.GetMerchantId(), time.Now(), &eventv1.OrderEvent{Order: o, Sequence: 1})
}

// profile begins a profile of the processor in a file, or ends it if that is empty.
func (s *system) profile(_ context.Context, path string) (any, error) {
	if path == "" {
		pprof.StopCPUProfile()
		return true, s.profiling.Close()
	}
	var err error
	if s.profiling, err = os.Create(path); err != nil {
		return nil, err
	}
	return true, pprof.StartCPUProfile(s.profiling)
}

var errBroken = errors.New("the store is down")

// breakable is an engine that refuses everything while it is broken.
type breakable struct {
	docstore.Engine
	broken *atomic.Bool
}

func (e breakable) Open(ctx context.Context, spec docstore.StoreSpec) (docstore.Store, error) {
	s, err := e.Engine.Open(ctx, spec)
	return &breakableStore{s, e.broken}, err
}

type breakableStore struct {
	docstore.Store
	broken *atomic.Bool
}

func (s *breakableStore) down() error {
	if s.broken.Load() {
		return errBroken
	}
	return nil
}

func (s *breakableStore) Insert(ctx context.Context, rec *docstore.Record) error {
	if err := s.down(); err != nil {
		return err
	}
	return s.Store.Insert(ctx, rec)
}

func (s *breakableStore) Get(ctx context.Context, id string) (*docstore.Record, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, id)
}

func (s *breakableStore) Update(ctx context.Context, id string, change func(*docstore.Record) error) (*docstore.Record, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	return s.Store.Update(ctx, id, change)
}

func (s *breakableStore) Find(ctx context.Context, q docstore.Query) (docstore.Page, error) {
	if err := s.down(); err != nil {
		return docstore.Page{}, err
	}
	return s.Store.Find(ctx, q)
}

func (s *breakableStore) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]*docstore.Record, error) {
	if err := s.down(); err != nil {
		return nil, err
	}
	return s.Store.Claim(ctx, now, lease, limit)
}

func (s *breakableStore) MarkPublished(ctx context.Context, marks []docstore.Mark) error {
	if err := s.down(); err != nil {
		return err
	}
	return s.Store.MarkPublished(ctx, marks)
}
