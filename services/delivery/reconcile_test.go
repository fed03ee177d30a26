package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/delivery"
)

// records is the order service with a record of each delivered order, one on a
// page. It is down for the first calls.
type records struct {
	orderIsDown
	down   atomic.Int64
	orders []*orderv1.DeliveredOrder
}

// Invoke implements grpc.ClientConnInterface.
func (r *records) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if method != orderv1.ReferenceService_ListDeliveredForService_FullMethodName {
		return r.orderIsDown.Invoke(ctx, method, args, reply, opts...)
	}
	if r.down.Add(-1) >= 0 {
		return status.Error(codes.Unavailable, "order is down")
	}
	page := len(args.(*orderv1.ListDeliveredForServiceRequest).GetPageToken())
	out := &orderv1.ListDeliveredForServiceResponse{}
	if page < len(r.orders) {
		out.Orders = r.orders[page : page+1]
		out.NextPageToken = strings.Repeat("+", page+1)
	}
	proto.Merge(reply.(proto.Message), out)
	return nil
}

// record is what the order service keeps of an order whose delivery was completed.
func record(t *testing.T, s *shop, f *eventv1.OrderEvent) *orderv1.DeliveredOrder {
	t.Helper()
	o := proto.CloneOf(f.GetOrder())
	out := &orderv1.DeliveredOrder{Order: o}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		done := &eventv1.DeliveryCompleted{}
		if e.Type != event.DeliveryCompleted || e.Key != o.GetId() {
			continue
		}
		if err := e.Decode(done); err != nil {
			t.Fatal(err)
		}
		for _, n := range done.GetLineNumbers() {
			o.Lines[n-1].DeliveryState = orderv1.DeliveryState_DELIVERY_STATE_DELIVERED
		}
		out.Licenses = done.GetLicenses()
	}
	return out
}

// P3: after a restore from an older copy no key goes out twice, whether the copy
// knows it as free, as another unit's, or not at all.
func TestP3RestoredFromAnOlderCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The copy is taken right after the import of two keys.
		older := memory.New()
		before, err := newShop(older)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := before.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		fill(t, before, "tool", "KEY-1", "KEY-2")
		if err := before.close(); err != nil {
			t.Fatal(err)
		}

		// Life goes on: a third key is imported, two orders get a key each.
		now := open(t)
		fill(t, now, "tool", "KEY-1", "KEY-2", "KEY-3")
		first, second := paid("ord_1", line{product: "tool", quantity: 1}), paid("ord_2", line{product: "tool", quantity: 1}, line{product: "game", quantity: 1})
		pay(t, now, first)
		pay(t, now, second)
		wait(time.Second)
		out := &records{}
		out.down.Store(2)
		var given []string
		for _, f := range []*eventv1.OrderEvent{first, second} {
			out.orders = append(out.orders, record(t, now, f))
			given = append(given, get(t, now, f.GetOrder().GetId()).GetLines()[0].GetLicenseKeys()...)
		}

		// The store is lost, and the copy restored.
		restored, err := newShop(older)
		if err != nil {
			t.Fatal(err)
		}
		restored.config, restored.orders = delivery.Config{Reconcile: true}, out
		go func() { // readiness and work begin when the order service was asked
			if _, err := restored.start(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}()
		wait(time.Minute)
		t.Cleanup(func() {
			if err := restored.close(); err != nil {
				t.Error(err)
			}
		})
		fill(t, restored, "tool", "KEY-1", "KEY-2", "KEY-3") // the merchant imports again what the copy lacks
		pay(t, restored, second)                             // not wholly delivered: the order asks again
		for _, id := range []string{"ord_3", "ord_4"} {
			pay(t, restored, paid(id, line{product: "tool", quantity: 1}))
		}
		wait(time.Minute)

		for i, id := range []string{"ord_1", "ord_2"} {
			l := get(t, restored, id).GetLines()[0]
			if !l.GetDelivered() || !slices.Equal(l.GetLicenseKeys(), given[i:i+1]) {
				t.Errorf("%s: delivered %t with %d keys, or not the one that its customer has", id, l.GetDelivered(), len(l.GetLicenseKeys()))
			}
		}
		var sent []string
		for _, m := range restored.relay.mails() {
			for _, key := range []string{"KEY-1", "KEY-2", "KEY-3"} {
				if strings.Contains(m.Text, key) {
					sent = append(sent, key)
				}
			}
		}
		if len(sent) != 1 || slices.Contains(given, sent[0]) {
			t.Errorf("%d keys were mailed after the restore, one was free", len(sent))
		}
		waiting := 0
		for _, id := range []string{"ord_3", "ord_4"} {
			if get(t, restored, id).GetProblem() != "" {
				waiting++
			}
		}
		if free, held := pool(t, restored, "tool"); waiting != 1 || free != 0 || held != 3 {
			t.Errorf("%d orders wait; pool %d free, %d held", waiting, free, held)
		}
	})
}

