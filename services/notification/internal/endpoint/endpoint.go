// Package endpoint is the endpoint aggregate: where a merchant receives
// webhooks, which ones, with which secrets, and whether it still does. It is
// pure.
package endpoint

import (
	"reflect"
	"slices"
	"time"

	"quittance/pkg/backoff"
	"quittance/pkg/id"
)

const (
	// skew is how far the clocks of two services may differ: an event this much
	// older than its endpoint still counts as newer.
	skew = time.Second
	// resumeAgain is when a resumed endpoint's queues are looked for a second
	// time: later than anybody who saw it disabled can still be writing so.
	resumeAgain = 2 * time.Minute
	// resumePause is the pace at which queues are resumed, one page each.
	resumePause = time.Second
)

// Settings are what a merchant decides about an endpoint.
type Settings struct {
	URL string `json:"url"`
	// Types to send; empty: all.
	Types []string `json:"types,omitempty"`
	// Products and Metadata select orders: one with a line of any of the
	// products and with all of the metadata; empty: all.
	Products []string          `json:"products,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	// Timeout bounds one try; 0: the system's.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Retries are the pauses between tries; empty: the system's.
	Retries backoff.Schedule `json:"retries,omitempty"`
	// InFlight and PerSecond bound the requests; 0: the system's, none.
	InFlight  int `json:"in_flight,omitempty"`
	PerSecond int `json:"per_second,omitempty"`
	// Notify is where notices are mailed; empty: the merchant's mail address.
	Notify   string `json:"notify,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
	// Credentials are sealed, with the document's id as context, as
	// [Credentials] in JSON; empty: none.
	Credentials string `json:"credentials,omitempty"`
	// HeaderNames and Authorization say what is in the credentials.
	HeaderNames   []string `json:"header_names,omitempty"`
	Authorization string   `json:"authorization,omitempty"`
}

// Credentials are what requests carry beside the signature.
type Credentials struct {
	Headers  map[string]string `json:"headers,omitempty"`
	Username string            `json:"username,omitempty"`
	Password string            `json:"password,omitempty"`
	Bearer   string            `json:"bearer,omitempty"`
}

// Endpoint is the stored document.
type Endpoint struct {
	Settings
	Merchant string `json:"merchant"`
	// ID is the merchant's own.
	ID string `json:"id"`
	// Unordered: the events of an order don't wait for each other.
	Unordered bool `json:"unordered,omitempty"`
	// Secret is sealed; its context is the document's id. Older ones sign too
	// for a while.
	Secret  string    `json:"secret"`
	Older   []Older   `json:"older,omitempty"`
	Created time.Time `json:"created"`
	// Enabled is when it was last enabled; zero: at its creation. DisabledBy is
	// who disabled it.
	Enabled    time.Time `json:"enabled,omitzero"`
	DisabledBy Cause     `json:"disabled_by,omitempty"`
	// Failing is the first of nothing but failures; zero: it is well. Problem is
	// the latest of them that was noted.
	Failing time.Time `json:"failing,omitzero"`
	Problem string    `json:"problem,omitempty"`
	// Notices are to be given to the merchant.
	Notices []Notice `json:"notices,omitempty"`
	// Warned is when the merchant was last mailed about exhausted events.
	Warned time.Time `json:"warned,omitzero"`
	// Probe is when a failing endpoint's next few waiting queues get their try.
	Probe time.Time `json:"probe,omitzero"`
	// Resume is when the queues that were paused while the endpoint was disabled
	// are to be looked for; zero: never. Last: it is the last look.
	Resume time.Time `json:"resume,omitzero"`
	Last   bool      `json:"last,omitempty"`
}

// DocID is the id of an endpoint's document.
func DocID(merchant, endpointID string) string { return id.Derived("whe", merchant, endpointID) }

// Precedes reports whether an event is older than the endpoint, which then
// never hears of it unless the merchant asks.
func (e *Endpoint) Precedes(at time.Time) bool { return at.Before(e.Created.Add(-skew)) }

// Order is what filters look at, of the order that an event is about.
type Order struct {
	Products []string
	Metadata map[string]string
}

// Wants reports whether the endpoint subscribed to a type of event, of an order
// like this; nil: it is about none.
func (e *Endpoint) Wants(typ string, o *Order) bool {
	if len(e.Types) > 0 && !slices.Contains(e.Types, typ) {
		return false
	}
	if o == nil {
		return true
	}
	if len(e.Products) > 0 && !slices.ContainsFunc(o.Products, func(p string) bool { return slices.Contains(e.Products, p) }) {
		return false
	}
	for key, value := range e.Metadata {
		if got, there := o.Metadata[key]; !there || got != value {
			return false
		}
	}
	return true
}

// Put takes over new settings and reports whether anything changed. Enabling
// what was disabled has the paused queues resumed.
func (e *Endpoint) Put(s Settings, now time.Time) bool {
	if reflect.DeepEqual(e.Settings, s) {
		return false
	}
	switch {
	case s.Disabled && !e.Disabled:
		e.disabled(ByMerchant)
	case !s.Disabled && (e.Disabled || e.URL != s.URL && !e.Failing.IsZero()):
		e.enabled(now)
	}
	e.Settings = s
	return true
}

// Switch pauses or resumes the endpoint and reports whether that changed it.
func (e *Endpoint) Switch(disabled bool, now time.Time) bool {
	s := e.Settings
	s.Disabled = disabled
	return e.Put(s, now)
}

func (e *Endpoint) enabled(now time.Time) {
	e.Enabled, e.Resume, e.Last = now, now, false
	e.DisabledBy, e.Failing, e.Problem, e.Probe = "", time.Time{}, "", time.Time{}
}

func (e *Endpoint) disabled(by Cause) {
	e.Disabled, e.DisabledBy = true, by
	e.Resume, e.Last, e.Probe = time.Time{}, false, time.Time{}
}

// Resumed notes that a page of queues was resumed and plans the next look.
func (e *Endpoint) Resumed(more bool, now time.Time) {
	switch {
	case e.Resume.IsZero():
	case more:
		e.Resume = now.Add(resumePause)
	case !e.Last:
		e.Resume, e.Last = now.Add(resumeAgain), true
	default:
		e.Resume, e.Last = time.Time{}, false
	}
}

// NextDue is when the endpoint has work to do by itself: giving notices,
// resuming, probing.
func NextDue(e *Endpoint) time.Time {
	var next time.Time
	sooner := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if len(e.Notices) > 0 {
		sooner(e.Notices[0].At)
	}
	sooner(e.Resume)
	sooner(e.Probe)
	return next
}
