package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"quittance/pkg/id"
	"quittance/pkg/provider/flexpay"
	"quittance/services/standalone"
)

// BenchmarkCallbacks sends FlexPay postbacks to standalone, open loop, 500 a
// second whatever it answers: of ten, six are new, two repeat one of a second
// ago, two are forged. It reports how long acknowledgements of authentic ones
// took, from when they were to be sent: waiting in line counts.
//
//	go test -run '^$' -bench Callbacks -benchtime 15000x ./services/e2e
func BenchmarkCallbacks(b *testing.B) {
	const perSecond = 500
	s := newStorm(b)
	query := func(n int) string {
		data := flexpay.Params{
			"saleID": fmt.Sprint(1_000_000 + n), "referenceID": id.Derived("pay", fmt.Sprint(n)), "shopID": stormShop,
			"type": "purchase", "priceAmount": "9.99", "priceCurrency": "EUR", "paymentMethod": "CC",
		}
		return flexpay.SignData(stormKey, data).Query()
	}
	browser := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	answers := make([]time.Duration, b.N) // 0: a forged one
	send := func(n int, at time.Time) {
		forged := n%10 >= 8
		which := n
		if n%10 >= 6 && !forged {
			which = max(0, n-perSecond) / 10 * 10 // a new one of a second ago
		}
		target := s.edge + "/callbacks/flexpay/" + standalone.DemoAccount + "?" + query(which)
		if forged {
			target += "&CCBrand=VISA" // is not what was signed
		}
		resp, err := browser.Get(target)
		if err != nil {
			b.Error(err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if ok := string(body) == "OK"; err != nil || ok == forged {
			b.Errorf("callback %d, forged: %t: %d %s, %v", n, forged, resp.StatusCode, body, err)
		}
		if !forged {
			answers[n] = time.Since(at)
		}
	}
	send(0, time.Now()) // warm
	b.ResetTimer()
	start := time.Now()
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	var wg sync.WaitGroup
	for n := range b.N {
		at := start.Add(time.Duration(n) * time.Second / perSecond)
		for time.Now().Before(at) {
			<-tick.C
		}
		wg.Go(func() { send(n, at) })
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(answers)
	answers = answers[len(answers)-len(slices.DeleteFunc(slices.Clone(answers), func(d time.Duration) bool { return d == 0 })):]
	if len(answers) == 0 {
		b.Fatal("nothing was acknowledged")
	}
	at := func(q float64) float64 { return float64(answers[int(q*float64(len(answers)-1))].Microseconds()) / 1000 }
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "callbacks/s")
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(0, "ns/op")
}
