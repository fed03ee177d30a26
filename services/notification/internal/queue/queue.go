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

// retries are the pauses after a failed try: ten tries in 75 hours, the example
// schedule of Standard Webhooks 1.0 ("Deliverability and reliability").
//
//	try    1            2    3      4       5    6    7     8     9     10
//	after  immediately  5 s  5 min  30 min  2 h  5 h  10 h  14 h  20 h  24 h  (each ±20 %)
//	since  0:00:00      :05  0:05   0:35    2:35 7:35 17:35 31:35 51:35 75:35
var retries = backoff.Schedule{
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
	// maxRetryAfter bounds what a receiver may ask for; where the schedule
	// pauses longer, it does.
	maxRetryAfter = time.Hour
	// maxResult is the longest kept result in characters.
	maxResult = 300
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
	// Data is what the body is rendered from; kept while the event is pending.
	Data []byte `json:"data,omitempty"`
	// Round is how often the merchant has had the event sent again.
	Round int `json:"round,omitempty"`
	Tries int `json:"tries,omitempty"`
	// Next is when a pending event may be sent.
	Next time.Time `json:"next,omitzero"`
	// Result is what came of the latest try, at Tried.
	Result string    `json:"result,omitempty"`
	Tried  time.Time `json:"tried,omitzero"`
}

// Queue is the stored document.
type Queue struct {
	Merchant string `json:"merchant"`
	// Endpoint is the merchant's own id of it.
	Endpoint string `json:"endpoint"`
	Order    string `json:"order"`
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
}

// DocID is the id of a queue's document.
func DocID(order, endpoint string) string { return id.Derived("whk", order, endpoint) }

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
		if e.Sequence != int64(i+1) {
			return Step{Action: Ask, At: q.AskAt}
		}
		if e.State == Pending {
			return Step{Action: Send, At: later(e.Next, q.NotBefore), Event: e}
		}
	}
	return Step{}
}

// NextDue is when the queue has work to do by itself.
func NextDue(q *Queue) time.Time { return q.Step().At }

// Waiting reports whether the queue holds anything back because it is paused,
// and the time of the first event it holds back.
func (q *Queue) Waiting() (since time.Time, waits bool) {
	for i, e := range q.Events {
		if q.Paused && (e.Sequence != int64(i+1) || e.State == Pending) {
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

// Latest is the time of the newest event that is for the endpoint, zero if
// there is none.
func (q *Queue) Latest() time.Time {
	var latest time.Time
	for _, e := range q.Events {
		if e.State != Skipped {
			latest = later(latest, e.Time)
		}
	}
	return latest
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

func (q *Queue) seed() string { return DocID(q.Order, q.Endpoint) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
