package queue_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"quittance/pkg/event"
	"quittance/services/notification/internal/queue"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func pending(sequence int64) queue.Event {
	return queue.Event{
		Sequence: sequence, ID: fmt.Sprintf("evt_%d", sequence), Type: "order.created", Time: epoch,
		State: queue.Pending, Data: []byte("data"),
	}
}

func skipped(sequence int64) queue.Event {
	e := pending(sequence)
	e.State = queue.Skipped
	return e
}

func list(sequences ...int64) []queue.Event {
	var out []queue.Event
	for _, s := range sequences {
		out = append(out, pending(s))
	}
	return out
}

func all(queue.Event) bool { return true }

func fresh() *queue.Queue { return &queue.Queue{Merchant: "acme", Endpoint: "main", Order: "ord_1"} }

// model follows what an endpoint sees while everything happens in any order.
type model struct {
	q    *queue.Queue
	now  time.Time
	seen []int64 // sequences delivered in the present round
	// wanted and length describe the order's true history.
	wanted map[int64]bool
	length int64
}

func (m *model) history(upTo int64) []queue.Event {
	var out []queue.Event
	for s := int64(1); s <= upTo; s++ {
		if m.wanted[s] {
			out = append(out, pending(s))
		} else {
			out = append(out, skipped(s))
		}
	}
	return out
}

// check holds whatever happened.
func (m *model) check(t *rapid.T) {
	for i, e := range m.q.Events {
		if i > 0 && m.q.Events[i-1].Sequence >= e.Sequence {
			t.Fatalf("events are not in sequence: %v", m.q.Events)
		}
		if (e.State == queue.Pending) != (e.Data != nil) {
			t.Fatalf("event %d is %s and has %d bytes", e.Sequence, e.State, len(e.Data))
		}
		if e.Tries > 10 {
			t.Fatalf("event %d was tried %d times", e.Sequence, e.Tries)
		}
	}
	step := m.q.Step()
	if (step.Action == queue.Rest) != step.At.IsZero() {
		t.Fatalf("step %+v", step)
	}
	if !queue.NextDue(m.q).Equal(step.At) {
		t.Fatalf("due %v, step at %v", queue.NextDue(m.q), step.At)
	}
	if step.Action == queue.Send {
		for s := int64(1); s < step.Event.Sequence; s++ {
			e := m.q.Events[s-1]
			if e.Sequence != s || e.State == queue.Pending {
				t.Fatalf("sends %d before %d is settled", step.Event.Sequence, s)
			}
		}
	}
	if !slices.IsSorted(m.seen) || len(slices.Compact(slices.Clone(m.seen))) != len(m.seen) {
		t.Fatalf("the endpoint saw %v", m.seen)
	}
}

func TestSequenceIsKeptWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{q: fresh(), now: epoch, wanted: map[int64]bool{}, length: rapid.Int64Range(1, 8).Draw(t, "length")}
		for s := int64(1); s <= m.length; s++ {
			m.wanted[s] = rapid.Bool().Draw(t, "wanted")
		}
		t.Repeat(map[string]func(*rapid.T){
			"": m.check,
			"take": func(t *rapid.T) {
				s := rapid.Int64Range(1, m.length).Draw(t, "sequence")
				one := m.history(m.length)[s-1 : s]
				known := m.q.Knows(one)
				if m.q.Take(one, m.now) == known {
					t.Fatalf("event %d, known before: %t", s, known)
				}
			},
			"fill": func(t *rapid.T) {
				m.q.Fill(m.history(rapid.Int64Range(0, m.length).Draw(t, "up to")), m.now)
			},
			"wait": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.Int64Range(0, int64(30*time.Hour)).Draw(t, "pause")))
			},
			"send": func(t *rapid.T) {
				step := m.q.Step()
				if step.Action != queue.Send || step.At.After(m.now) {
					return
				}
				r := queue.Result{
					Sequence: step.Event.Sequence, Round: step.Event.Round, Try: step.Event.Tries + 1, At: m.now,
					OK: rapid.Bool().Draw(t, "ok"), Text: "x", RetryAfter: time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "retry after")),
				}
				m.q.Record(r)
				if r.OK {
					m.seen = append(m.seen, r.Sequence)
				}
				before := fmt.Sprint(*m.q)
				m.q.Record(r)
				if fmt.Sprint(*m.q) != before {
					t.Fatal("the same result counts twice")
				}
			},
			"busy":   func(*rapid.T) { m.q.Busy(m.now) },
			"pause":  func(*rapid.T) { m.q.Pause() },
			"resume": func(*rapid.T) { m.q.Resume(m.now) },
			"replay": func(t *rapid.T) {
				if n := m.q.Replay(m.history(m.length), all, m.now); n > 0 {
					m.seen = nil
				}
			},
		})
		m.finish(t)
	})
}

