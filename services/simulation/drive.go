package simulation

import (
	"time"
)

const (
	// stretch is how long the system gets to deal with what happened, at least,
	// before it is asked what comes next.
	stretch = 4 * time.Second
	// aftermath is how long the system may take to bring everything to rest once
	// all faults are over: the longest pauses of its retries are a day.
	aftermath = 4 * 24 * time.Hour
	// patience is how many rounds of the aftermath go from one thing to do to the
	// next. Whoever waits for something that never comes, such as keys for an empty
	// pool, looks for it for ever: from then on it may look once a nap.
	patience = 60
	nap      = 2 * time.Hour
	longNap  = 24 * time.Hour // while months go by
)

// live is the history: the shop opens, customers come and faults happen, then
// there are none any more, and in the end everybody's books are compared.
func (w *world) live() {
	w.calm.Store(true)
	w.places(func(p *place) { p.start() })
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
	for _, at := range w.plan.Desk {
		w.spawn(func() { w.shop.clerk(at) })
	}
	w.awake(time.Now().Add(w.plan.Length), nil)
	for w.left.Load() > 0 {
		w.awake(far, w.gone)
	}

	w.note("no faults from here on")
	w.calm.Store(true)
	w.settle(time.Now().Add(aftermath))
	if w.plan.Late > 0 {
		w.late()
	}
	w.check()
}

// late lives on until orders have expired, and what customers do then.
func (w *world) late() {
	at := time.Unix(0, w.began.Load()).Add(w.plan.Late)
	for next := w.next(); !next.IsZero() && next.Before(at); next = w.next() {
		if next = later(next, time.Now().Add(longNap)); next.After(at) {
			next = at
		}
		w.nap.Store(next.UnixNano())
		w.awake(next.Add(stretch), nil)
	}
	w.awake(at, nil)
	w.note("orders have expired; faults again")
	w.calm.Store(false)
	for _, b := range w.shop.orders {
		if b.plan.PaysLate {
			w.spawn(func() { w.shop.payLate(b) })
		}
	}
	w.spawn(func() { w.shop.clerk(lateLength) })
	w.awake(at.Add(lateLength), nil)
	for w.left.Load() > 0 {
		w.awake(far, w.gone)
	}
	w.note("no faults from here on")
	w.calm.Store(true)
	w.settle(time.Now().Add(aftermath))
}

// settle lets the system come to rest: nothing is to be done before the time.
func (w *world) settle(until time.Time) {
	for round := 1; ; round++ {
		w.awake(time.Now().Add(stretch), nil)
		now, next := time.Now(), w.next()
		if w.up() && (next.IsZero() || next.After(until) || now.After(until)) {
			return
		}
		if round > patience {
			next = now.Add(max(nap, next.Sub(now)))
			w.nap.Store(next.UnixNano())
		}
		w.awake(next, nil)
	}
}

// napping is until when nobody looks whether something is due.
func (w *world) napping() time.Time { return time.Unix(0, w.nap.Load()) }

// places does something to every place, in order.
func (w *world) places(do func(*place)) {
	for _, name := range names {
		for _, p := range w.nodes[name].places {
			do(p)
		}
	}
}

// up reports whether all processes run.
func (w *world) up() bool {
	up := true
	w.places(func(p *place) { up = up && p.current.Load() != nil })
	return up
}

// awake lets the system run until a time, or until done says so, burying what
// crashes and starting it again.
func (w *world) awake(until time.Time, done <-chan struct{}) {
	for {
		at := earlier(until, w.operate())
		w.places(func(p *place) {
			if p.current.Load() == nil && !p.wakeAt.After(time.Now()) {
				p.start()
			}
			if !p.wakeAt.IsZero() {
				at = earlier(at, p.wakeAt)
			}
		})
		timer := time.NewTimer(time.Until(at))
		select {
		case l := <-w.crashed:
			if l.place.current.Load() == l {
				l.place.kill(l.crash.Down)
			}
		case <-done:
			timer.Stop()
			return
		case <-timer.C:
			if !time.Now().Before(until) {
				return
			}
		}
		timer.Stop()
	}
}

// operate kills everything at once, or stops one service's processes one after
// the other, where the plan says so, and returns when it does so next.
func (w *world) operate() (next time.Time) {
	if w.calm.Load() {
		return next
	}
	for len(w.plan.Nights) > 0 && w.now() >= w.plan.Nights[0].At {
		n := w.plan.Nights[0]
		w.plan.Nights = w.plan.Nights[1:]
		w.note("everything is killed for %v", n.Length)
		w.count("everything is killed")
		w.places(func(p *place) { p.kill(n.Length) })
	}
	for len(w.plan.Stops) > 0 && w.now() >= w.plan.Stops[0].At {
		s := w.plan.Stops[0]
		w.plan.Stops = w.plan.Stops[1:]
		w.note("%s is stopped, in order, for %v", s.Service, s.Length)
		w.count("a service is stopped in order")
		for _, p := range w.nodes[s.Service].places {
			p.stop(s.Length)
		}
	}
	began := time.Unix(0, w.began.Load())
	if len(w.plan.Nights) > 0 {
		next = began.Add(w.plan.Nights[0].At)
	}
	if len(w.plan.Stops) > 0 {
		next = earlier(next, began.Add(w.plan.Stops[0].At))
	}
	return next
}

// next is when something happens next; zero: nothing will. Catching up, which is
// due for ever, counts while there may be something new to read.
func (w *world) next() time.Time {
	next := w.bus.Next()
	w.places(func(p *place) {
		next = earlier(next, p.wakeAt)
		l := p.current.Load()
		if l == nil {
			return
		}
		for collection, s := range l.engine.stores {
			if collection == sweeps || collection == cursors && p.node.turns.Load() >= enough {
				continue
			}
			if at, err := s.inner.NextDue(w.ctx); err == nil {
				next = earlier(next, at)
			}
		}
		if at, err := l.engine.relayAt(w.ctx); err == nil {
			next = earlier(next, at)
		}
	})
	return next
}
