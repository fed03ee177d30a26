package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/docstore/sqlite"
	"quittance/pkg/event"
	"quittance/pkg/rpc"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/standalone"
)

// crew is how many work at once on a floor.
const crew = 32

// Names of the floors; each has ops/s and CPU µs/op.
const (
	rowFloors    = "1 floors"
	floorPublish = "JetStream publish"
	floorConsume = "JetStream consume"
	floorInsert  = "docstore insert"
	floorCAS     = "docstore compare-and-set"
	floorPost    = "loopback HTTP POST"
	floorUnary   = "gRPC unary"
)

type (
	floorsArgs struct {
		Dir string
		// Receiver takes the POSTs.
		Receiver string
	}
	// done is how much was done in which time.
	done struct {
		N    int
		Took time.Duration
		CPU  time.Duration
	}
)

// floors are the parts underneath the system, in a process of their own, each
// used in the way the system does.
type floors struct {
	args   floorsArgs
	bus    *bus.Bus
	engine docstore.Engine
	store  docstore.Store
	next   atomic.Int64
	closes []func() error
}

func floorsRole() (map[string]command, func() error) {
	f := &floors{}
	timed := func(do func(ctx context.Context, n int64) error) command {
		return with(func(ctx context.Context, d time.Duration) (any, error) { return measure(ctx, d, crew, f.numbered(do)) })
	}
	return map[string]command{
		"start":      with(f.start),
		floorPublish: timed(f.publish),
		floorConsume: func(ctx context.Context, _ json.RawMessage) (any, error) { return f.consume(ctx) },
		floorInsert:  timed(func(ctx context.Context, n int64) error { return f.store.Insert(ctx, record(n)) }),
		floorCAS:     timed(f.change),
		floorPost:    timed(f.post),
	}, f.close
}

func (f *floors) start(ctx context.Context, args floorsArgs) (any, error) {
	f.args = args
	server, err := standalone.StartNATS(args.Dir)
	if err != nil {
		return nil, err
	}
	f.closes = append(f.closes, func() error {
		server.Shutdown()
		server.WaitForShutdown()
		return nil
	})
	f.bus, err = bus.Connect(ctx, bus.Config{InProcess: server, Name: "bench", Options: bus.Options{
		Log: slog.New(slog.DiscardHandler), Table: bus.Table{"bench": {event.OrderCreated}},
	}})
	if err != nil {
		return nil, err
	}
	f.closes = append(f.closes, f.bus.Close)
	if err := f.bus.Ensure(ctx); err != nil {
		return nil, err
	}
	if f.engine, err = sqlite.Open(ctx, filepath.Join(args.Dir, "floors.db"), sqlite.Options{}); err != nil {
		return nil, err
	}
	f.closes = append(f.closes, f.engine.Close)
	if f.store, err = f.engine.Open(ctx, docstore.StoreSpec{Name: "orders", Indexes: []string{"email", "status"}}); err != nil {
		return nil, err
	}
	for n := range int64(crew) { // what compare-and-set changes
		if err := f.store.Insert(ctx, record(-1-n)); err != nil {
			return nil, err
		}
	}
	grpc, err := rpc.NewServer(rpc.ServerOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	addr, stop, err := serving(ctx, func(ctx context.Context, l net.Listener) error { return grpc.Serve(ctx, l) })
	if err != nil {
		return nil, err
	}
	f.closes = append(f.closes, stop)
	return addr, nil
}

func (f *floors) close() error {
	var errs []error
	for i := len(f.closes) - 1; i >= 0; i-- {
		errs = append(errs, f.closes[i]())
	}
	return errors.Join(errs...)
}

func (f *floors) numbered(do func(ctx context.Context, n int64) error) func(context.Context, int) error {
	return func(ctx context.Context, _ int) error { return do(ctx, f.next.Add(1)) }
}

func (f *floors) publish(ctx context.Context, n int64) error {
	order := fmt.Sprintf("ord_%032x", n)
	e, err := event.New(event.OrderCreated, "bench", order, order, "acme", time.Now(), &eventv1.OrderEvent{Order: &orderv1.Order{
		Id: order, MerchantId: "acme", Customer: &orderv1.Customer{Email: "ada@example.com", Name: "Ada Lovelace"},
		Lines: []*orderv1.Line{{Number: 1, ProductId: "notepad", Name: "Notepad Pro", Quantity: 1}},
	}})
	if err != nil {
		return err
	}
	_, err = f.bus.Publish(ctx, []event.Event{e})
	return err
}

// nobody parks: the handler of the floors refuses nothing.
type nobody struct{}

func (nobody) Park(_ context.Context, _ event.Event, cause error) error { return cause }

// consume takes what publish has left, until no more comes.
func (f *floors) consume(ctx context.Context) (done, error) {
	const quiet = 500 * time.Millisecond
	before, err := usageNow()
	if err != nil {
		return done{}, err
	}
	var n atomic.Int64
	var last atomic.Int64
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	begun := time.Now()
	ended := make(chan error, 1)
	go func() {
		ended <- f.bus.Consume(ctx, "bench", map[string]bus.Handler{event.OrderCreated: func(context.Context, event.Event) error {
			n.Add(1)
			last.Store(int64(time.Since(begun)))
			return nil
		}}, nobody{})
	}()
	err = until(ctx, time.Minute, func() error {
		if since := time.Since(begun) - time.Duration(last.Load()); n.Load() == 0 || since < quiet {
			return errors.New("still consuming")
		}
		return nil
	})
	after, uerr := usageNow()
	stop()
	return done{int(n.Load()), time.Duration(last.Load()), after.CPU - before.CPU}, errors.Join(err, uerr, <-ended)
}

// change is a compare-and-set; each worker has documents of its own.
func (f *floors) change(ctx context.Context, n int64) error {
	_, err := f.store.Update(ctx, record(-1-n%crew).ID, func(rec *docstore.Record) error {
		rec.Body[n%int64(len(rec.Body))]++
		rec.Due = rec.Due.Add(time.Second)
		return nil
	})
	return err
}

var floorsHTTP = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: crew}}

