package delivery

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"quittance/pkg/id"
)

// LicensePrefix begins the ids of licence documents.
const LicensePrefix = "lic"

// LicenseState says whose a licence is.
type LicenseState string

// The states of a licence.
const (
	// LicenseFree: in its product's pool; nobody acts.
	LicenseFree LicenseState = "free"
	// LicenseHeld: one unit's. Whether that unit has it is for the unit's
	// delivery to say; if that shows another licence, this one is released.
	LicenseHeld LicenseState = "held"
)

// License is the stored document of one licence key.
type License struct {
	Product string `json:"product"`
	// Sealed is the key, bound to the document's id. It is empty for a licence
	// that is known from an order's record only, until its key is imported again.
	Sealed string       `json:"sealed"`
	State  LicenseState `json:"state"`
	// Unit is the id of the unit that holds the licence, empty while it is free.
	Unit     string    `json:"unit,omitempty"`
	Imported time.Time `json:"imported"`
	// Salt is where among the free licences of its product this one stands.
	Salt string `json:"salt"`
}

// LicenseID is the id of the document of a key, by the key's fingerprint: the
// same key has the same id, so it can't be in one pool twice.
func LicenseID(merchant, product, fingerprint string) string {
	return id.Derived(LicensePrefix, merchant, product, fingerprint)
}

// Hold gives a free licence to a unit. It reports whether the unit holds it
// now, and whether that is new.
func (l *License) Hold(unit string) (holds, changed bool) {
	switch l.State {
	case LicenseFree:
		l.State, l.Unit = LicenseHeld, unit
		return true, true
	case LicenseHeld:
		return l.Unit == unit, false
	}
	return false, false
}

// Release makes a licence free that the unit holds. It reports whether it did.
func (l *License) Release(unit string) bool {
	switch l.State {
	case LicenseHeld:
		if l.Unit != unit {
			return false
		}
		l.State, l.Unit = LicenseFree, ""
		return true
	case LicenseFree:
	}
	return false
}

// Take gives a licence to the unit that an order's record says has it, whoever
// holds it here. It reports whether that changed anything, and whose it was.
func (l *License) Take(unit string) (from string, changed bool) {
	switch l.State {
	case LicenseFree, LicenseHeld:
		if l.Unit == unit {
			return "", false
		}
		from, l.State, l.Unit = l.Unit, LicenseHeld, unit
		return from, true
	}
	return "", false
}

// Unit is one piece of an order's line. Lines and units count from 1.
type Unit struct {
	Order  string
	Line   int
	Number int
}

// String is the unit's id. The ids of an order sort by line and number.
func (u Unit) String() string { return fmt.Sprintf("%s/%02d/%05d", u.Order, u.Line, u.Number) }

// ParseUnit reads the id of a unit.
func ParseUnit(s string) (Unit, error) {
	parts := strings.Split(s, "/")
	if len(parts) == 3 {
		line, errLine := strconv.Atoi(parts[1])
		number, errNumber := strconv.Atoi(parts[2])
		if errLine == nil && errNumber == nil {
			return Unit{Order: parts[0], Line: line, Number: number}, nil
		}
	}
	return Unit{}, fmt.Errorf("%q is not the id of a unit", s)
}

// Unit names a unit of the delivery.
func (d *Delivery) Unit(line, number int) Unit {
	return Unit{Order: d.Order, Line: line, Number: number}
}

// First and Last bound the units of the delivery: none is before First or after
// Last.
func (d *Delivery) First() Unit { return d.Unit(1, 1) }

// Last is the other end of First.
func (d *Delivery) Last() Unit { return d.Unit(len(d.Lines), maxQuantity) }
