package delivery

import (
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// P3: a licence goes from hand to hand only through the pool, and only its
// holder gives it back.
func TestLicenseHasOneHolder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &License{State: LicenseFree}
		holder := ""
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			unit := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "unit")
			if rapid.Bool().Draw(t, "hold") {
				holds, changed := l.Hold(unit, t0)
				if holds != (holder == "" || holder == unit) || changed != (holder == "") {
					t.Fatalf("hold for %q while %q holds: %v, %v", unit, holder, holds, changed)
				}
				if changed {
					holder = unit
				}
			} else {
				if l.Release(unit, "test", t0) != (holder == unit) {
					t.Fatalf("release by %q while %q holds", unit, holder)
				}
				if holder == unit {
					holder = ""
				}
			}
			if l.Unit != holder || (l.State == LicenseFree) != (holder == "") {
				t.Fatalf("%s by %q, want %q", l.State, l.Unit, holder)
			}
		}
	})
}

func TestUnitsSortByLineAndNumber(t *testing.T) {
	var ids []string
	for _, u := range []Unit{{"ord_1", 1, 1}, {"ord_1", 1, 2}, {"ord_1", 1, 10}, {"ord_1", 1, 10_000}, {"ord_1", 2, 1}, {"ord_1", 50, 10_000}, {"ord_2", 1, 1}} {
		ids = append(ids, u.String())
		if back, err := ParseUnit(u.String()); err != nil || back != u {
			t.Errorf("%s reads as %v, %v", u, back, err)
		}
	}
	if !slices.IsSorted(ids) {
		t.Errorf("%v", ids)
	}
	for _, bad := range []string{"", "ord_1", "ord_1/1", "ord_1/1/1/1", "ord_1/x/1", "ord_1/1/x"} {
		if u, err := ParseUnit(bad); err == nil {
			t.Errorf("%q reads as %v", bad, u)
		}
	}
}

func TestAssignedIsStoredPacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a Assigned
		for n := range rapid.IntRange(0, 40).Draw(t, "units") {
			if rapid.Bool().Draw(t, "assigned") {
				a = a.With(n+1, license(n))
			}
		}
		raw, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var back Assigned
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(a, back) || back.Count() != a.Count() {
			t.Fatalf("%v reads as %v", a, back)
		}
	})
	var a Assigned
	for _, bad := range []string{`"AAAA"`, `"?"`, `1`, `["lic_1"]`} {
		if err := json.Unmarshal([]byte(bad), &a); err == nil {
			t.Errorf("%s reads as %v", bad, a)
		}
	}
	if _, err := json.Marshal(Assigned{"lic_1"}); err == nil {
		t.Error("no licence's id is stored")
	}
}

// The largest order's document stays below what databases take (16 MB).
func TestLargestDeliveryIsBounded(t *testing.T) {
	d := &Delivery{}
	all := make(Assigned, maxQuantity)
	for i := range all {
		all[i] = license(i)
	}
	for range maxLines {
		d.Lines = append(d.Lines, Line{Quantity: maxQuantity, Licenses: all})
	}
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 12<<20 {
		t.Errorf("%d bytes", len(raw))
	}
}
