// Package endpoint is the endpoint aggregate: where a merchant receives
// webhooks, which ones, and whether it still does. It is pure.
package endpoint

import (
	"slices"
	"time"

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

// Endpoint is the stored document.
type Endpoint struct {
	Merchant string `json:"merchant"`
	// ID is the merchant's own.
	ID  string `json:"id"`
	URL string `json:"url"`
	// Types to send; empty: all.
	Types    []string `json:"types,omitempty"`
	Disabled bool     `json:"disabled,omitempty"`
	// Gone: the endpoint disabled itself by answering 410.
	Gone bool `json:"gone,omitempty"`
	// Secret is sealed; its context is the document's id.
	Secret  string    `json:"secret"`
	Created time.Time `json:"created"`
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

// Wants reports whether the endpoint subscribed to a type of event.
func (e *Endpoint) Wants(typ string) bool {
	return len(e.Types) == 0 || slices.Contains(e.Types, typ)
}

// Settings are what a merchant decides about an endpoint.
type Settings struct {
	URL      string
	Types    []string
	Disabled bool
}

// Put takes over new settings and reports whether anything changed. Enabling
// what was disabled has the paused queues resumed.
func (e *Endpoint) Put(s Settings, now time.Time) bool {
	if e.URL == s.URL && slices.Equal(e.Types, s.Types) && e.Disabled == s.Disabled {
		return false
	}
	if e.Disabled && !s.Disabled {
		e.Resume, e.Last = now, false
	}
	if s.Disabled != e.Disabled {
		e.Gone = false
	}
	if s.Disabled {
		e.Resume, e.Last = time.Time{}, false
	}
	e.URL, e.Types, e.Disabled = s.URL, s.Types, s.Disabled
	return true
}

// Quit disables an endpoint that answered 410 at the URL given, and reports
// whether that changed anything: not if it was moved or disabled meanwhile.
func (e *Endpoint) Quit(url string) bool {
	if e.Disabled || e.URL != url {
		return false
	}
	e.Disabled, e.Gone = true, true
	e.Resume, e.Last = time.Time{}, false
	return true
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

// NextDue is when the endpoint has work to do by itself: resuming.
func NextDue(e *Endpoint) time.Time { return e.Resume }