// finish lets everything work: all events come, the endpoint answers 2xx.
func (m *model) finish(t *rapid.T) {
	m.q.Take(m.history(m.length), m.now)
	m.q.Resume(m.now)
	for range 100 {
		step := m.q.Step()
		if step.Action == queue.Rest {
			for i, e := range m.q.Events {
				if e.Sequence != int64(i+1) || e.State == queue.Pending || (e.State == queue.Skipped) == m.wanted[e.Sequence] {
					t.Fatalf("rests with %+v", m.q.Events)
				}
			}
			return
		}
		if step.Action != queue.Send {
			t.Fatalf("asks for what it has: %+v", m.q.Events)
		}
		m.now = later(m.now, step.At)
		m.q.Record(queue.Result{Sequence: step.Event.Sequence, Round: step.Event.Round, Try: step.Event.Tries + 1, At: m.now, OK: true})
		m.seen = append(m.seen, step.Event.Sequence)
		m.check(t)
	}
	t.Fatal("never rests")
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// TestScheduleOfADeadEndpoint: ten tries, about 75 hours, then the next event.
func TestScheduleOfADeadEndpoint(t *testing.T) {
	q := fresh()
	q.Take(list(1, 2), epoch)
	var since []time.Duration
	for {
		step := q.Step()
		if step.Event.Sequence == 2 {
			break
		}
		since = append(since, step.At.Sub(epoch))
		q.Record(queue.Result{Sequence: 1, Try: step.Event.Tries + 1, At: step.At, Text: "500"})
	}
	want := []time.Duration{
		0, 5 * time.Second, 5*time.Minute + 5*time.Second, 35*time.Minute + 5*time.Second,
		2*time.Hour + 35*time.Minute, 7*time.Hour + 35*time.Minute, 17*time.Hour + 35*time.Minute,
		31*time.Hour + 35*time.Minute, 51*time.Hour + 35*time.Minute, 75*time.Hour + 35*time.Minute,
	}
	if len(since) != len(want) {
		t.Fatalf("%d tries at %v", len(since), since)
	}
	for i, got := range since {
		if got < want[i]*8/10 || got > want[i]*12/10+time.Second {
			t.Errorf("try %d after %v, want about %v", i+1, got, want[i])
		}
	}
	if e := q.Events[0]; e.State != queue.Exhausted || e.Data != nil || e.Tries != 10 {
		t.Errorf("first event %+v", e)
	}
}

func TestRetryAfterIsHonouredWithinBounds(t *testing.T) {
	for name, tc := range map[string]struct {
		try        int
		retryAfter time.Duration
		least      time.Duration
		most       time.Duration
	}{
		"none":                     {1, 0, 4 * time.Second, 6 * time.Second},
		"sooner than the schedule": {1, time.Second, 4 * time.Second, 6 * time.Second},
		"later than the schedule":  {1, time.Minute, time.Minute, time.Minute},
		"an hour at most":          {1, 100 * time.Hour, time.Hour, time.Hour},
		"the schedule is longer":   {5, 100 * time.Hour, 4 * time.Hour, 6 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			q := fresh()
			q.Take(list(1), epoch)
			q.Record(queue.Result{Sequence: 1, Try: tc.try, At: epoch, Text: "429", RetryAfter: tc.retryAfter})
			if pause := q.Step().At.Sub(epoch); pause < tc.least || pause > tc.most {
				t.Errorf("pause %v, want %v to %v", pause, tc.least, tc.most)
			}
		})
	}
}

