package verifications

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"quittance/pkg/provider"
)

// Figures of the gates, all ours.
const (
	// breakAfter failures in a row a provider's account is left alone, for
	// firstBreak, then twice as long each time all probes fail, up to longestBreak.
	breakAfter   = 5
	firstBreak   = 10 * time.Second
	longestBreak = 30 * time.Second
	// After a break so many calls probe. Not one: a few payments about which the
	// provider has no answer must not keep all others from being asked about.
	probes = 5
	// probePause is how much later others come back while these probe.
	probePause = 2 * time.Second
	// crowded is how much later a question that nobody waits for comes back while
	// half of the account's rate or more is taken.
	crowded = 15 * time.Second
	// hintRate is how many questions a second unsigned callbacks may cause per
	// account, and hintBurst how many at once; the rest waits, at most hintWait.
	hintRate  = 2
	hintBurst = 20
	hintWait  = time.Minute
)

// gates keep us polite: a rate limit and a circuit breaker for the calls of each
// account. They live in memory: a restarted process begins with closed breakers.
type gates struct {
	now func() time.Time
	log *slog.Logger

	mu        sync.Mutex
	byAccount map[string]*gate
}

type gate struct {
	calls, hints *rate.Limiter
	failures     int
	pause        time.Duration
	openUntil    time.Time
	// underWay are calls without an answer yet, failed the probes since the last break.
	underWay, failed int
	// answered is when the provider last answered any call.
	answered time.Time
}

// silent is the problem of a question that waits for the end of a break.
const silent = "the provider does not answer: asked again later"

// errNotAsked is how a call left whose turn did not come in time.
var errNotAsked = errors.New("not asked")

func newGates(now func() time.Time, log *slog.Logger) *gates {
	return &gates{now: now, log: log, byAccount: map[string]*gate{}}
}

func (gs *gates) of(account string) *gate {
	g := gs.byAccount[account]
	if g == nil {
		g = &gate{hints: rate.NewLimiter(hintRate, hintBurst)}
		gs.byAccount[account] = g
	}
	return g
}

// call is what a gate knows of a call.
type call struct {
	// failingSince is when its payment first had no answer, zero for never.
	failingSince time.Time
	// urgent: somebody waits for it.
	urgent bool
}

// wait says when to come back, and why if that is a problem.
type wait struct {
	until   time.Time
	problem string
}

// enter waits for the account's turn, at most perSecond of them. While its
// breaker is open, or others come first, later says when to come back; otherwise
// leave must be called with the call's error. A payment that has failed since
// before the provider last answered for another one fails by itself: it tells
// nothing about the account, so that a few hundred of them don't keep its breaker
// open for each other. The rate goes by the machine's clock, as its Wait does.
func (gs *gates) enter(ctx context.Context, account string, perSecond int, c call) (leave func(error), later *wait, err error) {
	gs.mu.Lock()
	g, now := gs.of(account), gs.now()
	byItself := !c.failingSince.IsZero() && c.failingSince.Before(g.answered)
	if g.calls == nil || g.calls.Burst() != perSecond { // new, or set otherwise
		g.calls = rate.NewLimiter(rate.Limit(perSecond), perSecond)
	}
	switch {
	case now.Before(g.openUntil):
		later = &wait{g.openUntil, silent}
	case !byItself && g.failures >= breakAfter && g.underWay+g.failed >= probes:
		later = &wait{now.Add(probePause), silent}
	case !c.urgent && g.calls.Tokens() < float64(perSecond)/2:
		later = &wait{until: now.Add(crowded)}
	case !byItself:
		g.underWay++
	}
	calls := g.calls
	gs.mu.Unlock()
	if later != nil {
		return nil, later, nil
	}
	if err := calls.Wait(ctx); err != nil {
		gs.left(account, g, byItself, errNotAsked)
		return nil, nil, err
	}
	return func(err error) { gs.left(account, g, byItself, err) }, nil, nil
}

// left notes how a call went. A provider that declines has answered, and one
// that can't be asked was not.
func (gs *gates) left(account string, g *gate, byItself bool, err error) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if !byItself {
		g.underWay--
	}
	if errors.Is(err, provider.ErrReferenceMissing) || errors.Is(err, errNotAsked) {
		return
	}
	if err == nil || errors.Is(err, provider.ErrDeclined) {
		g.answered = gs.now()
		if g.failures >= breakAfter {
			gs.log.Info("provider answers again", "account", account)
		}
		g.failures, g.failed, g.pause = 0, 0, 0
		return
	}
	if byItself {
		return
	}
	g.failures++
	switch {
	case g.failures < breakAfter, gs.now().Before(g.openUntil): // the latter began before the break
		return
	case g.failures > breakAfter:
		if g.failed++; g.failed < probes {
			return
		}
	}
	g.failed = 0
	g.pause = min(max(2*g.pause, firstBreak), longestBreak)
	g.openUntil = gs.now().Add(g.pause)
	gs.log.Warn("provider does not answer: left alone for a while", "account", account, "pause", g.pause, "error", err)
}

// Hint is how long the question waits that an unsigned callback asks for, so
// that forged ones can't make us flood the provider.
func (vs *Verifications) Hint(account string) time.Duration { return vs.gates.hint(account) }

func (gs *gates) hint(account string) time.Duration {
	gs.mu.Lock()
	hints := gs.of(account).hints
	gs.mu.Unlock()
	now := gs.now()
	r := hints.ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait <= hintWait {
		return wait
	}
	r.CancelAt(now)
	return hintWait
}
