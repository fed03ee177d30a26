package notification_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/testkit"
	"quittance/services/notification"
)

// BenchmarkDeliveries brings b.N events of as many orders to one endpoint, at a
// receiver in a process of its own, as fast as they go; share is what that is of
// plain POSTs of the same body to the same receiver. CPU is this process's: the
// service, SQLite and the bus.
//
//	go test -run '^$' -bench Deliveries -benchtime 5000x -count 5 ./services/notification
func BenchmarkDeliveries(b *testing.B) {
	_, url := spawn(b, "receiver")
	raw := rawPosts(b, url, b.N)
	before := count(b, url)
	r := newRig(b, notification.Config{})
	r.endpoint("acme", "main", url)
	cpu := cpuTime(b)
	b.ResetTimer()
	const together = 64
	batch := make([]event.Event, 0, together)
	for i := range b.N {
		e, err := r.past.happen(sevenKB("acme", i), event.OrderCanceled)
		if err != nil {
			b.Fatal(err)
		}
		if batch = append(batch, e); len(batch) == together || i == b.N-1 {
			if _, err := r.bus.Publish(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	testkit.Eventually(b, 10*time.Minute, func() error {
		if got := count(b, url) - before; got < b.N {
			return fmt.Errorf("%d of %d delivered", got, b.N)
		}
		return nil
	})
	b.StopTimer()
	perSecond := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(perSecond, "deliveries/s")
	b.ReportMetric(raw, "raw-posts/s")
	b.ReportMetric(100*perSecond/raw, "%share")
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/1000/float64(b.N), "cpu-ms/delivery")
	b.ReportMetric(0, "ns/op")
}

// rawPosts is how many plain POSTs a second the receiver takes from 64 at once.
func rawPosts(b *testing.B, url string, n int) float64 {
	b.Helper()
	body := bytes.Repeat([]byte("x"), 7000)
	hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer hc.CloseIdleConnections()
	start := time.Now()
	jobs := make(chan struct{})
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range jobs {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					continue
				}
				resp, err := hc.Do(req)
				if err != nil {
					b.Error(err)
					continue
				}
				_ = resp.Body.Close()
			}
		})
	}
	for range n {
		jobs <- struct{}{}
	}
	close(jobs)
	wg.Wait()
	return float64(n) / time.Since(start).Seconds()
}

// count asks the receiver how many it has got.
func count(b *testing.B, url string) int {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	raw, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	n, convErr := strconv.Atoi(string(raw))
	if err != nil || convErr != nil {
		b.Fatal(err, convErr)
	}
	return n
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// clocked is a receiver that notes how long after each event its first request
// came, and its first that was answered 2xx.
type clocked struct {
	*httptest.Server
	// pause is how long an answer takes, refuse whether a first request fails.
	pause  func() time.Duration
	refuse func() bool

	mu    sync.Mutex
	seen  map[string]bool
	first []time.Duration
	done  []time.Duration
}

func newClocked(b *testing.B, pause func() time.Duration, refuse func() bool) *clocked {
	b.Helper()
	c := &clocked{pause: pause, refuse: refuse, seen: map[string]bool{}}
	c.Server = httptest.NewServer(http.HandlerFunc(c.take))
	b.Cleanup(c.Close)
	return c
}

func (c *clocked) take(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var body struct{ Timestamp time.Time }
	if err != nil || json.Unmarshal(raw, &body) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	late := time.Since(body.Timestamp)
	id := r.Header.Get("webhook-id")
	c.mu.Lock()
	again := c.seen[id]
	if c.seen[id] = true; !again {
		c.first = append(c.first, late)
	}
	c.mu.Unlock()
	time.Sleep(c.pause())
	if !again && c.refuse() {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	c.mu.Lock()
	c.done = append(c.done, late)
	c.mu.Unlock()
}

func (c *clocked) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.done)
}

