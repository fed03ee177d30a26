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

// The states of a licence. Only the first two ever change into another.
const (
	// LicenseFree: in its product's pool; nobody acts.
	LicenseFree LicenseState = "free"
	// LicenseHeld: one unit's. Whether that unit has it is for the unit's
	// delivery to say; if that shows another licence, this one is released.
	LicenseHeld LicenseState = "held"
	// LicenseRevoked: it was a unit's, which may use it no more.
	LicenseRevoked LicenseState = "revoked"
	// LicenseWithdrawn: nobody has it and nobody will get it.
	LicenseWithdrawn LicenseState = "withdrawn"
	// LicenseExpired: nobody got it while it was of use.
	LicenseExpired LicenseState = "expired"
)

// License is the stored document of one licence key.
type License struct {
	Product string `json:"product"`
	// Sealed is the key, bound to the document's id. It is empty for a licence
	// that is known from an order's record only, until its key is imported again.
	Sealed string       `json:"sealed"`
	State  LicenseState `json:"state"`
	// Since is when the licence came into its state; of licences stored by
	// earlier releases it is zero.
	Since time.Time `json:"since,omitzero"`
	// Unit is the id of the unit that holds the licence or held it when it was
	// revoked.
	Unit     string    `json:"unit,omitempty"`
	Imported time.Time `json:"imported"`
	// Salt is where among the free licences of its product this one stands.
	Salt string `json:"salt"`
	// Answered: it came from the merchant's web service for one unit, and never
	// was in a pool. It never will be.
	Answered bool `json:"answered,omitempty"`
	// Expires is when the licence is no longer handed out, zero: never.
	Expires time.Time `json:"expires,omitzero"`
	// Why is who brought the licence out of the pool for good, and why.
	Why string `json:"why,omitempty"`
	// Past lists the units that held the licence before, oldest first.
	Past []Holding `json:"past,omitempty"`
}

// Holding is a time during which a unit held a licence.
type Holding struct {
	Unit string    `json:"unit"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Why  string    `json:"why"`
}

// LicenseID is the id of the document of a key, by the key's fingerprint: the
// same key has the same id, so it can't be in one pool twice.
func LicenseID(merchant, product, fingerprint string) string {
	return id.Derived(LicensePrefix, merchant, product, fingerprint)
}

// Hold gives a free licence to a unit. It reports whether the unit holds it
// now, and whether that is new.
func (l *License) Hold(unit string, now time.Time) (holds, changed bool) {
	if l.State == LicenseFree && !l.expired(now) {
		l.State, l.Unit, l.Since = LicenseHeld, unit, now
		return true, true
	}
	return l.State == LicenseHeld && l.Unit == unit, false
}

// Release takes a licence from the unit that holds it, which never had it or
// shall give it back: it is free again, unless it never was or has expired. It
// reports whether it did.
func (l *License) Release(unit, why string, now time.Time) bool {
	if l.State != LicenseHeld || l.Unit != unit {
		return false
	}
	l.Past = append(l.Past, Holding{Unit: unit, From: l.Since, To: now, Why: why})
	l.State, l.Unit, l.Since = LicenseFree, "", now
	switch {
	case l.Answered:
		l.State, l.Why = LicenseWithdrawn, why
	case l.expired(now):
		l.State = LicenseExpired
	}
	return true
}

// Take gives a licence to the unit that an order's record says has it: a free
// one, and one that the unit from holds (empty: none). It reports whether that
// changed anything, and who else holds it.
func (l *License) Take(unit, from string, now time.Time) (other string, changed bool) {
	switch {
	case l.State == LicenseFree, l.State == LicenseHeld && l.Unit != unit && l.Unit == from:
		l.State, l.Unit, l.Since = LicenseHeld, unit, now
		return "", true
	case l.State == LicenseHeld && l.Unit != unit:
		return l.Unit, false
	}
	return "", false
}

// Revoke makes a licence invalid that the unit holds. It reports whether it did.
func (l *License) Revoke(unit, why string, now time.Time) bool {
	if l.State != LicenseHeld || l.Unit != unit {
		return false
	}
	l.Past = append(l.Past, Holding{Unit: unit, From: l.Since, To: now, Why: why})
	l.State, l.Why, l.Since = LicenseRevoked, why, now
	return true
}

// Withdraw takes a free licence out of its pool. It reports whether it did.
func (l *License) Withdraw(why string, now time.Time) bool {
	if l.State != LicenseFree {
		return false
	}
	l.State, l.Why, l.Since = LicenseWithdrawn, why, now
	return true
}

// Expire takes a free licence out of its pool whose time is over. It reports
// whether it did.
func (l *License) Expire(now time.Time) bool {
	if l.State != LicenseFree || !l.expired(now) {
		return false
	}
	l.State, l.Since = LicenseExpired, now
	return true
}

func (l *License) expired(now time.Time) bool { return !l.Expires.IsZero() && !l.Expires.After(now) }

// LicenseDue is when a licence has work to do by itself: when it expires.
func LicenseDue(l *License) time.Time {
	if l.State != LicenseFree {
		return time.Time{}
	}
	return l.Expires
}

// Place is the index value of a licence: its product, its state, and where it
// stands in that; see [Places].
func (l *License) Place() string {
	if l.State == LicenseFree {
		return l.Product + "/" + string(LicenseFree) + "/" + l.Salt
	}
	return l.Product + "/" + string(l.State) + "/" + TimeKey(l.Since)
}

// Places is the range of places of a product's licences in a state: free ones
// in no order, others by the time they came into it.
func Places(product string, s LicenseState) (from, to string) {
	return product + "/" + string(s), product + "/" + string(s) + "0"
}

// PlacesFrom is Places from a place on: of free ones a salt, else a time.
func PlacesFrom(product string, s LicenseState, place string) (from, to string) {
	_, to = Places(product, s)
	return product + "/" + string(s) + "/" + place, to
}

// HeldSince is the index value of a licence that a unit holds, empty of others.
func (l *License) HeldSince() string {
	if l.State != LicenseHeld {
		return ""
	}
	return TimeKey(l.Since)
}

// TimeKey formats a time so that keys sort by time.
func TimeKey(t time.Time) string { return t.UTC().Format("20060102T150405.000000000") }

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
