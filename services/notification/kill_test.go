package notification_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"

	"quittance/pkg/bus"
	busmemory "quittance/pkg/bus/memory"
	"quittance/pkg/event"
	"quittance/pkg/seal"
	"quittance/pkg/testkit"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification"
)

// beNotification is the service in a process of its own. It has no bus: what
// happens it learns from the order service's history, so that a kill at any
// moment meets both halves.
func beNotification() int {
	b := busmemory.New(busmemory.Config{Options: bus.Options{
		Log: slog.New(slog.DiscardHandler), Tracer: tracenoop.NewTracerProvider(), Meter: metricnoop.NewMeterProvider(),
	}})
	r := &rig{}
	ctx := context.Background()
	stop, err := runService(ctx, os.Getenv(envDir), os.Getenv(envOrders), os.Getenv(envKeys), b, notification.Config{
		CatchUp: 100 * time.Millisecond, Retries: []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, time.Second, time.Second, time.Second},
	}, grpc.ServiceRegistrar(r))
	if err != nil {
		fmt.Println("failed: ", err)
		return 1
	}
	for i, url := range strings.Split(os.Getenv(envURLs), " ") {
		_, err := r.api.PutEndpoint(asMerchant(ctx, "acme"), &notificationv1.PutEndpointRequest{
			Endpoint: &notificationv1.Endpoint{Id: fmt.Sprint("e", i), Url: url},
		})
		if err != nil {
			fmt.Println("failed: ", err)
			return 1
		}
	}
	fmt.Println("ready")
	orphaned()
	if err := stop(); err != nil {
		return 1
	}
	return 0
}

// ledger is a receiver that keeps books. Every nth request is refused.
type ledger struct {
	*httptest.Server
	nth int

	mu    sync.Mutex
	n     int
	first map[string]time.Time        // by event id
	again map[string][]time.Time      // accepted more than once
	order map[string]map[int64]string // event ids by order and sequence
	last  map[string]int64            // sequence by order, of first arrivals
	wrong []string
}

func newLedger(t *testing.T, nth int) *ledger {
	t.Helper()
	l := &ledger{
		nth: nth, first: map[string]time.Time{}, again: map[string][]time.Time{},
		order: map[string]map[int64]string{}, last: map[string]int64{},
	}
	l.Server = httptest.NewServer(http.HandlerFunc(l.take))
	t.Cleanup(l.Close)
	return l
}

func (l *ledger) take(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var body struct {
		Data struct {
			Sequence int64
			Order    struct{ ID string }
		}
	}
	if err != nil || json.Unmarshal(raw, &body) != nil {
		return // the sender died
	}
	id, order, sequence := r.Header.Get("webhook-id"), body.Data.Order.ID, body.Data.Sequence
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n++; l.nth > 0 && l.n%l.nth == 0 {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if l.order[order] == nil {
		l.order[order] = map[int64]string{}
	}
	if known := l.order[order][sequence]; known != "" && known != id {
		l.wrong = append(l.wrong, fmt.Sprintf("%s/%d came as %s and %s", order, sequence, known, id))
	}
	l.order[order][sequence] = id
	if _, known := l.first[id]; known {
		l.again[id] = append(l.again[id], time.Now())
		return
	}
	l.first[id] = time.Now()
	if sequence != l.last[order]+1 {
		l.wrong = append(l.wrong, fmt.Sprintf("%s/%d came first after %d", order, sequence, l.last[order]))
	}
	l.last[order] = sequence
}

// TestP7KilledUnderLoad: the process is killed, stopped in order and killed
// again while events pour in and one of the receivers refuses some. Nothing is lost, the first arrivals
// of each order are in sequence, and what comes twice had a kill in between and
// the same id.
func TestP7KilledUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("the leases of killed processes take half a minute")
	}
	good, bad := newLedger(t, 0), newLedger(t, 5)
	happened := newPast()
	env := []string{
		envDir + "=" + t.TempDir(), envOrders + "=" + happened.serve(t), envKeys + "=" + seal.Generate(), envURLs + "=" + good.URL + " " + bad.URL,
	}
	child, said, stop := spawnStoppable(t, "notification", env...)
	if said != "ready" {
		t.Fatal(said)
	}
	const orders, each = 300, 4
	types := []string{event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered}
	poured := make(chan struct{})
	go func() {
		defer close(poured)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for _, typ := range types {
			for i := range orders {
				<-tick.C
				if _, err := happened.happen(&orderv1.Order{Id: fmt.Sprintf("ord_%03d", i), MerchantId: "acme"}, typ); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	var kills []time.Time
	for i := range 3 {
		want := (i + 1) * orders * each / 5
		testkit.Eventually(t, time.Minute, func() error { return good.has(min(want, orders*each/4)) })
		if i == 1 { // in order: that alone has nothing sent again
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		} else {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = child.Wait()
			kills = append(kills, time.Now())
		}
		if child, said, stop = spawnStoppable(t, "notification", env...); said != "ready" {
			t.Fatal(said)
		}
	}
	<-poured
	for _, l := range []*ledger{good, bad} {
		testkit.Eventually(t, 3*time.Minute, func() error { return l.has(orders * each) })
		l.mu.Lock()
		for _, w := range l.wrong {
			t.Error(w)
		}
		for id, times := range l.again {
			between := 0
			for _, k := range kills {
				if k.After(l.first[id].Add(-time.Second)) && k.Before(times[len(times)-1]) {
					between++
				}
			}
			if between < len(times) {
				t.Errorf("%s came %d times again with %d kills in between", id, len(times), between)
			}
		}
		t.Logf("%d events, %d of them came again", len(l.first), len(l.again))
		l.mu.Unlock()
	}
}

var errFew = errors.New("not yet")

func (l *ledger) has(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.first) < n {
		return fmt.Errorf("%w: %d of %d", errFew, len(l.first), n)
	}
	return nil
}
