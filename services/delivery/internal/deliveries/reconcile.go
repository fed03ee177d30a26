package deliveries

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"quittance/pkg/backoff"
	"quittance/pkg/docstore"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/delivery/internal/delivery"
)

// Records lists what the orders' records say of deliveries.
type Records interface {
	ListDeliveredForService(ctx context.Context, req *orderv1.ListDeliveredForServiceRequest, opts ...grpc.CallOption) (*orderv1.ListDeliveredForServiceResponse, error)
}

// Reconciler puts a store right that was restored from an older copy: what the
// orders' records say was delivered is delivered, and the licences they name
// are taken. Until it is done no licence may be claimed, else a key that is
// already with a customer would be free and go out once more. Doing it twice,
// or in several replicas at once, is harmless.
type Reconciler struct {
	deliveries *Deliveries
	records    Records
	done       atomic.Bool
	orders     atomic.Int64 // compared so far

	// What was put right: deliveries, licences, and orders of which nobody
	// knows which keys went out.
	mended, taken, unknown int
	contested              []claim // of paid orders, on licences that other units hold
}

// NewReconciler of deliveries.
func NewReconciler(ds *Deliveries, records Records) *Reconciler {
	return &Reconciler{deliveries: ds, records: records}
}

// reconcileAgain is how long to wait for the order service or the store.
var reconcileAgain = backoff.Schedule{time.Second, 2 * time.Second, 5 * time.Second, 15 * time.Second}

// Run compares everything, with patience for the order service. Its only error
// is that of ctx.
func (r *Reconciler) Run(ctx context.Context) error {
	log := r.deliveries.base.Log
	token := ""
	for tries := 0; !r.done.Load(); {
		next, err := r.page(ctx, token)
		if err == nil && next == "" {
			err = r.settle(ctx)
		}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			tries++
			log.WarnContext(ctx, "reconciliation waits", "orders", r.orders.Load(), "error", err)
			pause := time.NewTimer(reconcileAgain.After(tries))
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return ctx.Err()
			}
			continue
		}
		tries, token = 0, next
		r.done.Store(next == "")
	}
	log.InfoContext(ctx, "reconciled with the orders' records", "orders", r.orders.Load(),
		"deliveries_mended", r.mended, "licenses_taken", r.taken, "orders_with_unknown_licenses", r.unknown)
	return nil
}

// Ready is an error until everything is compared.
func (r *Reconciler) Ready() error {
	if r.done.Load() {
		return nil
	}
	return fmt.Errorf("reconciling with the orders' records, %d delivered orders compared", r.orders.Load())
}

// page compares one page of orders and returns the token of the next.
func (r *Reconciler) page(ctx context.Context, token string) (next string, err error) {
	resp, err := r.records.ListDeliveredForService(ctx, &orderv1.ListDeliveredForServiceRequest{PageSize: 20, PageToken: token})
	if err != nil {
		return "", fmt.Errorf("list delivered orders: %w", err)
	}
	for _, fact := range resp.GetOrders() {
		if err := r.order(ctx, fact); err != nil {
			return "", err
		}
		r.orders.Add(1)
	}
	return resp.GetNextPageToken(), nil
}

// order puts one order's delivery and licences right. The licences follow what
// the delivery then shows: one that a unit has given back, or that was replaced,
// may be another customer's by now, and the record still names it.
func (r *Reconciler) order(ctx context.Context, fact *orderv1.DeliveredOrder) error {
	o := fact.GetOrder()
	record, err := delivery.ReadRecord(fact)
	if err != nil {
		return err
	}
	if len(record.Unknown) > 0 {
		r.unknown++
		r.deliveries.base.Log.ErrorContext(ctx, "an order's record does not name the licences of delivered lines: keys of theirs may go out twice",
			"order", o.GetId(), "merchant", o.GetMerchantId(), "lines", record.Unknown)
	}
	d, err := r.mend(ctx, o, record)
	if err != nil {
		return err
	}
	for n, licenses := range record.Lines {
		for i, license := range licenses {
			unit := d.Unit(n, i+1)
			if license == "" || d.Shows(unit) != license {
				continue
			}
			if err := r.take(ctx, claim{o.GetMerchantId(), o.GetLines()[n-1].GetProductId(), license, unit}, d.Closed.IsZero()); err != nil {
				return err
			}
		}
	}
	return nil
}

// claim is a licence that an order's record says a unit has.
type claim struct {
	merchant, product, license string
	unit                       delivery.Unit
}

// take gives a licence to its unit if it is free; if it is another unit's, only
// to one of a paid order, and when everything else is compared: the other one's
// order may have given it back.
func (r *Reconciler) take(ctx context.Context, c claim, paid bool) error {
	other, changed, err := r.deliveries.Licenses.Take(ctx, c.merchant, c.product, c.license, c.unit, "")
	if err != nil {
		return fmt.Errorf("take licence %s: %w", c.license, err)
	}
	if changed {
		r.taken++
	}
	if other != "" && paid {
		r.contested = append(r.contested, c)
	}
	return nil
}

// settle decides about the licences that other units held.
func (r *Reconciler) settle(ctx context.Context) error {
	for ; len(r.contested) > 0; r.contested = r.contested[1:] {
		if err := r.takeFrom(ctx, r.contested[0]); err != nil {
			return err
		}
	}
	return nil
}

// takeFrom takes a licence from the unit that holds it, unless that has it too.
func (r *Reconciler) takeFrom(ctx context.Context, c claim) error {
	ds := r.deliveries
	other, _, err := ds.Licenses.Take(ctx, c.merchant, c.product, c.license, c.unit, "")
	if err != nil || other == "" {
		return err
	}
	holder, err := delivery.ParseUnit(other)
	if err != nil {
		return err
	}
	doc, err := ds.For(c.merchant).Get(ctx, delivery.ID(holder.Order))
	switch {
	case err == nil && doc.Body.Keeps(holder, c.license):
		ds.base.Log.ErrorContext(ctx, "two units of paid orders have one licence", "license", c.license, "unit", c.unit.String(), "held_by", other)
		return nil
	case err != nil && !errors.Is(err, docstore.ErrNotFound):
		return err
	}
	_, changed, err := ds.Licenses.Take(ctx, c.merchant, c.product, c.license, c.unit, other)
	if changed {
		r.taken++
		ds.base.Log.WarnContext(ctx, "licence taken from another unit", "license", c.license, "unit", c.unit.String(), "from", other)
	}
	return err
}

// mend makes the order's delivery what the record says, and returns it.
func (r *Reconciler) mend(ctx context.Context, o *orderv1.Order, record *delivery.Recorded) (*delivery.Delivery, error) {
	ds := r.deliveries
	now := ds.Now()
	fresh, err := record.New(now)
	if err != nil {
		return nil, err
	}
	doc, err := ds.For(o.GetMerchantId()).Insert(ctx, fresh.ID, fresh)
	changed := err == nil
	if errors.Is(err, docstore.ErrExists) {
		doc, err = ds.For(o.GetMerchantId()).Update(ctx, fresh.ID, func(d *delivery.Delivery, _ *docstore.Change) error {
			if changed = record.Apply(d, now); !changed {
				return docstore.ErrUnchanged
			}
			return nil
		})
	}
	if state := o.GetPaymentState(); err == nil && delivery.Unpaid(state) && doc.Body.Closed.IsZero() {
		changed = true
		doc, err = ds.close(ctx, fresh, state, now)
	}
	if err != nil {
		return nil, fmt.Errorf("mend delivery of order %s: %w", o.GetId(), err)
	}
	if changed {
		r.mended++
	}
	return &doc.Body, nil
}
