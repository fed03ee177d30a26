package delivery

import (
	"fmt"
	"time"
)

// These stand for the product where a delivery waits for several, or for
// something else than a pool. No product is called that.
const (
	waitsForSeveral = "+"
	waitsForOther   = "!"
)

// PerLine makes lines of products that have one licence for any quantity one
// unit each. It is for a delivery of which nothing is stored yet.
func (d *Delivery) PerLine(perLine func(product string) bool) {
	for i := range d.Lines {
		if l := &d.Lines[i]; l.Open > 0 && perLine(l.Product) {
			l.PerLine, l.Open = true, 1
		}
	}
}

// Want lists up to limit units that shall get a licence from a pool now.
func (d *Delivery) Want(now time.Time, limit int) []Unit {
	if !d.Closed.IsZero() {
		return nil
	}
	var out []Unit
	for i := range d.Lines {
		l := &d.Lines[i]
		if l.Open == 0 || l.Failed || l.byService() || l.AssignAt.After(now) {
			continue
		}
		for n := 1; n <= l.units(); n++ {
			if l.Licenses.Of(n) != "" {
				continue
			}
			if out = append(out, Unit{Order: d.Order, Line: i + 1, Number: n}); len(out) == limit {
				return out
			}
		}
	}
	return out
}

// Assign gives a unit the licence that is held for it, unless the unit has one
// or the delivery is closed: the first one stays.
func (d *Delivery) Assign(u Unit, license string, now time.Time) {
	l := d.line(u.Line)
	if !d.Closed.IsZero() || u.Order != d.Order || l == nil || u.Number < 1 || u.Number > l.units() ||
		l.Open == 0 || l.Licenses.Of(u.Number) != "" || d.GivenUp(u, license) {
		return
	}
	l.Licenses = l.Licenses.With(u.Number, license)
	if l.Open--; l.Open == 0 {
		l.clear()
		l.AssignAt, l.MailAt = time.Time{}, now
	}
}

// clear forgets what went wrong with a line's licences.
func (l *Line) clear() {
	l.AssignTries, l.Failing = 0, time.Time{}
	l.Problem, l.Stuck, l.Failed = "", false, false
}

// Shows returns the licence of a unit, empty if it has none.
func (d *Delivery) Shows(u Unit) string {
	l := d.line(u.Line)
	if l == nil || u.Order != d.Order || l.Ending == DispositionReturn {
		return ""
	}
	return l.Licenses.Of(u.Number)
}

// Keeps reports whether a unit has a licence for good, as far as the delivery
// knows: it was mailed, and the order is paid.
func (d *Delivery) Keeps(u Unit, license string) bool {
	l := d.line(u.Line)
	return l != nil && d.Closed.IsZero() && !l.Delivered.IsZero() && d.Shows(u) == license
}

// Refutes reports whether a licence that is held for a unit can never become
// that unit's: it has another one, or will get none any more. Only a stored
// delivery refutes; before that, whoever writes it may still choose the licence.
func (d *Delivery) Refutes(u Unit, license string) bool {
	if d.GivenUp(u, license) {
		return false // it is on its way out already
	}
	if shown := d.Shows(u); shown != "" {
		return shown != license
	}
	l := d.line(u.Line)
	return !d.Closed.IsZero() || l == nil || l.Open == 0 || u.Number < 1 || u.Number > l.units()
}

// Look is what came of looking for a line's licences.
type Look struct {
	Line int
	// Short: the pool had too few.
	Short bool
	// Wakes is Line.Wakes as it was before the look.
	Wakes int
}

// Looked notes what came of a look. A line whose pool was empty waits, unless
// keys were imported meanwhile.
func (d *Delivery) Looked(look Look, now time.Time) {
	l := d.line(look.Line)
	if l == nil || l.Open == 0 || l.byService() {
		return
	}
	if !look.Short {
		l.AssignAt, l.AssignTries = now, 0
		return
	}
	l.Problem = fmt.Sprintf("no free licence key for product %q: the merchant must import keys into its pool", l.Product)
	l.Stuck = true
	l.AssignTries++
	l.AssignAt = now.Add(lookAgain.After(l.AssignTries))
	if l.Wakes != look.Wakes {
		l.AssignAt = now
	}
}

// lacks reports whether the line waits for licences in its pool.
func (l *Line) lacks() bool { return l.Stuck && l.Open > 0 && !l.byService() }

// Lacks is how many units wait for a licence of the product.
func (d *Delivery) Lacks(product string) int {
	n := 0
	for i := range d.Lines {
		if l := &d.Lines[i]; l.lacks() && l.Product == product && d.Closed.IsZero() {
			n += l.Open
		}
	}
	return n
}

// Wake ends the pause of the lines that wait for a licence of the product. It
// reports whether there are any.
func (d *Delivery) Wake(product string, now time.Time) bool {
	woken := false
	for i := range d.Lines {
		if l := &d.Lines[i]; l.lacks() && l.Product == product && d.Closed.IsZero() {
			l.AssignAt = now
			l.Wakes++
			woken = true
		}
	}
	return woken
}

// Waiting is the index value of a delivery that waits for somebody to act: the
// product whose pool it waits for, or a sign for anything else, and since when.
// It is empty if it waits for nobody.
func Waiting(d *Delivery) string {
	product := ""
	for i := range d.Lines {
		l := &d.Lines[i]
		switch {
		case !l.Stuck || !d.Closed.IsZero():
		case !l.lacks():
			if product == "" {
				product = waitsForOther
			}
		case product == "" || product == waitsForOther:
			product = l.Product
		case product != l.Product:
			product = waitsForSeveral
		}
	}
	if product == "" {
		return ""
	}
	return product + "/" + TimeKey(d.Created)
}

// WaitingFor returns the ranges of Waiting in which the deliveries are that
// wait for the product: for it alone, and for several.
func WaitingFor(product string) (alone, several [2]string) {
	return span(product), span(waitsForSeveral)
}

// span is the range of the texts that begin with a word and a slash.
func span(word string) [2]string { return [2]string{word + "/", word + "0"} }
