package delivery

import (
	"fmt"
	"time"

	"quittance/pkg/backoff"
	"quittance/pkg/id"
)

// block is how many licences one call of a web service asks for at most.
// Blocks have fixed bounds, so that a repeated call is the same to the letter.
const block = 100

// tellAfter is how long calls fail before the merchant is told that the line
// waits: what is over within a minute is nobody's business.
const tellAfter = time.Minute

// callAgain is how long a call waits that failed for now. The last pause
// repeats until the merchant's patience ends.
var callAgain = backoff.Schedule{
	2 * time.Second, 10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour,
}

// Call asks the merchant's web service for licences of one line.
type Call struct {
	Line    int
	Product string
	Name    string
	// Units are the numbers of the units that get the licences, in the order of
	// the answer. Some may have theirs already.
	Units []int
	// Again is how often the unit's licence was replaced, 0 for a block.
	Again int
	// Key identifies the call over all tries.
	Key string
}

// Call returns the call that is due now, nil if none is.
func (d *Delivery) Call(now time.Time) *Call {
	if !d.Closed.IsZero() {
		return nil
	}
	for i := range d.Lines {
		l := &d.Lines[i]
		if l.Open == 0 || l.Failed || !l.byService() || l.AssignAt.After(now) {
			continue
		}
		for n := 1; n <= l.units(); n++ {
			if l.Licenses.Of(n) == "" {
				return d.call(i+1, n)
			}
		}
	}
	return nil
}

// call is the call that brings a licence for a unit.
func (d *Delivery) call(line, unit int) *Call {
	l := d.line(line)
	c := &Call{Line: line, Product: l.Product, Name: l.Name, Units: []int{unit}, Again: l.Again[unit]}
	if c.Again == 0 {
		c.Units = nil
		first := (unit-1)/block*block + 1
		for n := first; n < first+block && n <= l.units(); n++ {
			c.Units = append(c.Units, n)
		}
	}
	c.Key = id.Derived("call", d.ID, fmt.Sprint(line), fmt.Sprint(c.Units[0]), fmt.Sprint(c.Again))
	return c
}

// Lane is what a delivery's work waits for: a web service, or nothing that other
// deliveries wait for too.
func Lane(d *Delivery) string {
	for i := range d.Lines {
		if l := &d.Lines[i]; d.Closed.IsZero() && l.Open > 0 && !l.Failed && l.byService() {
			return WebServiceID(d.Merchant, l.Product)
		}
	}
	return d.ID
}

// Takes reports whether the answer for a unit is still wanted.
func (d *Delivery) Takes(c *Call, unit int) bool {
	l := d.line(c.Line)
	return d.Closed.IsZero() && l.Open > 0 && l.Licenses.Of(unit) == "" && l.Again[unit] == c.Again
}

// Called notes that a call was answered; what it brought was assigned.
func (d *Delivery) Called(c *Call, now time.Time) {
	if l := d.line(c.Line); l.Open > 0 {
		l.clear()
		l.AssignAt = now
	}
}

// Patience is how long a web service may fail.
type Patience struct {
	// FallBack is when the line goes over to its fallback method, if it has one;
	// GiveUp is when it fails. Both count from the first failure.
	FallBack, GiveUp time.Duration
}

// Failure is why a call did not bring licences.
type Failure struct {
	// Problem says what and who must act, for people.
	Problem string
	// Fatal: trying again is of no use.
	Fatal bool
	// Wait: the service can't be asked now, for reasons that are not this call's;
	// it does not count as a try.
	Wait bool
	// Down: others have found the service not to answer; its time is running.
	Down bool
	// After is when to try again at the earliest; the schedule's pause if shorter.
	After time.Duration
}

// CallFailed notes that a call did not bring licences.
func (d *Delivery) CallFailed(c *Call, f Failure, p Patience, now time.Time) {
	l := d.line(c.Line)
	if l.Open == 0 || !l.byService() {
		return
	}
	if l.Failing.IsZero() && (f.Down || !f.Wait) {
		l.Failing = now
	}
	lasted, pause := time.Duration(0), f.After
	if !l.Failing.IsZero() {
		lasted = now.Sub(l.Failing)
	}
	if !f.Wait {
		l.AssignTries++
		pause = max(callAgain.Jittered(l.AssignTries, c.Key), f.After)
	}
	switch {
	case l.Fallback != 0 && (f.Fatal || lasted >= p.FallBack && !l.Failing.IsZero()):
		l.clear()
		l.Fallen, l.AssignAt = now, now
	case f.Fatal || lasted >= p.GiveUp && !f.Wait:
		l.Problem, l.Stuck, l.Failed = f.Problem, true, true
	default:
		l.Problem, l.Stuck, l.AssignAt = f.Problem, l.Stuck || lasted >= tellAfter, now.Add(pause)
	}
}

// Mend tries at once what waits for a product's web service, or has failed
// there. It reports whether there is any.
func (d *Delivery) Mend(product string, now time.Time) bool {
	mended := false
	for i := range d.Lines {
		if l := &d.Lines[i]; d.Closed.IsZero() && l.Open > 0 && l.Product == product && l.byService() {
			l.clear()
			l.AssignAt, mended = now, true
		}
	}
	return mended
}

// Retry tries everything at once that waits or has failed, the chain of methods
// from its beginning. ErrState if nothing waits.
func (d *Delivery) Retry(now time.Time) error {
	if !d.Closed.IsZero() {
		return fmt.Errorf("the order is no longer paid: %w", ErrState)
	}
	found := false
	for i := range d.Lines {
		l := &d.Lines[i]
		switch l.Stage() {
		case StageAssign:
			l.clear()
			l.Fallen, l.AssignAt = time.Time{}, now
			l.Wakes++
		case StageMail:
			l.MailAt = now
		case StageDone:
			continue
		}
		found = true
	}
	if !found {
		return fmt.Errorf("everything is delivered: %w", ErrState)
	}
	return nil
}
