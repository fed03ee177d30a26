// Package discount is the discount aggregate: what a code takes off an order,
// and when it may be used. It is pure: time and lines are arguments.
package discount

import (
	"errors"
	"hash/fnv"
	"math/bits"
	"slices"
	"time"

	"quittance/pkg/money"
)

// MaxUses is the highest limit of uses: each use is a document, and whoever
// finds none free has looked at all.
const MaxUses = 1000

// Why a code takes nothing off.
var (
	ErrNotNow   = errors.New("is not valid now")
	ErrNothing  = errors.New("does not make this order cheaper")
	ErrUsedUp   = errors.New("was used as often as it may be")
	ErrUsedByMe = errors.New("was used with this e-mail address before")
)

// Discount is the stored document.
type Discount struct {
	Code            string         `json:"code"`
	Percent         int64          `json:"percent,omitempty"`
	Amounts         []money.Amount `json:"amounts,omitempty"`
	Products        []string       `json:"products,omitempty"`
	Start           time.Time      `json:"start,omitzero"`
	End             time.Time      `json:"end,omitzero"`
	MaxUses         int64          `json:"max_uses,omitempty"`
	OncePerCustomer bool           `json:"once_per_customer,omitempty"`
	Archived        bool           `json:"archived,omitempty"`
}

// Line is what a discount needs to know of a line.
type Line struct {
	Product string
	Amount  money.Amount
}

// Off says what is taken off each line: of a percentage the part below a minor
// unit is not taken; an amount is taken from the lines one after the other until
// it is used up. It never takes more than the line costs.
func (d *Discount) Off(lines []Line, now time.Time) ([]money.Amount, error) {
	if d.Archived || now.Before(d.Start) || !d.End.IsZero() && !now.Before(d.End) {
		return nil, ErrNotNow
	}
	var left money.Amount
	for _, a := range d.Amounts {
		if len(lines) > 0 && a.Currency == lines[0].Amount.Currency {
			left = a
		}
	}
	out, something := make([]money.Amount, len(lines)), false
	for i, l := range lines {
		out[i].Currency = l.Amount.Currency
		if len(d.Products) > 0 && !slices.Contains(d.Products, l.Product) {
			continue
		}
		if d.Percent > 0 {
			out[i].Minor = percent(l.Amount.Minor, d.Percent)
		} else {
			out[i].Minor = min(left.Minor, l.Amount.Minor)
			left.Minor -= out[i].Minor
		}
		something = something || out[i].Minor > 0
	}
	if !something {
		return nil, ErrNothing
	}
	return out, nil
}

// percent of an amount that is not negative, rounded down, without overflow.
func percent(minor, percent int64) int64 {
	hi, lo := bits.Mul64(uint64(minor), uint64(percent)) //nolint:gosec // neither is negative
	q, _ := bits.Div64(hi, lo, 100)
	return int64(q) //nolint:gosec // not more than minor
}

// Slots are the uses that an order may take, the first one it finds free: every
// order begins somewhere else, so that orders seldom meet.
func (d *Discount) Slots(order string) func(yield func(int64) bool) {
	return func(yield func(int64) bool) {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(order))                 // never errs
		first := int64(hash.Sum64() % uint64(d.MaxUses)) //nolint:gosec // between 1 and MaxUses
		for i := range d.MaxUses {
			if !yield((first + i) % d.MaxUses) {
				return
			}
		}
	}
}
