package deliveries

import (
	"context"
	"maps"
	"time"

	"quittance/pkg/docstore"
	"quittance/services/delivery/internal/delivery"
	"quittance/services/delivery/internal/licenses"
)

const (
	// chunk is how many units get their licences in one go, so that a large
	// order keeps nobody waiting.
	chunk = 500
	// wakePage is how many waiting deliveries are read together.
	wakePage = 100
	// whyRefuted is on record with licences that are released because the unit has
	// another or gets none.
	whyRefuted = "held in a race or before a crash, never given"
)

// findings are the licences that a look for them brought, before the delivery
// shows them.
type findings struct {
	assigned map[delivery.Unit]string
	looks    []delivery.Look
	// held is everything that the units were seen to hold.
	held []licenses.Held
}

// find looks for licences for the next units that shall get one: those that the
// units hold already, else free ones.
func (ds *Deliveries) find(ctx context.Context, d *delivery.Delivery, now time.Time) (*findings, error) {
	f := &findings{assigned: map[delivery.Unit]string{}}
	empty := map[string]bool{}
	for units := d.Want(now, chunk); len(units) > 0; {
		n := 0
		for n < len(units) && units[n].Line == units[0].Line {
			n++
		}
		if err := ds.findLine(ctx, d, units[:n], f, empty); err != nil {
			return nil, err
		}
		units = units[n:]
	}
	return f, nil
}

// findLine looks for licences for units of one line. empty names the products
// whose pools were found empty.
func (ds *Deliveries) findLine(ctx context.Context, d *delivery.Delivery, units []delivery.Unit, f *findings, empty map[string]bool) error {
	for h, err := range ds.Licenses.Held(ctx, d.Merchant, units[0], units[len(units)-1]) {
		if err != nil {
			return err
		}
		if h.Revoked || d.GivenUp(h.Unit, h.License) {
			continue
		}
		f.held = append(f.held, h)
		if f.assigned[h.Unit] == "" {
			f.assigned[h.Unit] = h.License
		}
	}
	var without []delivery.Unit
	for _, u := range units {
		if f.assigned[u] == "" {
			without = append(without, u)
		}
	}
	line := d.Lines[units[0].Line-1]
	got := map[delivery.Unit]string{}
	if len(without) > 0 && !empty[line.Product] {
		var err error
		if got, err = ds.Licenses.Claim(ctx, d.Merchant, line.Product, without); err != nil {
			return err
		}
	}
	for u, license := range got {
		f.held = append(f.held, licenses.Held{License: license, Unit: u})
	}
	maps.Copy(f.assigned, got)
	short := len(got) < len(without)
	if short && !empty[line.Product] {
		empty[line.Product] = true
		if err := ds.Pools.Nudge(ctx, d.Merchant, line.Product); err != nil {
			return err
		}
	}
	f.looks = append(f.looks, delivery.Look{Line: units[0].Line, Short: short, Wakes: line.Wakes})
	return nil
}

// apply writes the findings into a delivery.
func (f *findings) apply(d *delivery.Delivery, now time.Time) {
	for u, license := range f.assigned {
		d.Assign(u, license, now)
	}
	for _, look := range f.looks {
		d.Looked(look, now)
	}
}

// release frees those of the licences that the stored delivery refutes.
func (ds *Deliveries) release(ctx context.Context, d *delivery.Delivery, held []licenses.Held) error {
	for _, h := range held {
		if h.Revoked || !d.Refutes(h.Unit, h.License) {
			continue
		}
		if err := ds.Licenses.Release(ctx, d.Merchant, h.License, h.Unit, whyRefuted); err != nil {
			return err
		}
		ds.base.Log.InfoContext(ctx, "licence released", "license", h.License, "unit", h.Unit.String())
	}
	return nil
}

// sweep releases everything held for the delivery's units that the stored
// delivery refutes.
func (ds *Deliveries) sweep(ctx context.Context, d *delivery.Delivery) error {
	var refuted []licenses.Held
	for h, err := range ds.Licenses.Held(ctx, d.Merchant, d.First(), d.Last()) {
		if err != nil {
			return err
		}
		if d.Refutes(h.Unit, h.License) {
			refuted = append(refuted, h)
		}
	}
	return ds.release(ctx, d, refuted)
}

// Wake makes deliveries due that wait for licences of a product, the oldest
// first, until those woken lack as many units as there are new licences.
func (ds *Deliveries) Wake(ctx context.Context, merchant, product string, count int) error {
	if count <= 0 {
		return nil
	}
	alone, several := delivery.WaitingFor(product)
	others, _, err := ds.waiting(ctx, merchant, several, "")
	if err != nil {
		return err
	}
	for after := ""; ; {
		docs, next, err := ds.waiting(ctx, merchant, alone, after)
		if err != nil {
			return err
		}
		var queue []*docstore.Doc[delivery.Delivery]
		for _, doc := range docs {
			for len(others) > 0 && others[0].Body.Created.Before(doc.Body.Created) {
				queue, others = append(queue, others[0]), others[1:]
			}
			queue = append(queue, doc)
		}
		if next == "" {
			queue = append(queue, others...)
		}
		for _, doc := range queue {
			if count <= 0 {
				return nil
			}
			if err := ds.wake(ctx, merchant, doc.ID, product); err != nil {
				return err
			}
			count -= doc.Body.Lacks(product)
		}
		if next == "" {
			return nil
		}
		after = next
	}
}

func (ds *Deliveries) waiting(ctx context.Context, merchant string, span [2]string, after string) ([]*docstore.Doc[delivery.Delivery], string, error) {
	return ds.For(merchant).Find(ctx, docstore.Query{
		Index: "waiting", From: span[0], To: span[1], After: after, Limit: wakePage,
	})
}

func (ds *Deliveries) wake(ctx context.Context, merchant, deliveryID, product string) error {
	_, err := ds.For(merchant).Update(ctx, deliveryID, func(d *delivery.Delivery, _ *docstore.Change) error {
		if !d.Wake(product, ds.Now()) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	return err
}
