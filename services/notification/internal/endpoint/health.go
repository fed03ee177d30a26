package endpoint

import (
	"slices"
	"time"
)

// Cause is who disabled an endpoint.
type Cause string

// Causes.
const (
	ByMerchant Cause = "merchant"
	// ByGone: it answered 410.
	ByGone Cause = "gone"
	// ByFailing: there was nothing but failures for days.
	ByFailing Cause = "failing"
)

// Kind is what a notice is about.
type Kind string

// Kinds.
const (
	Failing   Kind = "failing"
	Recovered Kind = "recovered"
	// Exhausted: a webhook used up its tries.
	Exhausted Kind = "exhausted"
	Disabled  Kind = "disabled"
)

// Notice is something the merchant is to be told about the endpoint.
type Notice struct {
	Kind Kind `json:"kind"`
	// At is when it came to pass; Since when it began.
	At      time.Time `json:"at"`
	Since   time.Time `json:"since"`
	Problem string    `json:"problem,omitempty"`
}

const (
	// failAfter is how long there must have been nothing but failures.
	failAfter = time.Minute
	// probePause is the pace at which waiting queues of a failing endpoint get a try.
	probePause = time.Minute
	// warnPause is the shortest time between mails about exhausted webhooks.
	warnPause = time.Hour
)

// Fail notes that since a time nothing but failures came from the URL given,
// lately for the reason given, and reports whether that changed anything: the
// endpoint is failing now, or, after giveUp of it, disabled.
func (e *Endpoint) Fail(url string, since time.Time, problem string, giveUp time.Duration, now time.Time) bool {
	if e.Disabled || e.URL != url {
		return false
	}
	if since.Before(e.Enabled) {
		since = e.Enabled
	}
	if e.Failing.IsZero() {
		if now.Sub(since) < failAfter {
			return false
		}
		e.Failing, e.Problem, e.Probe = since, problem, now.Add(probePause)
		e.notice(Failing, since, now)
		return true
	}
	if now.Sub(e.Failing) < giveUp {
		return false
	}
	e.Problem = problem
	e.disabled(ByFailing)
	e.notice(Disabled, e.Failing, now)
	return true
}

// Succeed notes a success of a failing endpoint and reports whether it was one.
// What waits is resumed.
func (e *Endpoint) Succeed(now time.Time) bool {
	if e.Failing.IsZero() || e.Disabled {
		return false
	}
	e.notice(Recovered, e.Failing, now)
	e.enabled(now)
	return true
}

// Quit disables an endpoint that answered 410 at the URL given, and reports
// whether that changed anything: not if it was moved or disabled meanwhile.
func (e *Endpoint) Quit(url string, now time.Time) bool {
	if e.Disabled || e.URL != url {
		return false
	}
	e.Problem = "410 Gone"
	e.disabled(ByGone)
	e.notice(Disabled, now, now)
	return true
}

// Warn reports whether it is time for another mail about exhausted webhooks,
// and notes that it is sent.
func (e *Endpoint) Warn(now time.Time) bool {
	if !e.Warned.IsZero() && now.Sub(e.Warned) < warnPause {
		return false
	}
	e.Warned = now
	return true
}

// Probed notes that some waiting queues got their try, or were looked for.
func (e *Endpoint) Probed(now time.Time) {
	if !e.Probe.IsZero() {
		e.Probe = now.Add(probePause)
	}
}

func (e *Endpoint) notice(k Kind, since, now time.Time) {
	e.Notices = append(e.Notices, Notice{Kind: k, At: now, Since: since, Problem: e.Problem})
}

// Noticed notes that these notices are on their way.
func (e *Endpoint) Noticed(given []Notice) {
	e.Notices = slices.DeleteFunc(e.Notices, func(n Notice) bool {
		return slices.ContainsFunc(given, func(g Notice) bool { return g.Kind == n.Kind && g.At.Equal(n.At) })
	})
	if len(e.Notices) == 0 {
		e.Notices = nil
	}
}