func (f *floors) post(ctx context.Context, n int64) error {
	body := fmt.Appendf(nil, `{"timestamp":%q,"pad":"%01000d"}`, time.Now().Format(time.RFC3339Nano), n)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.args.Receiver, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("webhook-id", fmt.Sprint("floor-", n))
	resp, err := floorsHTTP.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the receiver answered %s", resp.Status)
	}
	return nil
}

// record is a document of the size of an order.
func record(n int64) *docstore.Record {
	id, at := fmt.Sprintf("ord_%016x", n), time.Now().Add(time.Hour)
	return &docstore.Record{
		ID: id, Tenant: "acme", Body: bytes.Repeat([]byte("0123456789abcdef"), 64),
		Index: map[string]string{"email": id + "@example.com", "status": "unpaid"}, Due: at, RelayAt: at, Emitted: 1,
		Outbox: []docstore.Entry{{Seq: 1, Event: event.Event{
			ID: "evt_" + id, Type: event.OrderCreated, Source: "order", Subject: id, Key: id, Merchant: "acme",
			Time: at, Data: bytes.Repeat([]byte("payload "), 32),
		}}},
	}
}

// measure has workers do something again and again for a time, and counts.
func measure(ctx context.Context, d time.Duration, workers int, do func(ctx context.Context, worker int) error) (done, error) {
	before, err := usageNow()
	if err != nil {
		return done{}, err
	}
	var n atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, workers)
	begun := time.Now()
	for worker := range workers {
		wg.Go(func() {
			for time.Since(begun) < d {
				if err := do(ctx, worker); err != nil {
					errs <- err
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(begun)
	close(errs)
	after, err := usageNow()
	return done{int(n.Load()), took, after.CPU - before.CPU}, errors.Join(err, <-errs)
}

// floors measures all of them.
func (b *bench) floors(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(b.dir, "floors-")
	if err != nil {
		return err
	}
	var url, addr string
	receiver, err := spawn(ctx, "receiver", nil, &url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, receiver.stop()) }()
	c, err := spawn(ctx, "floors", floorsArgs{dir, url}, &addr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	conn, err := rpc.Dial(addr, rpc.DialOptions{})
	if err != nil {
		return err
	}
	defer conn.Close()
	health := healthv1.NewHealthClient(conn)
	for range b.Repeats {
		for _, name := range []string{floorPublish, floorConsume, floorInsert, floorCAS, floorPost} {
			var d done
			if err := c.ask(name, b.Floor, &d); err != nil {
				return err
			}
			b.floor(name, d)
		}
		before, err := c.usage()
		if err != nil {
			return err
		}
		d, err := measure(ctx, b.Floor, crew, func(ctx context.Context, _ int) error {
			_, err := health.Check(ctx, &healthv1.HealthCheckRequest{})
			return err
		})
		if err != nil {
			return err
		}
		after, err := c.usage()
		if err != nil {
			return err
		}
		d.CPU = after.CPU - before.CPU
		b.floor(floorUnary, d)
	}
	return nil
}

func (b *bench) floor(name string, d done) {
	b.report.add(rowFloors, name, "rate", "/s", "", float64(d.N)/d.Took.Seconds())
	b.report.add(rowFloors, name, "CPU", "µs each", "", float64(d.CPU.Microseconds())/float64(max(d.N, 1)))
}
