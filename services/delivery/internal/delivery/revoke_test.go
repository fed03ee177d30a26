package delivery

import (
	"testing"
	"time"

	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// delivered is a paid delivery of one line with a licence for each unit.
func delivered(units int, now time.Time) *Delivery {
	l := Line{Product: "p", Quantity: units, Method: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL, Delivered: now, Acknowledged: true}
	for n := range units {
		l.Licenses = append(l.Licenses, LicenseID("m", "p", string(rune('a'+n))))
	}
	return &Delivery{ID: "dlv_1", Order: "ord_1", Merchant: "m", Lines: []Line{l}}
}

// A unit counts as revoked once, however often it is revoked.
func TestARevokedUnitCountsOnce(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := delivered(2, now)
	for range 2 {
		if err := d.Revoke(d.Unit(1, 2), "leaked", now); err != nil {
			t.Fatal(err)
		}
		d.Exited(d.Exits(now, 10))
		if got := d.revokedUnits(); got != 1 {
			t.Errorf("%d units revoked, want 1", got)
		}
	}
	d.Close(now)
	d.End(func(string) Disposition { return DispositionRevoke }, "refunded", now)
	d.Exited(d.Exits(now, 10))
	if got := d.revokedUnits(); got != 2 || d.Lines[0].ending() {
		t.Errorf("%d units revoked of 2; still ending: %t", got, d.Lines[0].ending())
	}
}

// P3: a licence that is being revoked does not come back into the pool with the
// others of a refunded order, and these are not forgotten over it.
func TestP3RevokedIsNotReturned(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := delivered(5, now)
	held := map[string]*License{}
	for i, id := range d.Lines[0].Licenses {
		held[id] = &License{Product: "p", State: LicenseHeld, Unit: d.Unit(1, i+1).String()}
	}
	if err := d.Revoke(d.Unit(1, 4), "leaked", now); err != nil {
		t.Fatal(err)
	}
	leaked := d.Lines[0].Licenses.Of(4)
	d.Close(now)
	d.End(func(string) Disposition { return DispositionReturn }, "refunded", now)
	for range 10 {
		exits := d.Exits(now, 2)
		for i := range exits { // all at once: any may be the first
			e := exits[len(exits)-1-i]
			if e.Return {
				held[e.License].Release(e.Unit.String(), e.Why, now)
			} else {
				held[e.License].Revoke(e.Unit.String(), e.Why, now)
			}
		}
		d.Exited(exits)
	}
	for id, l := range held {
		if want := id == leaked; want != (l.State == LicenseRevoked) || !want && l.State != LicenseFree {
			t.Errorf("licence %s is %s; it was leaked: %t", id, l.State, want)
		}
	}
	if d.Lines[0].ending() || d.Lines[0].Licenses != nil {
		t.Error("licences are still on their way out")
	}
}
