package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"quittance/pkg/id"
	"quittance/pkg/provider/flexpay"
	"quittance/services/standalone"
)

const rowCallbacks = "3 callback acknowledgement"

// The kinds of callbacks: of ten, six are new, two repeat one of a second ago,
// two are forged.
const kindKnown, kindRepeated, kindForged = "known", "repeated", "forged"

// callbacks sends FlexPay postbacks, open loop, whatever the system answers.
func (b *bench) callbacks(ctx context.Context) error {
	for _, perSecond := range b.PerSecond {
		for _, down := range []bool{false, true} {
			kind := fmt.Sprintf("%d/s, store up", perSecond)
			if down {
				kind = fmt.Sprintf("%d/s, store down", perSecond)
			}
			if err := b.within(ctx, func(ctx context.Context, w *world) error { return b.acknowledged(ctx, w, kind, perSecond, down) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// acknowledged measures one rate.
func (b *bench) acknowledged(ctx context.Context, w *world, kind string, perSecond int, down bool) error {
	if err := w.system.ask("break", down, nil); err != nil {
		return err
	}
	first := 0
	for range b.Repeats {
		n := int(float64(perSecond) * b.Callbacks.Seconds())
		before, err := w.system.usage()
		if err != nil {
			return err
		}
		took, err := w.postbacks(ctx, first, n, perSecond)
		if err != nil {
			return err
		}
		after, err := w.system.usage()
		if err != nil {
			return err
		}
		first += n
		for _, which := range []string{kindKnown, kindRepeated, kindForged} {
			if len(took[which]) == 0 {
				continue // there are no repeats in the first second
			}
			b.report.add(rowCallbacks, kind, which+" p50", "ms", "", quantile(took[which], 0.5))
			b.report.add(rowCallbacks, kind, which+" p99", "ms", "", quantile(took[which], 0.99))
		}
		b.report.add(rowCallbacks, kind, "CPU of the services", "ms per callback", "", millis(after.CPU-before.CPU)/float64(n))
	}
	return w.system.ask("break", false, nil)
}

// postbacks sends n callbacks, from the given number on, and returns by kind how
// long the answers took, from when they were to be sent: waiting in line counts.
func (w *world) postbacks(ctx context.Context, first, n, perSecond int) (map[string][]time.Duration, error) {
	var mu sync.Mutex
	took, errs := map[string][]time.Duration{}, []error(nil)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range n {
		at := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		if err := pause(ctx, time.Until(at)); err != nil {
			errs = append(errs, err)
			break
		}
		wg.Go(func() {
			kind, err := w.postback(ctx, first+i, perSecond)
			late := time.Since(at)
			mu.Lock()
			defer mu.Unlock()
			took[kind] = append(took[kind], late)
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		return nil, fmt.Errorf("%d of %d callbacks, first: %w", len(errs), n, errs[0])
	}
	return took, nil
}

// postback sends the callback of a number and returns its kind.
func (w *world) postback(ctx context.Context, n, perSecond int) (string, error) {
	kind, which := kindKnown, n
	switch {
	case n%10 >= 8:
		kind = kindForged
	case n%10 >= 6 && n >= perSecond:
		kind, which = kindRepeated, (n-perSecond)/10*10
	}
	target := w.url + "/callbacks/flexpay/" + standalone.DemoAccount + "?" + flexpay.SignData(signatureKey, flexpay.Params{
		"saleID": fmt.Sprint(1_000_000 + which), "referenceID": id.Derived("pay", fmt.Sprint(which)), "shopID": shopID,
		"type": "purchase", "priceAmount": "9.99", "priceCurrency": "EUR", "paymentMethod": "CC",
	}).Query()
	if kind == kindForged {
		target += "&CCBrand=VISA" // is not what was signed
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return kind, err
	}
	resp, err := plain.Do(req)
	if err != nil {
		return kind, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if ok := string(body) == "OK"; ok != (kind != kindForged) {
		err = errors.Join(err, fmt.Errorf("a %s callback was answered %s %q", kind, resp.Status, body))
	}
	return kind, err
}
