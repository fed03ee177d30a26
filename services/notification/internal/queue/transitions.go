package queue

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
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
	switch gap := q.Last() != int64(len(q.Events)); {
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
	// Text is the status or the error, for the merchant.
	Text string
	// RetryAfter is the pause the receiver asked for, 0 if it did not.
	RetryAfter time.Duration
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
	e.Tries, e.Result, e.Tried = r.Try, clip(r.Text), r.At
	q.NotBefore, q.PutOff = time.Time{}, 0
	switch {
	case r.OK:
		e.State, e.Next, e.Data = Delivered, time.Time{}, nil
	case retries.Exhausted(e.Tries):
		e.State, e.Next, e.Data = Exhausted, time.Time{}, nil
	default:
		pause := retries.Jittered(e.Tries, q.seed()+e.ID)
		e.Next = r.At.Add(max(pause, min(r.RetryAfter, maxRetryAfter)))
	}
}

// Busy puts the queue off because the endpoint has its hands full.
func (q *Queue) Busy(now time.Time) {
	q.PutOff++
	q.NotBefore = now.Add(putOffs.Jittered(q.PutOff, q.seed()))
}

// Pause stops the queue of a disabled endpoint.
func (q *Queue) Pause() { q.Paused = true }

// Resume goes on with the first pending event, at once, and reports whether the
// queue was paused.
func (q *Queue) Resume(now time.Time) bool {
	if !q.Paused {
		return false
	}
	q.Paused = false
	q.NotBefore, q.PutOff = time.Time{}, 0
	for i := range q.Events {
		if e := &q.Events[i]; e.State == Pending && e.Next.After(now) {
			e.Next = now
		}
	}
	return true
}

// Replay has the given events of the order sent again, all that are Pending in
// the list, whatever became of them before, with a fresh set of tries. It
// returns how many there are.
func (q *Queue) Replay(history []Event, now time.Time) int {
	n := 0
	for _, e := range history {
		if e.State != Pending {
			continue
		}
		if i, known := q.find(e.Sequence); known {
			e.Next, e.Round = now, q.Events[i].Round+1
			q.Events[i] = e
		}
		n++
	}
	q.Paused, q.NotBefore, q.PutOff = false, time.Time{}, 0
	q.Fill(history, now)
	return n
}

// clip makes one line of at most maxResult characters.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > maxResult {
		s = string([]rune(s)[:maxResult])
	}
	return s
}
