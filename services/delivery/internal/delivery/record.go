package delivery

import (
	"fmt"
	"time"

	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// maxRecorded is how many licences of a delivery its order keeps: as many as
// an event on the bus has room for, with 16 bytes each.
const maxRecorded = 30_000

// record lists the licences of lines for the order; none if they are too many,
// or can't be packed.
func (d *Delivery) record(lines []int32) []*orderv1.LineLicenses {
	var out []*orderv1.LineLicenses
	total := 0
	for _, n := range lines {
		l := d.line(int(n))
		if l == nil || len(l.Licenses) == 0 {
			continue
		}
		packed, err := l.Licenses.Packed()
		if total += len(l.Licenses); err != nil || total > maxRecorded {
			return nil
		}
		out = append(out, &orderv1.LineLicenses{LineNumber: n, LicenseIds: packed})
	}
	return out
}

// Recorded is a delivery as an order's record shows it, after this service's
// own store was lost or restored from an older copy.
type Recorded struct {
	fact *orderv1.DeliveredOrder
	// Lines holds the licences of each delivered line by its number; nil for a
	// line that has none on record.
	Lines map[int]Assigned
	// Unknown numbers the delivered lines that have units from a pool and no
	// licences on record: nobody knows which keys went out.
	Unknown []int
}

// ReadRecord reads an order's record. An error means that no order writes such.
func ReadRecord(fact *orderv1.DeliveredOrder) (*Recorded, error) {
	r := &Recorded{fact: fact, Lines: map[int]Assigned{}}
	licenses := map[int]Assigned{}
	for _, l := range fact.GetLicenses() {
		unpacked, err := Unpack(l.GetLicenseIds())
		if err != nil {
			return nil, fmt.Errorf("order %s line %d: %w", fact.GetOrder().GetId(), l.GetLineNumber(), err)
		}
		licenses[int(l.GetLineNumber())] = unpacked
	}
	for i, l := range fact.GetOrder().GetLines() {
		if l.GetDeliveryState() != orderv1.DeliveryState_DELIVERY_STATE_DELIVERED {
			continue
		}
		r.Lines[i+1] = licenses[i+1]
		// One licence may be all there is to a line of many (one per line).
		n := licenses[i+1].Count()
		if l.GetDeliveryMethod() == orderv1.DeliveryMethod_DELIVERY_METHOD_POOL && n < int(l.GetQuantity()) && n != 1 {
			r.Unknown = append(r.Unknown, i+1)
		}
	}
	return r, nil
}

// New is the delivery as the record shows it: delivered lines with their
// licences, the others with everything still to do.
func (r *Recorded) New(now time.Time) (*Delivery, error) {
	d, err := New(&eventv1.OrderEvent{Order: r.fact.GetOrder(), MailTexts: r.fact.GetMailTexts()}, now)
	if err != nil {
		return nil, err
	}
	r.Apply(d, now)
	if Unpaid(r.fact.GetOrder().GetPaymentState()) {
		d.Close(now)
	}
	return d, nil
}

// Apply makes lines of a stored delivery delivered that are so on record. It
// reports whether it changed any. A line that the delivery shows as delivered
// stays as it is.
func (r *Recorded) Apply(d *Delivery, now time.Time) bool {
	at := now
	if t := r.fact.GetOrder().GetDeliveredTime(); t != nil {
		at = t.AsTime()
	}
	changed := false
	for n, licenses := range r.Lines {
		l := d.line(n)
		if l == nil || !l.Delivered.IsZero() {
			continue
		}
		changed = true
		l.Licenses, l.Open = licenses, 0
		l.AssignAt, l.AssignTries, l.Problem, l.Stuck = time.Time{}, 0, "", false
		l.MailAt, l.MailTries = time.Time{}, 0
		l.Delivered, l.Mailed, l.Acknowledged = at, at, true
	}
	if changed {
		d.Told = len(d.delivered())
	}
	return changed
}
