package discount_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quittance/pkg/money"
	"quittance/services/order/internal/discount"
)

var noon = time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }

func TestOff(t *testing.T) {
	lines := []discount.Line{{"a", eur(999)}, {"b", eur(500)}}
	for name, tt := range map[string]struct {
		d    discount.Discount
		a, b int64
		err  error
	}{
		"ten percent, rounded down": {d: discount.Discount{Percent: 10}, a: 99, b: 50},
		"all of it":                 {d: discount.Discount{Percent: 100}, a: 999, b: 500},
		"an amount":                 {d: discount.Discount{Amounts: []money.Amount{eur(1100)}}, a: 999, b: 101},
		"more than it costs":        {d: discount.Discount{Amounts: []money.Amount{eur(9999)}}, a: 999, b: 500},
		"one product":               {d: discount.Discount{Percent: 50, Products: []string{"b"}}, b: 250},
		"another product":           {d: discount.Discount{Percent: 50, Products: []string{"c"}}, err: discount.ErrNothing},
		"another currency":          {d: discount.Discount{Amounts: []money.Amount{{Minor: 5, Currency: "USD"}}}, err: discount.ErrNothing},
		"archived":                  {d: discount.Discount{Percent: 10, Archived: true}, err: discount.ErrNotNow},
		"not yet":                   {d: discount.Discount{Percent: 10, Start: noon.Add(1)}, err: discount.ErrNotNow},
		"from now":                  {d: discount.Discount{Percent: 10, Start: noon}, a: 99, b: 50},
		"until now":                 {d: discount.Discount{Percent: 10, End: noon}, err: discount.ErrNotNow},
	} {
		off, err := tt.d.Off(lines, noon)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (off[0] != eur(tt.a) || off[1] != eur(tt.b)) {
			t.Errorf("%s: %v", name, off)
		}
	}
}

// TestP9NoDiscountIsMoreThanItsLine: whatever the amounts, nothing overflows or
// falls below zero.
func TestP9NoDiscountIsMoreThanItsLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lines []discount.Line
		for range rapid.IntRange(1, 5).Draw(t, "lines") {
			lines = append(lines, discount.Line{Product: "a", Amount: eur(rapid.Int64Range(0, math.MaxInt64).Draw(t, "amount"))})
		}
		d := discount.Discount{Percent: rapid.Int64Range(0, 100).Draw(t, "percent")}
		if d.Percent == 0 {
			d.Amounts = []money.Amount{eur(rapid.Int64Range(1, math.MaxInt64).Draw(t, "fixed"))}
		}
		off, err := d.Off(lines, noon)
		if err != nil {
			return
		}
		for i, o := range off {
			if o.Minor < 0 || o.Minor > lines[i].Amount.Minor {
				t.Fatalf("%v off %v", o, lines[i])
			}
		}
	})
}

func TestSlotsAreAllOfThemOnce(t *testing.T) {
	d, seen := discount.Discount{MaxUses: 7}, map[int64]bool{}
	for s := range d.Slots("ord_1") {
		if s < 0 || s >= d.MaxUses || seen[s] {
			t.Fatalf("slot %d", s)
		}
		seen[s] = true
	}
	if len(seen) != 7 {
		t.Errorf("%d slots", len(seen))
	}
}
