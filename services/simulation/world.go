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
	"quittance/pkg/seal"
	"quittance/services/sabotage"
)

// world is one history under way.
type world struct {
	ctx      context.Context
	plan     Plan
	dice     dice
	sabotage sabotage.Kind
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

	// gone is told when nobody is left.
	gone chan struct{}
	// nap is until when nobody looks whether something is due, in Unix nanoseconds.
	nap atomic.Int64

	mu      sync.Mutex
	steps   []string
	moment  time.Time
	asked   map[string]int // questions at the moment
	faults  []string       // violated promises
	counts  map[string]int // of what happened, by kind
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

// count counts what happened, by kind.
func (w *world) count(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[kind]++
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

// rest waits as somebody outside does.
func (w *world) rest(d time.Duration) { pause(d) }

// earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// spawn lets somebody outside live.
func (w *world) spawn(live func()) {
	w.left.Add(1)
	w.people.Go(func() {
		live()
		if w.left.Add(-1) == 0 {
			select {
			case w.gone <- struct{}{}:
			default:
			}
		}
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
