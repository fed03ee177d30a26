package queue

import (
	"bytes"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"quittance/pkg/backoff"
)

// Take adds events, each Pending or Skipped, and reports whether one of them
// was new. An event that is known by its sequence changes nothing, whatever
// became of it.
func (q *Queue) Take(events []Event, now time.Time) bool {
	changed := false
	for _, e := range events {
		i, known := q.find(e.Sequence)
		if known || e.Sequence < 1 {
			continue
		}
		if e.State == Pending {
			e.Next = now
		} else {
			e.Data = nil
		}
		q.Events = slices.Insert(q.Events, i, e)
		changed = true
	}
	if changed {
		q.minds(now)
	}
	return changed
}

// minds plans the question about a gap, or forgets about it when there is none.
func (q *Queue) minds(now time.Time) {
	switch gap := !q.Single && q.Last() != int64(len(q.Events)); {
	case !gap:
		q.AskAt, q.Asked = time.Time{}, 0
	case q.AskAt.IsZero():
		q.AskAt = now.Add(asks.After(1))
	}
}

// Fill adds the order's history as the order service tells it. What a history
// that is up to date does not have never was: it is skipped. An older one is
// asked for again later.
func (q *Queue) Fill(history []Event, now time.Time) {
	told := int64(0)
	for _, e := range history {
		told = max(told, e.Sequence)
	}
	q.Take(history, now)
	if told < q.Last() {
		if q.Last() != int64(len(q.Events)) {
			q.Unanswered(now)
		}
		return
	}
	for s := int64(1); s < told; s++ {
		if i, known := q.find(s); !known {
			q.Events = slices.Insert(q.Events, i, Event{Sequence: s, State: Skipped, Result: "not in the order's history"})
		}
	}
	q.minds(now)
}

// Unanswered notes that the order service could not be asked, or did not know.
func (q *Queue) Unanswered(now time.Time) {
	q.Asked++
	q.AskAt = now.Add(asks.Jittered(q.Asked+1, q.seed()))
}

// Result is what came of one try.
type Result struct {
	Sequence int64
	// Round and Try name the try; a result of another one is out of date.
	Round, Try int
	At         time.Time
	OK         bool
	// Text is the status or the error, for the merchant. Response is what the
	// receiver said, Status its status, Took how long the try was under way.
	Text, Response string
	Status         int
	Took           time.Duration
	// RetryAfter is the pause the receiver asked for, 0 if it did not.
	RetryAfter time.Duration
	// Retries is the endpoint's schedule; empty: the usual one.
	Retries backoff.Schedule
}

// Record notes a result; noting it again changes nothing.
func (q *Queue) Record(r Result) {
	i, known := q.find(r.Sequence)
	if !known {
		return
	}
	e := &q.Events[i]
	if e.State != Pending || e.Round != r.Round || r.Try <= e.Tries {
		return
	}
	e.Tries, e.Result, e.Tried = r.Try, clip(r.Text, maxResult), r.At
	e.Attempts = append(e.Attempts, Attempt{
		Try: r.Try, At: r.At, Took: r.Took, Status: r.Status, Response: clip(r.Response, maxResponse),
	})
	if q.Erased { // receivers repeat what they were told
		e.Attempts[len(e.Attempts)-1].Response = ""
	}
	e.Attempts = e.Attempts[max(0, len(e.Attempts)-maxAttempts):]
	q.ready()
	retries := r.Retries
	if len(retries) == 0 {
		retries = Retries
	}
	switch {
	case r.OK:
		q.settle(e, Delivered)
	case e.Test, retries.Exhausted(e.Tries):
		q.settle(e, Exhausted)
	default:
		pause := retries.Jittered(e.Tries, q.seed()+e.ID)
		e.Next = r.At.Add(max(pause, min(r.RetryAfter, MaxRetryAfter)))
	}
}

// settle ends the tries. What the order service can tell again is not kept.
func (q *Queue) settle(e *Event, s State) {
	e.State, e.Next = s, time.Time{}
	if q.Order != "" {
		e.Data = nil
	}
}