// A restored store is not ready, and hands out nothing, while the order service
// can't be asked.
func TestUnreadyUntilReconciled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newShop(memory.New())
		if err != nil {
			t.Fatal(err)
		}
		out := &records{}
		out.down.Store(1 << 40)
		s.config, s.orders = delivery.Config{Reconcile: true}, out
		r, stop, err := s.launch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wait(time.Hour)
		if err := r.svc.Ready(t.Context()); err == nil || r.handlers != nil {
			t.Errorf("ready: %v; consumes: %t", err, r.handlers != nil)
		}
		out.down.Store(0)
		wait(time.Minute)
		if err := r.svc.Ready(t.Context()); err != nil || r.handlers == nil {
			t.Errorf("ready: %v; consumes: %t", err, r.handlers != nil)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// P3: the records of two orders name one licence when the first was refunded
// and its licence returned to the pool and sold again. Reconciling, of a store
// that lost nothing or of an older copy, in whatever order, leaves it with the
// second.
func TestP3ReconcilingAfterALicenceWasReturned(t *testing.T) {
	one := line{product: "tool", quantity: 1}
	first, second := paid("ord_1", one), paid("ord_2", one)
	live := func(t *testing.T, engine docstore.Engine, whole bool) (records []*orderv1.DeliveredOrder) {
		s, err := newShop(engine)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		putPool(t, s, &deliveryv1.PoolSettings{ProductId: "tool", OnRefund: deliveryv1.Disposition_DISPOSITION_RETURN})
		fill(t, s, "tool", "KEY-1")
		pay(t, s, first)
		wait(time.Minute)
		if whole {
			refund(t, s, orderv1.PaymentState_PAYMENT_STATE_REFUNDED, one)
			wait(time.Minute)
			pay(t, s, second)
			wait(time.Minute)
			records = []*orderv1.DeliveredOrder{record(t, s, first), record(t, s, second)}
			records[0].Order.PaymentState = orderv1.PaymentState_PAYMENT_STATE_REFUNDED
			if len(records[1].GetLicenses()) != 1 {
				t.Fatal("the second order has no licence")
			}
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		return records
	}
	for _, copied := range []bool{false, true} {
		for _, reverse := range []bool{false, true} {
			t.Run(fmt.Sprintf("copy=%t reverse=%t", copied, reverse), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					engine := memory.New()
					out := &records{orders: live(t, engine, true)}
					if copied {
						engine = memory.New()
						live(t, engine, false)
					}
					if reverse {
						slices.Reverse(out.orders)
					}
					s, err := newShop(engine)
					if err != nil {
						t.Fatal(err)
					}
					s.config, s.orders = delivery.Config{Reconcile: true}, out
					if _, err := s.start(t.Context()); err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() {
						if err := s.close(); err != nil {
							t.Error(err)
						}
					})
					pay(t, s, paid("ord_3", one))
					wait(48 * time.Hour) // the audit has looked at everything
					if n := len(s.relay.mails()); n != 0 {
						t.Errorf("%d mails with the key of the second order", n)
					}
					if got := get(t, s, "ord_2").GetLines()[0].GetLicenseKeys(); !slices.Equal(got, []string{"KEY-1"}) {
						t.Errorf("the second order has %d keys", len(got))
					}
					if got := get(t, s, "ord_1").GetLines()[0].GetLicenseKeys(); len(got) != 0 {
						t.Errorf("the refunded order has %d keys", len(got))
					}
				})
			})
		}
	}
}
