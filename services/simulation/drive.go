package simulation

import (
	"time"
)

const (
	// stretch is how long the system is awake at least before it may be put to sleep.
	stretch = 4 * time.Second
	// worthwhile is the shortest sleep.
	worthwhile = 45 * time.Second
	// early is how long before the next event the system is woken.
	early = 3 * time.Second
	// aftermath is how long the system may take to bring everything to rest once
	// all faults are over: the longest pauses of its retries are a day.
	aftermath = 4 * 24 * time.Hour
	// patience is how many rounds of the aftermath go from one thing to do to the
	// next. Whoever waits for something that never comes, such as keys for an empty
	// pool, looks for it for ever: from then on the system sleeps at least for nap.
	patience = 60
	nap      = 2 * time.Hour
)

// live is the history: the shop opens, customers come and faults happen, then
// there are none any more, and in the end everybody's books are compared.
func (w *world) live() {
	w.calm.Store(true)
	for _, name := range names {
		w.nodes[name].start()
	}
	if !w.open() {
		return
	}
	w.began.Store(time.Now().UnixNano())
	w.calm.Store(false)
	for i, o := range w.plan.Orders {
		w.spawn(func() { w.shop.buy(i+1, o) })
	}
	for _, r := range w.plan.Refills {
		w.spawn(func() { w.refill(r) })
	}
	for _, n := range w.plan.Nights {
		w.spawn(func() { w.rest(n.At) }) // keeps the system awake until then
	}
	w.drive(func(time.Time) bool { return w.left.Load() == 0 && w.now() >= w.plan.Length })

	w.note("no faults from here on")
	w.calm.Store(true)
	w.rounds, w.until = 1, time.Now().Add(aftermath)
	w.drive(func(next time.Time) bool {
		return w.up() && (next.IsZero() || next.After(w.until) || time.Now().After(w.until))
	})
	w.check()
}

// up reports whether all services run.
func (w *world) up() bool {
	for _, n := range w.nodes {
		if n.current.Load() == nil {
			return false
		}
	}
	return true
}

// drive keeps the system running until done, which is told when something
// happens next. Where nothing would happen for a while the system is stopped
// and started again later: virtual hours of polling cost real time, virtual
// hours of nothing don't.
func (w *world) drive(done func(next time.Time) bool) {
	for {
		w.awake(stretch)
		next := w.next()
		if done(next) {
			return
		}
		if end := time.Unix(0, w.began.Load()).Add(w.plan.Length); next.IsZero() || w.rounds == 0 && next.After(end) && time.Now().Before(end) {
			next = end
		}
		gap := time.Until(next) - early
		if w.rounds > 0 {
			if w.rounds++; w.rounds > patience {
				gap = max(gap, nap)
			}
		}
		if gap >= worthwhile {
			w.asleep(gap)
		}
	}
}

// awake lets the system run, burying what crashes and starting it again.
func (w *world) awake(d time.Duration) {
	until := time.Now().Add(d)
	for {
		w.nightfall()
		at := until
		for _, name := range names {
			n := w.nodes[name]
			if n.current.Load() == nil && !n.wakeAt.After(time.Now()) {
				n.start()
			}
			if !n.wakeAt.IsZero() && n.wakeAt.Before(at) {
				at = n.wakeAt
			}
		}
		timer := time.NewTimer(time.Until(at))
		select {
		case l := <-w.crashed:
			if l.node.current.Load() == l {
				l.node.kill(l.crash.Down)
			}
		case <-timer.C:
			if !time.Now().Before(until) {
				return
			}
		}
		timer.Stop()
	}
}

// asleep stops the system for a while.
func (w *world) asleep(d time.Duration) {
	w.detail("nothing to do for %v", d)
	until := time.Now().Add(d)
	for _, name := range names {
		w.nodes[name].stop()
	}
	pause(time.Until(until))
}

// nightfall kills everything at once where the plan says so.
func (w *world) nightfall() {
	if len(w.plan.Nights) == 0 || w.now() < w.plan.Nights[0].At {
		return
	}
	n := w.plan.Nights[0]
	w.plan.Nights = w.plan.Nights[1:]
	w.note("everything is killed for %v", n.Length)
	for _, name := range names {
		w.nodes[name].kill(n.Length)
	}
}

// far is later than anything in a history.
var far = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)

// cursors is the collection of notification that is due for ever.
const cursors = "cursors"

// next is when something happens next that is not the driver's own polling;
// zero: nothing will.
func (w *world) next() time.Time {
	next := w.nextAlarm()
	for _, name := range names {
		n := w.nodes[name]
		next = earlier(next, n.wakeAt)
		l := n.current.Load()
		if l == nil {
			continue
		}
		for collection, s := range l.engine.stores {
			if collection == cursors {
				continue
			}
			at, err := s.inner.NextDue(w.ctx)
			if err == nil {
				next = earlier(next, at)
			}
			recs, err := s.inner.Unpublished(w.ctx, far, 1)
			if err == nil && len(recs) > 0 {
				next = earlier(next, recs[0].RelayAt)
			}
		}
	}
	return next
}
