// Package queue is the queue aggregate: the events of one order on their way
// to one endpoint, in sequence. It decides what is to be done next: send an
// event, ask the order service for one that is missing, or wait. It is pure:
// time, events and results are arguments.
package queue

import (
	"slices"
	"time"

	"quittance/pkg/backoff"
	"quittance/pkg/event"
	"quittance/pkg/id"
)

// Retries are the pauses after a failed try: ten tries in 75 hours, the example
// schedule of Standard Webhooks 1.0 ("Deliverability and reliability").
//
//	try    1            2    3      4       5    6    7     8     9     10
//	after  immediately  5 s  5 min  30 min  2 h  5 h  10 h  14 h  20 h  24 h  (each ±20 %)
//	since  0:00:00      :05  0:05   0:35    2:35 7:35 17:35 31:35 51:35 75:35
var Retries = backoff.Schedule{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// asks are the pauses before the order service is asked about a gap: first the
// bus gets its chance. The last one repeats.
var asks = backoff.Schedule{3 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute}

// putOffs are the pauses of a queue whose endpoint was busy. The last one
// repeats; nothing is counted as a try.
var putOffs = backoff.Schedule{
	time.Second, 2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute,
}

const (
	// MaxRetryAfter bounds what a receiver may ask for; where the schedule
	// pauses longer, it does.
	MaxRetryAfter = time.Hour
	// maxResult and maxResponse are the longest kept result, and response of an
	// attempt, in characters.
	maxResult   = 300
	maxResponse = 1000
	// maxAttempts is how many attempts of an event are kept, the latest.
	maxAttempts = 20
)

// State is how far one event came.
type State string

const (
	// Skipped: not for this endpoint. Nobody acts.
	Skipped State = "skipped"
	// Pending: it is sent at Next, after those before it.
	Pending State = "pending"
	// Delivered: the endpoint answered 2xx. Nobody acts.
	Delivered State = "delivered"
	// Exhausted: all tries failed. The merchant acts (Replay).
	Exhausted State = "exhausted"
)

// Event is one event of the order.
type Event struct {
	// Sequence numbers the order's events: 1, 2, 3 …
	Sequence int64     `json:"seq"`
	ID       string    `json:"id,omitempty"`
	Type     string    `json:"type,omitempty"`
	Time     time.Time `json:"time,omitzero"`
	State    State     `json:"state"`
	// Data is what the body is rendered from; kept while the event is pending, and
	// for good if it is about no order.
	Data []byte `json:"data,omitempty"`
	// Round is how often the merchant has had the event sent again.
	Round int `json:"round,omitempty"`
	Tries int `json:"tries,omitempty"`
	// Next is when a pending event may be sent.
	Next time.Time `json:"next,omitzero"`
	// Result is what came of the latest try, at Tried.
	Result string    `json:"result,omitempty"`
	Tried  time.Time `json:"tried,omitzero"`
	// Attempts are the latest tries, oldest first.
	Attempts []Attempt `json:"attempts,omitempty"`
	// About is what an endpoint's filters look at; not stored, and nil for
	// events that are about no order.
	About *About `json:"-"`
	// Test: an example, sent even while the endpoint is disabled.
	Test bool `json:"test,omitempty"`
}

// About is the order that an event is about.
type About struct {
	Products []string
	Metadata map[string]string
}

// Attempt is one try.
type Attempt struct {
	Try int `json:"try"`
	// At is when it ended, Took how long it was under way.
	At   time.Time     `json:"at"`
	Took time.Duration `json:"took"`
	// Status is 0 if there was no answer.
	Status int `json:"status,omitempty"`
	// Response is the beginning of the answer, or why there was none.
	Response string `json:"response,omitempty"`
}

// Queue is the stored document.
type Queue struct {
	Merchant string `json:"merchant"`
	// Endpoint is the merchant's own id of it.
	Endpoint string `json:"endpoint"`
	// Order is empty if the one event is about no order.
	Order string `json:"order,omitempty"`
	// Erased: the order's customer is, and nothing is kept that may name them.
	Erased bool `json:"erased,omitempty"`
	// Created is when the document was made.
	Created time.Time `json:"created,omitzero"`
	// Single: the queue is that of one event, which waits for no other.
	Single bool `json:"single,omitempty"`
	// Events in sequence; what is missing in between has not arrived.
	Events []Event `json:"events"`
	// Paused: the endpoint is disabled.
	Paused bool `json:"paused,omitempty"`
	// AskAt is when the order service is asked for what is missing, Asked how
	// often it was in vain.
	AskAt time.Time `json:"ask_at,omitzero"`
	Asked int       `json:"asked,omitempty"`
	// NotBefore holds a queue back whose endpoint was busy PutOff times.
	NotBefore time.Time `json:"not_before,omitzero"`
	PutOff    int       `json:"put_off,omitempty"`
	// Slot: NotBefore is the queue's turn among those that wait for an endpoint
	// with a limited rate.
	Slot bool `json:"slot,omitempty"`
}

// DocID is the id of a queue's document. The key is the order's id, or the
// event's if the queue is of a single one.
func DocID(key, endpoint string) string { return id.Derived("whk", key, endpoint) }

// Action is what a queue needs next.
type Action int

// Actions.
const (
	// Rest: nothing to do until something happens.
	Rest Action = iota
	// Send: the event is the next to be sent.
	Send
	// Ask: an event is missing before the next; the order service has it.
	Ask
)

// Step is the next thing to be done and when.
type Step struct {
	Action Action
	// At is zero for Rest.
	At time.Time
	// Event is the one to Send.
	Event Event
}

// Step returns what is to be done next. The events go out one after the other:
// while one waits for its next try, or is missing, so do all behind it.
func (q *Queue) Step() Step {
	if q.Paused {
		return Step{}
	}
	for i, e := range q.Events {
		if q.gap(i) {
			return Step{Action: Ask, At: q.AskAt}
		}
		if e.State == Pending {
			return Step{Action: Send, At: later(e.Next, q.NotBefore), Event: e}
		}
	}
	return Step{}
}

// gap reports whether an event is missing before the i-th.
func (q *Queue) gap(i int) bool { return !q.Single && q.Events[i].Sequence != int64(i+1) }

// NextDue is when the queue has work to do by itself.
func NextDue(q *Queue) time.Time { return q.Step().At }

// Waiting reports whether the queue holds anything back because it is paused,
// and the time of the first event it holds back.
func (q *Queue) Waiting() (since time.Time, waits bool) {
	for i, e := range q.Events {
		if q.Paused && (q.gap(i) || e.State == Pending) {
			return e.Time, true
		}
	}
	return time.Time{}, false
}

// Closed reports whether the order's last known event is one after which an
// order usually rests.
func (q *Queue) Closed() bool {
	if len(q.Events) == 0 {
		return false
	}
	if q.Single {
		return true
	}
	switch q.Events[len(q.Events)-1].Type {
	case event.OrderDelivered, event.OrderCanceled, event.OrderExpired, event.OrderRefunded:
		return true
	}
	return false
}

// Knows reports whether all these events have arrived.
func (q *Queue) Knows(events []Event) bool {
	for _, e := range events {
		if _, known := q.find(e.Sequence); !known {
			return false
		}
	}
	return true
}

// Latest is the time of the newest event.
func (q *Queue) Latest() time.Time {
	var latest time.Time
	for _, e := range q.Events {
		latest = later(latest, e.Time)
	}
	return latest
}

// Exhausted is the time of the newest event that failed for good, zero if there
// is none.
func (q *Queue) Exhausted() time.Time {
	var latest time.Time
	for _, e := range q.Events {
		if e.State == Exhausted {
			latest = later(latest, e.Time)
		}
	}
	return latest
}

// IsExhausted reports whether an event has failed for good.
func (q *Queue) IsExhausted(sequence int64) bool {
	i, known := q.find(sequence)
	return known && q.Events[i].State == Exhausted
}

// Settled reports whether nothing is to be done any more, as far as is known,
// and nothing was done since a time.
func (q *Queue) Settled(since time.Time) bool {
	for i, e := range q.Events {
		if q.gap(i) || e.State == Pending || e.Tried.After(since) || e.Time.After(since) {
			return false
		}
	}
	return true
}

// Last is the highest known sequence, 0 if there is none.
func (q *Queue) Last() int64 {
	if len(q.Events) == 0 {
		return 0
	}
	return q.Events[len(q.Events)-1].Sequence
}

func (q *Queue) find(sequence int64) (int, bool) {
	return slices.BinarySearchFunc(q.Events, sequence, func(e Event, s int64) int { return int(e.Sequence - s) })
}

// Key is what the document's id is derived from: see DocID.
func (q *Queue) Key() string {
	if q.Single && len(q.Events) > 0 {
		return q.Events[0].ID
	}
	return q.Order
}

func (q *Queue) seed() string { return DocID(q.Key(), q.Endpoint) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