func TestGap(t *testing.T) {
	q := fresh()
	q.Take(list(1, 3), epoch)
	q.Record(queue.Result{Sequence: 1, Try: 1, At: epoch, OK: true})
	if step := q.Step(); step.Action != queue.Ask || step.At.Sub(epoch) != 3*time.Second {
		t.Fatalf("step %+v, want to ask in 3 s", step)
	}

	// The order service is behind: asked again later, and nothing is given up.
	at := epoch.Add(3 * time.Second)
	q.Fill(list(1), at)
	if step := q.Step(); step.Action != queue.Ask || !step.At.After(at.Add(2*time.Second)) {
		t.Fatalf("step %+v, want to ask later", step)
	}
	q.Unanswered(at)
	if pause := q.Step().At.Sub(at); pause < 10*time.Second {
		t.Fatalf("asks again after %v", pause)
	}

	// It knows what is missing.
	q.Fill(list(1, 2, 3), at)
	if step := q.Step(); step.Action != queue.Send || step.Event.Sequence != 2 || !q.AskAt.IsZero() {
		t.Fatalf("step %+v, want 2 to be sent", step)
	}
}

func TestGapThatNeverWasAnEvent(t *testing.T) {
	q := fresh()
	q.Take(list(1, 4), epoch)
	q.Fill(list(1, 3, 4), epoch)
	if e := q.Events[1]; len(q.Events) != 4 || e.Sequence != 2 || e.State != queue.Skipped || e.Result == "" {
		t.Fatalf("events %+v", q.Events)
	}
}

func TestGapClosesByItself(t *testing.T) {
	q := fresh()
	q.Take(list(2), epoch)
	q.Take(list(1), epoch.Add(time.Second))
	if step := q.Step(); step.Action != queue.Send || step.Event.Sequence != 1 || !q.AskAt.IsZero() {
		t.Fatalf("step %+v", step)
	}
}

func TestResultOfAnEarlierRoundIsOutOfDate(t *testing.T) {
	q := fresh()
	q.Take(list(1), epoch)
	q.Replay(list(1), all, epoch)
	q.Record(queue.Result{Sequence: 1, Round: 0, Try: 1, At: epoch, OK: true})
	if e := q.Events[0]; e.State != queue.Pending || e.Round != 1 {
		t.Fatalf("event %+v", e)
	}
	q.Record(queue.Result{Sequence: 9, Try: 1, At: epoch, OK: true}) // not known
}

func TestPausedQueueWaits(t *testing.T) {
	q := fresh()
	q.Take(list(1, 2), epoch)
	q.Record(queue.Result{Sequence: 1, Try: 1, At: epoch, Text: "500"})
	if _, waits := q.Waiting(); waits {
		t.Error("waits before it is paused")
	}
	q.Pause()
	if since, waits := q.Waiting(); !waits || !since.Equal(epoch) || !queue.NextDue(q).IsZero() {
		t.Errorf("paused queue: waits %t since %v, due %v", waits, since, queue.NextDue(q))
	}
	if !q.Resume(epoch) || q.Resume(epoch) {
		t.Error("resumed never or twice")
	}
	if step := q.Step(); !step.At.Equal(epoch) || step.Event.Tries != 1 {
		t.Errorf("step %+v, want the second try at once", step)
	}
}

func TestResultsAreShortAndOneLine(t *testing.T) {
	q := fresh()
	q.Take(list(1), epoch)
	q.Record(queue.Result{Sequence: 1, Try: 1, At: epoch, Text: "500:\n\x00é\xff" + strings.Repeat("ü ", 1000)})
	got := q.Events[0].Result
	if n := len([]rune(got)); n > 300 || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\x00") || !strings.HasPrefix(got, "500: é ü") {
		t.Errorf("%d characters: %q", n, got)
	}
}

func TestClosed(t *testing.T) {
	q := fresh()
	if q.Closed() {
		t.Error("an empty queue is closed")
	}
	for typ, want := range map[string]bool{
		event.OrderCreated: false, event.PaymentSucceeded: false, event.OrderOnHold: false,
		event.OrderDelivered: true, event.OrderCanceled: true, event.OrderExpired: true, event.OrderRefunded: true,
	} {
		q.Events = []queue.Event{{Sequence: 1, Type: typ}}
		if q.Closed() != want {
			t.Errorf("after %s closed: %t", typ, !want)
		}
	}
}
