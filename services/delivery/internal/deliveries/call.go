package deliveries

import (
	"context"
	"fmt"
	"time"

	"quittance/pkg/docstore"
	"quittance/services/delivery/internal/delivery"
	"quittance/services/delivery/internal/licenses"
)

// call brings licences from the merchant's web service. What it answers is
// stored as licences that the units hold, before the delivery shows them: if the
// process dies in between they are adopted, and the call is repeated with the
// same key only for what is missing.
func (ds *Deliveries) call(ctx context.Context, doc *leased, c *delivery.Call) error {
	d := &doc.Body
	assigned, held, err := ds.adopt(ctx, d, c)
	if err != nil {
		return err
	}
	var failure *delivery.Failure
	var patience delivery.Patience
	if missing(d, c, assigned) {
		keys, w, f := ds.Services.Ask(ctx, d, c)
		failure, patience = f, w.Patience()
		if failure == nil {
			if failure, err = ds.keep(ctx, d, c, keys, assigned, &held); err != nil {
				return err
			}
		}
	}
	stored, err := ds.finish(ctx, doc, func(d *delivery.Delivery, now time.Time) {
		for unit, license := range assigned {
			if d.Takes(c, unit.Number) {
				d.Assign(unit, license, now)
			}
		}
		if failure != nil {
			d.CallFailed(c, *failure, patience, now)
			return
		}
		d.Called(c, now)
	})
	if err != nil {
		return err
	}
	return ds.release(ctx, stored, held)
}

// adopt finds what the units of a call hold already.
func (ds *Deliveries) adopt(ctx context.Context, d *delivery.Delivery, c *delivery.Call) (map[delivery.Unit]string, []licenses.Held, error) {
	assigned := map[delivery.Unit]string{}
	var held []licenses.Held
	first, last := d.Unit(c.Line, c.Units[0]), d.Unit(c.Line, c.Units[len(c.Units)-1])
	for h, err := range ds.Licenses.Held(ctx, d.Merchant, first, last) {
		if err != nil {
			return nil, nil, err
		}
		if h.Revoked || d.GivenUp(h.Unit, h.License) {
			continue
		}
		held = append(held, h)
		if assigned[h.Unit] == "" && d.Takes(c, h.Unit.Number) {
			assigned[h.Unit] = h.License
		}
	}
	return assigned, held, nil
}

// missing reports whether a unit of the call has no licence yet.
func missing(d *delivery.Delivery, c *delivery.Call, assigned map[delivery.Unit]string) bool {
	for _, n := range c.Units {
		if d.Takes(c, n) && assigned[d.Unit(c.Line, n)] == "" {
			return true
		}
	}
	return false
}

// keep stores the keys of an answer as licences that the units hold. A key that
// is another unit's, or was revoked, is of no use: the failure says so.
func (ds *Deliveries) keep(ctx context.Context, d *delivery.Delivery, c *delivery.Call, keys []string, assigned map[delivery.Unit]string, held *[]licenses.Held) (*delivery.Failure, error) {
	for i, n := range c.Units {
		unit := d.Unit(c.Line, n)
		if !d.Takes(c, n) || assigned[unit] != "" {
			continue
		}
		license, ok, err := ds.Licenses.Keep(ctx, d.Merchant, c.Product, keys[i], unit)
		if err != nil {
			return nil, err
		}
		if !ok {
			return &delivery.Failure{Problem: fmt.Sprintf("the web service of product %q gave a licence that was given before (for unit %d of line %d): "+
				"the merchant must look after it, then try again (RetryDelivery)", c.Product, n, c.Line), Fatal: true}, nil
		}
		assigned[unit] = license
		*held = append(*held, licenses.Held{License: license, Unit: unit})
	}
	return nil, nil
}

// Mend tries at once what waits for a product's web service, or has failed there.
func (ds *Deliveries) Mend(ctx context.Context, merchant, product string) error {
	for doc, err := range ds.For(merchant).All(ctx, docstore.Query{Index: "waiting", Limit: wakePage}) {
		if err != nil {
			return err
		}
		if !doc.Body.Mend(product, ds.Now()) {
			continue
		}
		if _, err := ds.Change(ctx, merchant, doc.Body.Order, func(d *delivery.Delivery, now time.Time) error {
			if !d.Mend(product, now) {
				return docstore.ErrUnchanged
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// Exported notes in the log that a merchant has read keys.
func (ds *Deliveries) Exported(ctx context.Context, merchant, product, state string, n int) {
	ds.base.Log.InfoContext(ctx, "licence keys exported", "merchant", merchant, "product", product, "state", state, "licenses", n)
}
