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

// order puts one order's licences and delivery right, the licences first.
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
	for n, licenses := range record.Lines {
		if err := r.take(ctx, o, n, licenses); err != nil {
			return err
		}
	}
	return r.mend(ctx, o, record)
}

func (r *Reconciler) take(ctx context.Context, o *orderv1.Order, line int, licenses delivery.Assigned) error {
	for i, license := range licenses {
		if license == "" {
			continue
		}
		unit := delivery.Unit{Order: o.GetId(), Line: line, Number: i + 1}
		from, changed, err := r.deliveries.Licenses.Take(ctx, o.GetMerchantId(), o.GetLines()[line-1].GetProductId(), license, unit)
		if err != nil {
			return fmt.Errorf("take licence %s: %w", license, err)
		}
		if changed {
			r.taken++
		}
		if from != "" {
			r.deliveries.base.Log.WarnContext(ctx, "licence taken from another unit", "license", license, "unit", unit.String(), "from", from)
		}
	}
	return nil
}

// mend makes the order's delivery what the record says.
func (r *Reconciler) mend(ctx context.Context, o *orderv1.Order, record *delivery.Recorded) error {
	ds := r.deliveries
	now := ds.Now()
	fresh, err := record.New(now)
	if err != nil {
		return err
	}
	_, err = ds.For(o.GetMerchantId()).Insert(ctx, fresh.ID, fresh)
	changed := err == nil
	if errors.Is(err, docstore.ErrExists) {
		_, err = ds.For(o.GetMerchantId()).Update(ctx, fresh.ID, func(d *delivery.Delivery, _ *docstore.Change) error {
			if changed = record.Apply(d, now); !changed {
				return docstore.ErrUnchanged
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("mend delivery of order %s: %w", o.GetId(), err)
	}
	if changed {
		r.mended++
	}
	return nil
}
