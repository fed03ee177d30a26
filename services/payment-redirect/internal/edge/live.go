package edge

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"quittance/pkg/fault"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Live order pages: how often the order is looked at, at first and after
// liveFresh, how long a connection lasts before the browser makes another, how
// often a quiet one shows that it lives, and how many there are at once.
const (
	livePoll   = time.Second
	liveSlow   = 5 * time.Second
	liveFresh  = 2 * time.Minute
	liveFor    = 10 * time.Minute
	liveBeat   = 15 * time.Second
	liveAtOnce = 1000
)

// fingerprint changes with whatever the order page shows.
func fingerprint(o *orderv1.Order) string {
	return fmt.Sprintf("%d-%d-%d-%d", o.GetSequence(), o.GetPaymentState(), o.GetDeliveryState(), o.GetRefunded().GetMinor())
}

// events tells a browser, by server-sent events, that its page of the order has
// become old. It says no more than that: the page itself says what is known.
func (p *Pages) events(w http.ResponseWriter, r *http.Request) {
	select {
	case p.watching <- struct{}{}:
		defer func() { <-p.watching }()
	default: // the page asks now and then instead
		p.fail(w, r, fault.Unavailable("too many pages are followed"))
		return
	}
	o, err := p.byToken(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	protect(w.Header())
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies must not wait for more
	control, shown, start, last := http.NewResponseController(w), r.URL.Query().Get("v"), time.Now(), time.Now()
	tell := func(text string) bool {
		last = time.Now()
		_, err := w.Write([]byte(text))
		return err == nil && control.Flush() == nil
	}
	if !tell("retry: 3000\n\n") {
		return
	}
	poll := time.NewTimer(0)
	defer poll.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-poll.C:
		}
		if fresh, err := p.byToken(r); err == nil { // else what was said stays the last that is known
			o = fresh
		}
		if is := fingerprint(o); is != shown {
			shown = is
			if !tell("event: changed\ndata: " + strconv.Quote(is) + "\n\n") {
				return
			}
		}
		if time.Since(last) > liveBeat && !tell(":\n\n") || time.Since(start) > liveFor {
			return
		}
		pause := livePoll
		if time.Since(start) > liveFresh {
			pause = liveSlow
		}
		poll.Reset(pause)
	}
}