func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return all[int(q*float64(len(all)-1))]
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// BenchmarkLatency brings b.N events at 200 a second, with bodies of 7 kB, to a
// receiver that takes 100 ms (p50) and 240 ms (p95) to answer and refuses a fifth
// of the first requests. first is from event to first request, accepted from
// event to the request that was answered 2xx, whose next try is 5 s after the first.
//
//	go test -run '^$' -bench Latency -benchtime 6000x -count 5 ./services/notification
func BenchmarkLatency(b *testing.B) {
	const perSecond = 200
	sigma := math.Log(2.4) / 1.645 // of a log-normal with that p50 and p95
	receiver := newClocked(b, func() time.Duration {
		return time.Duration(100 * math.Exp(sigma*rand.NormFloat64()) * float64(time.Millisecond))
	}, func() bool { return rand.Float64() < 0.2 })
	r := newRig(b, notification.Config{})
	r.endpoint("acme", "main", receiver.URL)
	cpu := cpuTime(b)
	b.ResetTimer()
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for i := range b.N {
		<-tick.C
		r.emit(sevenKB("acme", i), event.OrderCreated)
	}
	testkit.Eventually(b, time.Minute, func() error {
		if got := receiver.count(); got < b.N {
			return fmt.Errorf("%d of %d accepted", got, b.N)
		}
		return nil
	})
	b.StopTimer()
	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	b.ReportMetric(millis(quantile(receiver.first, 0.5)), "first-p50-ms")
	b.ReportMetric(millis(quantile(receiver.first, 0.99)), "first-p99-ms")
	b.ReportMetric(millis(quantile(receiver.done, 0.5)), "accepted-p50-ms")
	b.ReportMetric(millis(quantile(receiver.done, 0.99)), "accepted-p99-ms")
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/1000/float64(b.N), "cpu-ms/event")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkIsolation brings events to 200 endpoints, one a second each, for 15
// seconds: five times with all of them well and five times with ten that take
// connections and never answer, in turns. It prints each p99 (from event to
// request, of the 190 that are always well), and the medians' ratio.
//
//	go test -run '^$' -bench Isolation -timeout 30m ./services/notification
func BenchmarkIsolation(b *testing.B) {
	const runs = 5 // b.N stays 1 for a benchmark of benchmarks
	var without, with []time.Duration
	for i := range runs {
		without = append(without, isolated(b, 0))
		with = append(with, isolated(b, 10))
		// A benchmark of benchmarks reports nothing itself.
		fmt.Printf("run %d: p99 %v without, %v with ten black holes\n", i+1, without[i], with[i])
	}
	a, c := quantile(without, 0.5), quantile(with, 0.5)
	fmt.Printf("median of %d: p99 %v without, %v with, ratio %.2f\n", runs, a, c, float64(c)/float64(a))
}

// isolated is one run; it returns the p99 of those that are well.
func isolated(b *testing.B, holes int) time.Duration {
	b.Helper()
	const endpoints, always, seconds = 200, 190, 15
	var p99 time.Duration
	b.Run(fmt.Sprint("holes=", holes), func(b *testing.B) {
		well := newClocked(b, func() time.Duration { return 20 * time.Millisecond }, func() bool { return false })
		rest := newClocked(b, func() time.Duration { return 20 * time.Millisecond }, func() bool { return false })
		hole := blackHole(b)
		r := newRig(b, notification.Config{})
		for i := range endpoints {
			url := well.URL
			switch {
			case i >= endpoints-holes:
				url = hole
			case i >= always:
				url = rest.URL
			}
			r.endpoint(fmt.Sprintf("m%03d", i), "main", url)
		}
		tick := time.NewTicker(time.Second / endpoints)
		defer tick.Stop()
		for n := range seconds {
			for i := range endpoints {
				<-tick.C
				r.emit(sevenKB(fmt.Sprintf("m%03d", i), n), event.OrderCanceled)
			}
		}
		testkit.Eventually(b, time.Minute, func() error {
			if got := well.count(); got < always*seconds {
				return fmt.Errorf("%d of %d delivered", got, always*seconds)
			}
			return nil
		})
		well.mu.Lock()
		defer well.mu.Unlock()
		p99 = quantile(well.first, 0.99)
	})
	return p99
}

// blackHole takes connections and never answers.
func blackHole(b *testing.B) string {
	b.Helper()
	var lc net.ListenConfig
	listener, err := lc.Listen(context.WithoutCancel(b.Context()), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
		}
	}()
	b.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
	})
	return "http://" + listener.Addr().String()
}
