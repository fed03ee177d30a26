package delivery

import (
	"fmt"
	"slices"
	"time"

	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

// Disposition is what becomes of the licences of an order that is no longer
// paid.
type Disposition string

// The dispositions.
const (
	// DispositionKeep: the customer keeps them; nothing happens.
	DispositionKeep Disposition = ""
	// DispositionRevoke: they are revoked, and nobody else will get them.
	DispositionRevoke Disposition = "revoke"
	// DispositionReturn: they go back into the pool, for the next customer.
	DispositionReturn Disposition = "return"
)

// Outgoing is a licence that a unit has given up and that is to be revoked.
type Outgoing struct {
	Unit    int    `json:"unit"`
	License string `json:"license"`
	Why     string `json:"why"`
}

// maxOutgoing is how many single licences of a line can be on their way out at
// once.
const maxOutgoing = 100

// ending reports whether licences of the line are on their way out.
func (l *Line) ending() bool {
	return len(l.Outgoing) > 0 || l.Ending != DispositionKeep && l.Ended < len(l.Licenses)
}

// GivenUp reports whether the unit had the licence, may have it no more, and
// brings it to its end by itself.
func (d *Delivery) GivenUp(u Unit, license string) bool {
	l := d.line(u.Line)
	if l == nil || u.Order != d.Order {
		return false
	}
	for _, o := range l.Outgoing {
		if o.Unit == u.Number && o.License == license {
			return true
		}
	}
	return l.Ending != DispositionKeep && l.Licenses.Of(u.Number) == license && license != ""
}

// End decides what becomes of the licences of a closed delivery, product by
// product. It reports whether that changed anything.
func (d *Delivery) End(of func(product string) Disposition, why string, now time.Time) bool {
	changed := false
	for i := range d.Lines {
		l := &d.Lines[i]
		if what := of(l.Product); !d.Closed.IsZero() && l.Ending == DispositionKeep && what != DispositionKeep && l.Licenses.Count() > 0 {
			l.Ending, l.Why, l.EndAt, changed = what, why, now, true
		}
	}
	return changed
}

// Exit is a licence to be brought to its end.
type Exit struct {
	Unit    Unit
	License string
	Return  bool
	Why     string
}

// Exits lists up to limit licences that are to be brought to their end now.
func (d *Delivery) Exits(now time.Time, limit int) []Exit {
	var out []Exit
	for i := range d.Lines {
		l := &d.Lines[i]
		if !l.ending() || l.EndAt.After(now) {
			continue
		}
		for _, o := range l.Outgoing {
			out = append(out, Exit{Unit: d.Unit(i+1, o.Unit), License: o.License, Why: o.Why})
		}
		if l.Ending == DispositionKeep || len(l.Outgoing) > 0 {
			continue // what was revoked by itself first: it must not come back with the others
		}
		for n := l.Ended + 1; n <= len(l.Licenses) && len(out) < limit; n++ {
			if license := l.Licenses.Of(n); license != "" {
				out = append(out, Exit{Unit: d.Unit(i+1, n), License: license, Return: l.Ending == DispositionReturn, Why: l.Why})
			}
		}
	}
	return out
}

// Exited notes that licences came to their end.
func (d *Delivery) Exited(exits []Exit) {
	for _, e := range exits {
		l := d.line(e.Unit.Line)
		kept := l.Outgoing[:0]
		for _, o := range l.Outgoing {
			if o.Unit != e.Unit.Number || o.License != e.License {
				kept = append(kept, o)
			}
		}
		single := len(kept) < len(l.Outgoing)
		l.Outgoing = kept
		if single {
			continue
		}
		if l.Ending != DispositionKeep && e.Unit.Number > l.Ended && l.Licenses.Of(e.Unit.Number) == e.License {
			l.Ended = e.Unit.Number
			l.countRevoked(e.Unit.Number, false)
		}
	}
	for i := range d.Lines {
		l := &d.Lines[i]
		for l.Ending != DispositionKeep && l.Ended < len(l.Licenses) && l.Licenses.Of(l.Ended+1) == "" {
			l.Ended++ // units that had none
		}
		if l.Ending == DispositionReturn && len(l.Licenses) > 0 && l.Ended == len(l.Licenses) {
			l.Licenses = nil
		}
	}
}

// Revoke takes the licence of a unit away, for good. ErrState if there is none,
// or too many are on their way out.
func (d *Delivery) Revoke(u Unit, why string, now time.Time) error {
	l, license, err := d.takeAway(u, why, now)
	if err != nil {
		return err
	}
	for _, o := range l.Outgoing[:len(l.Outgoing)-1] {
		if o.Unit == u.Number && o.License == license {
			l.Outgoing = l.Outgoing[:len(l.Outgoing)-1] // asked for twice
			return nil
		}
	}
	l.countRevoked(u.Number, true)
	return nil
}

// countRevoked counts a unit that may use its licence no more, once. Units that
// are revoked by themselves are remembered; the others come in their order.
func (l *Line) countRevoked(unit int, remember bool) {
	if slices.Contains(l.RevokedUnits, unit) {
		return
	}
	l.Revoked++
	if remember {
		l.RevokedUnits = append(l.RevokedUnits, unit)
	}
}

// Replace takes the licence of a unit away and has it get another one, which is
// mailed. ErrState if it has none, the order is no longer paid, or too many are
// on their way out.
func (d *Delivery) Replace(u Unit, why string, now time.Time) error {
	if !d.Closed.IsZero() {
		return fmt.Errorf("the order is no longer paid: %w", ErrState)
	}
	if err := d.reachable(); err != nil {
		return err
	}
	l, _, err := d.takeAway(u, why, now)
	if err != nil {
		return err
	}
	if l.Again == nil {
		l.Again = map[int]int{}
	}
	l.Again[u.Number]++
	l.Licenses = l.Licenses.With(u.Number, "")
	l.Open++
	l.AssignAt = now
	if !l.Delivered.IsZero() {
		l.Resends++
	}
	return nil
}

func (d *Delivery) takeAway(u Unit, why string, now time.Time) (*Line, string, error) {
	license := d.Shows(u)
	l := d.line(u.Line)
	switch {
	case license == "":
		return nil, "", fmt.Errorf("unit %d of line %d has no licence: %w", u.Number, u.Line, ErrState)
	case l.Ending != DispositionKeep:
		return nil, "", fmt.Errorf("the licences of line %d were revoked with its order: %w", u.Line, ErrState)
	case len(l.Outgoing) >= maxOutgoing:
		return nil, "", fmt.Errorf("%d licences of line %d are being revoked, try again later: %w", maxOutgoing, u.Line, ErrState)
	}
	l.Outgoing = append(l.Outgoing, Outgoing{Unit: u.Number, License: license, Why: why})
	l.EndAt = now
	return l, license, nil
}

// revokedUnits is how many units may use their licence no more.
func (d *Delivery) revokedUnits() (total int) {
	for i := range d.Lines {
		total += d.Lines[i].Revoked
	}
	return total
}

// revoked lists the lines of which units may use their licence no more.
func (d *Delivery) revoked() []*eventv1.LineRevoked {
	var out []*eventv1.LineRevoked
	for i := range d.Lines {
		if n := d.Lines[i].Revoked; n > 0 {
			out = append(out, &eventv1.LineRevoked{LineNumber: int32(i + 1), Units: int64(n)})
		}
	}
	return out
}

// revocationsUnknown: the order was told of revocations and has not answered
// for all.
func (d *Delivery) revocationsUnknown() bool {
	for i := range d.Lines {
		if l := &d.Lines[i]; d.Revocations.Told > 0 && l.RevokedKnown < l.Revoked {
			return true
		}
	}
	return false
}

// AcknowledgeRevoked notes of how many revoked units of a line the order knows.
// It reports whether that was news.
func (d *Delivery) AcknowledgeRevoked(line int32, units int64) bool {
	l := d.line(int(line))
	known := min(int(units), maxQuantity)
	if l == nil || known <= l.RevokedKnown {
		return false
	}
	l.RevokedKnown = known
	return true
}
