package e2e

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/id"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// BenchmarkOrders takes whole orders (create, pay in a browser's steps,
// callback, verify, licence, mail, four webhooks) through standalone, closed
// loop, with 1, 8 and 32 buyers. System and sandbox are processes of their own;
// only the system's CPU is counted.
//
//	go test -run '^$' -bench Orders -benchtime 300x -count 5 ./services/e2e
func BenchmarkOrders(b *testing.B) {
	b.Logf("%d CPUs, %s %s/%s", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, buyers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("buyers=%d", buyers), func(b *testing.B) {
			s := newStorm(b)
			s.run(b, 20, buyers) // warm
			cpu := s.system.cpu(b)
			b.ResetTimer()
			lives := s.run(b, b.N, buyers)
			b.StopTimer()
			used := s.system.cpu(b) - cpu
			slices.Sort(lives)
			at := func(q float64) float64 { return float64(lives[int(q*float64(len(lives)-1))].Microseconds()) / 1000 }
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
			b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N), "cpu-ms/order")
			b.ReportMetric(at(0.5), "p50-ms")
			b.ReportMetric(at(0.99), "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// run takes n orders through with a number of buyers and returns how long each
// took from created to delivered, by the order's own times.
func (s *storm) run(b *testing.B, n, buyers int) []time.Duration {
	var next atomic.Int64
	var wg sync.WaitGroup
	lives := make([]time.Duration, n)
	for range buyers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				life, err := s.buy(b.Context())
				if err != nil {
					b.Error(err)
					return
				}
				lives[i] = life
			}
		})
	}
	wg.Wait()
	return lives
}

func (s *storm) buy(ctx context.Context) (time.Duration, error) {
	o, err := s.orders.CreateOrder(ctx, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("bench"), Currency: "EUR", Customer: &orderv1.Customer{Email: "bench@example.com"},
		Items: []*orderv1.OrderItem{item("notepad", 1)}, ReturnUrl: s.back + "/return",
	})
	if err != nil {
		return 0, err
	}
	visit, err := client.PayLikeABrowser(ctx, o.GetPayUrl(), client.Pay{Method: standalone.DemoAccount})
	if err != nil || !visit.Ordered {
		return 0, fmt.Errorf("pay: %w, visited %v", err, visit.URLs)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	watch, err := s.orders.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: o.GetId()})
	for err == nil && o.GetDeliveryState() != delivered {
		o, err = watch.Recv()
	}
	if err != nil {
		return 0, err
	}
	return o.GetDeliveredTime().AsTime().Sub(o.GetCreateTime().AsTime()), nil
}

// cpu is the processor time that the process has used, of Linux's /proc.
func (p *process) cpu(b *testing.B) time.Duration {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		b.Skip("processor time is read from /proc: ", err)
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	total := 0
	for _, f := range fields[11:13] { // utime and stime, proc(5), in ticks of 1/100 s
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		total += n
	}
	return time.Duration(total) * 10 * time.Millisecond
}