// Busy puts the queue off because the endpoint has its hands full.
func (q *Queue) Busy(now time.Time) {
	q.PutOff++
	q.NotBefore, q.Slot = now.Add(putOffs.Jittered(q.PutOff, q.seed())), false
}

// Turn puts the queue off until its turn at an endpoint with a limited rate;
// slot: the turn is its own.
func (q *Queue) Turn(at time.Time, slot bool) { q.NotBefore, q.Slot = at, slot }

// ready forgets what the queue was put off for.
func (q *Queue) ready() { q.NotBefore, q.PutOff, q.Slot = time.Time{}, 0, false }

// Pause stops the queue of a disabled endpoint.
func (q *Queue) Pause() { q.Paused = true }

// Resume goes on with the first pending event at a time and reports whether the
// queue was paused.
func (q *Queue) Resume(at time.Time) bool {
	if !q.Paused {
		return false
	}
	q.Paused = false
	q.ready()
	q.NotBefore = at
	for i := range q.Events {
		if e := &q.Events[i]; e.State == Pending && e.Next.After(at) {
			e.Next = at
		}
	}
	return true
}

// Replay has the given events of the order sent again, those that are Pending in
// the list and that again says so of, whatever became of them before, with a
// fresh set of tries. again gets the event as the queue has it, or as it is in
// the list. What else the queue lacks is added. It returns how many are sent.
func (q *Queue) Replay(history []Event, again func(Event) bool, now time.Time) int {
	n := 0
	for _, e := range history {
		if e.State != Pending {
			continue
		}
		i, known := q.find(e.Sequence)
		switch {
		case !known && again(e):
			n++
		case known && again(q.Events[i]):
			n++
			q.again(i, e, now)
		}
	}
	if n > 0 {
		q.Paused = false
		q.ready()
		q.Fill(history, now)
	}
	return n
}

// Again has the one event of a queue that keeps it sent again.
func (q *Queue) Again(now time.Time) {
	if q.Single && len(q.Events) == 1 && len(q.Events[0].Data) > 0 {
		e := q.Events[0]
		e.State, e.Tries = Pending, 0
		q.again(0, e, now)
		q.Paused = false
		q.ready()
	}
}

// again starts a new round of tries for the i-th event, with e as its content.
func (q *Queue) again(i int, e Event, now time.Time) {
	was := q.Events[i]
	e.State, e.Next, e.Round, e.Attempts = Pending, now, was.Round+1, was.Attempts
	e.Tries, e.Result, e.Tried = 0, "", time.Time{}
	q.Events[i] = e
}

// Abandon gives up what is left because the endpoint is no more.
func (q *Queue) Abandon() {
	for i := range q.Events {
		if e := &q.Events[i]; e.State == Pending {
			e.State, e.Next, e.Data, e.Result = Skipped, time.Time{}, nil, "the endpoint was deleted"
		}
	}
	for s := int64(1); !q.Single && s < q.Last(); s++ {
		if i, known := q.find(s); !known {
			q.Events = slices.Insert(q.Events, i, Event{Sequence: s, State: Skipped, Result: "the endpoint was deleted"})
		}
	}
	q.minds(time.Time{})
}

// Erase drops what receivers said, who may have repeated what they were told, and
// has the events that wait sent as erased makes them. It reports whether that
// changed anything.
func (q *Queue) Erase(erased func(data []byte) []byte) bool {
	changed := !q.Erased
	q.Erased = true
	for i := range q.Events {
		e := &q.Events[i]
		if next := erased(e.Data); !bytes.Equal(next, e.Data) {
			e.Data, changed = next, true
		}
		for j := range e.Attempts {
			if a := &e.Attempts[j]; a.Response != "" {
				a.Response, changed = "", true
			}
		}
	}
	return changed
}

// clip makes one line of at most so many characters.
func clip(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most])
	}
	return s
}
