package deliveries

import (
	"context"
	"errors"

	"quittance/pkg/docstore"
	"quittance/services/delivery/internal/delivery"
)

// Audit releases a licence if the stored delivery refutes it. It reports
// whether the matter is settled: if not, the unit may still take the licence, and
// it must be looked at again.
func (ds *Deliveries) Audit(ctx context.Context, l *docstore.Doc[delivery.License]) (settled bool, err error) {
	if l.Body.State != delivery.LicenseHeld {
		return true, nil
	}
	unit, err := delivery.ParseUnit(l.Body.Unit)
	if err != nil {
		return false, err
	}
	doc, err := ds.For(l.Tenant).Get(ctx, delivery.ID(unit.Order))
	if errors.Is(err, docstore.ErrNotFound) {
		return false, nil // the order asks again until there is one
	}
	if err != nil {
		return false, err
	}
	if !doc.Body.Refutes(unit, l.ID) {
		return doc.Body.Shows(unit) == l.ID || doc.Body.GivenUp(unit, l.ID), nil
	}
	ds.base.Log.WarnContext(ctx, "the audit found a licence held for a unit that has another or none", "license", l.ID, "unit", l.Body.Unit)
	return true, ds.Licenses.Release(ctx, l.Tenant, l.ID, unit, whyRefuted)
}
