package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	busmemory "quittance/pkg/bus/memory"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	"quittance/pkg/seal"
)

// world is one history under way.
type world struct {
	ctx      context.Context
	plan     Plan
	dice     dice
	sabotage Sabotage
	keyring  *seal.Keyring
	log      *slog.Logger
	verbose  bool

	began atomic.Int64 // in Unix nanoseconds
	// calm: no faults any more, or not yet.
	calm  atomic.Bool
	bus   *busmemory.Bus
	nodes map[string]*node
	// crashed are lives that ended by a crash.
	crashed chan *life

	provider *provider
	mails    *mailbox
	hooks    *receiver
	shop     *shop
	// people are customers, postbacks, everybody outside; left of them are not
	// done yet.
	people sync.WaitGroup
	left   atomic.Int64

	// until is when the aftermath ends, rounds counts how often something was to
	// be done in it.
	until  time.Time
	rounds int

	mu      sync.Mutex
	steps   []string
	moment  time.Time
	asked   map[string]int // questions at the moment
	alarms  map[int]time.Time
	alarm   int
	arrives []time.Time // of events on the bus
	faults  []string    // violated promises
	endings []*ending
	// imported counts the keys of each pool.
	imported map[string]int
}

// pause lets virtual time pass.
func pause(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the clock is virtual, and nothing else moves it

// now is the time since the history began.
func (w *world) now() time.Duration { return time.Duration(time.Now().UnixNano() - w.began.Load()) }

// note writes down a step of the history.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps = append(w.steps, fmt.Sprintf("%-16s %s", "+"+w.now().Round(time.Microsecond).String(), fmt.Sprintf(format, args...)))
}

// detail is a note for those who look closely.
func (w *world) detail(format string, args ...any) {
	if w.verbose {
		w.note("    "+format, args...)
	}
}

// Write takes the services' log lines.
func (w *world) Write(line []byte) (int, error) {
	w.detail("log %s", strings.TrimSpace(string(line)))
	return len(line), nil
}

// ask rolls the dice for a question that belongs to this instant.
func (w *world) ask(question string) *rand.Rand {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); !now.Equal(w.moment) {
		w.moment = now
		clear(w.asked)
	}
	w.asked[question]++
	return w.dice.roll(question, w.now(), w.asked[question])
}

// storm says at which rate something fails now.
func (w *world) storm(wind Wind, service string) float64 {
	if w.calm.Load() {
		return 0
	}
	rate, now := 0.0, w.now()
	for _, s := range w.plan.Storms {
		if s.Wind == wind && s.Service == service && s.From <= now && now < s.To {
			rate = max(rate, s.Rate)
		}
	}
	return rate
}

// rest waits as somebody outside does: the system must be awake afterwards.
func (w *world) rest(d time.Duration) {
	w.mu.Lock()
	w.alarm++
	n := w.alarm
	w.alarms[n] = time.Now().Add(d)
	w.mu.Unlock()
	pause(d)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.alarms, n)
}

// nextAlarm is when somebody outside, or an event on the bus, comes next; zero
// if nobody does.
func (w *world) nextAlarm() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	var next time.Time
	for _, at := range w.alarms {
		next = earlier(next, at)
	}
	now, coming := time.Now(), w.arrives[:0]
	for _, at := range w.arrives {
		if !at.Before(now) {
			coming, next = append(coming, at), earlier(next, at)
		}
	}
	w.arrives = coming
	return next
}

// earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// openBus makes the bus; storms decide what becomes of its events.
func (w *world) openBus() {
	w.bus = busmemory.New(busmemory.Config{
		Options: bus.Options{Log: w.log},
		Fate: func(service string, e event.Event) []time.Duration {
			delays := w.fate(service, e)
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, d := range delays {
				w.arrives = append(w.arrives, time.Now().Add(d))
			}
			return delays
		},
	})
}

func (w *world) fate(service string, e event.Event) []time.Duration {
	r := w.ask("fate " + service + e.Type)
	on := between(r, 0, 3*time.Millisecond)
	if !chance(r, w.storm(WindBus, service)) {
		return []time.Duration{on}
	}
	var delays []time.Duration
	switch fate := r.IntN(6); {
	case e.Type == event.CallbackRescued && fate < 2:
		// The bus is all that has it (P2): late, but not lost.
		delays = []time.Duration{between(r, 0, time.Minute)}
	case fate < 3: // lost
	case fate == 3:
		delays = []time.Duration{on, on + between(r, 0, 10*time.Second)}
	case fate == 4:
		delays = []time.Duration{between(r, 0, 2*time.Minute)}
	default: // the bus is set back
		delays = []time.Duration{on, between(r, time.Minute, 6*time.Hour)}
	}
	w.detail("bus: %s to %s after %v", e.Type, service, delays)
	return delays
}

// spawn lets somebody outside live.
func (w *world) spawn(live func()) {
	w.left.Add(1)
	w.people.Go(func() {
		defer w.left.Add(-1)
		live()
	})
}

// fail notes a violated promise.
func (w *world) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.note("VIOLATION %s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, text)
}
