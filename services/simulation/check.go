package simulation

import (
	"fmt"
	"slices"
	"strings"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// States of orders, short.
const (
	unpaid       = orderv1.PaymentState_PAYMENT_STATE_UNPAID
	paid         = orderv1.PaymentState_PAYMENT_STATE_PAID
	refunded     = orderv1.PaymentState_PAYMENT_STATE_REFUNDED
	chargedBack  = orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK
	partly       = orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED
	canceled     = orderv1.PaymentState_PAYMENT_STATE_CANCELED
	expired      = orderv1.PaymentState_PAYMENT_STATE_EXPIRED
	onHold       = orderv1.PaymentState_PAYMENT_STATE_ON_HOLD
	allDelivered = orderv1.DeliveryState_DELIVERY_STATE_DELIVERED
)

// ending is what the services say of one order in the end.
type ending struct {
	*bought
	order    *orderv1.Order
	events   []*orderv1.PublicEvent
	delivery *deliveryv1.Delivery // nil if there is none
}

// check compares the services' word with everybody's books.
func (w *world) check() {
	var endings []*ending
	for _, b := range w.shop.orders {
		e, err := w.ending(b)
		if err != nil {
			w.fail("P4: order %d was acknowledged and can't be read: %v", b.n, err)
			continue
		}
		endings = append(endings, e)
	}
	for _, b := range w.shop.doubtful {
		if e, err := w.ending(b); err == nil {
			endings = append(endings, e)
		}
	}
	w.endings = endings
	for _, e := range endings {
		w.checkMoney(e)
		w.checkProgress(e)
		w.checkHistory(e)
		w.checkHooks(e)
		w.checkLetters(e)
	}
	w.checkTransactions(endings)
	w.checkKeys(endings)
	w.checkMails(endings)
	w.checkCallbacks()
	w.checkStores()
}

func (w *world) ending(b *bought) (*ending, error) {
	orders := orderv1.NewOrderServiceClient(w.merchant(orderName))
	o, err := orders.GetOrder(w.ctx, &orderv1.GetOrderRequest{OrderId: b.id})
	if err != nil {
		return nil, err
	}
	list, err := orders.ListEvents(w.ctx, &orderv1.ListEventsRequest{OrderId: b.id})
	if err != nil {
		return nil, err
	}
	e := &ending{bought: b, order: o, events: list.GetEvents()}
	d, err := deliveryv1.NewDeliveryServiceClient(w.merchant(deliveryName)).GetDelivery(w.ctx, &deliveryv1.GetDeliveryRequest{OrderId: b.id})
	switch {
	case err == nil:
		e.delivery = d
	case fault.KindOf(err) != fault.KindNotFound:
		w.fail("P3: the delivery of order %d can't be read: %v", b.n, err)
	}
	return e, nil
}

// has reports whether the order's history has an event of a type.
func (e *ending) has(typ string) bool {
	return slices.ContainsFunc(e.events, func(p *orderv1.PublicEvent) bool { return p.GetType() == typ })
}

// counts reports whether the order counts as paid, and shall be delivered.
func (e *ending) counts() bool {
	return e.order.GetPaymentState() == paid || e.order.GetPaymentState() == partly
}

// given reports whether the customer got anything, or a licence is set aside.
func (e *ending) given() bool {
	return slices.ContainsFunc(e.delivery.GetLines(), func(l *deliveryv1.DeliveryLine) bool {
		return l.GetDelivered() || slices.ContainsFunc(l.GetLicenseKeys(), func(k string) bool { return k != "" })
	})
}

// checkProgress is P4: every order rests in a state that says why.
func (w *world) checkProgress(e *ending) {
	o := e.order
	switch o.GetPaymentState() {
	case paid, partly:
		if o.GetDeliveryState() != allDelivered && o.GetDeliveryProblem() == "" {
			w.fail("P4: order %d is paid and %v, and nothing says why", e.n, o.GetDeliveryState())
		}
	case unpaid:
		if e.plan.Prepaid {
			w.fail("P4: order %d is prepaid and unpaid", e.n)
		}
		if w.plan.Late > 0 {
			w.fail("P4: order %d has not expired after 90 days", e.n)
		}
	case onHold:
		if o.GetHold().GetDetail() == "" {
			w.fail("P4: order %d is on hold, and nothing says why", e.n)
		}
	case expired:
		if w.plan.Late == 0 {
			w.fail("P4: order %d has expired before its time", e.n)
		}
	case refunded, chargedBack, canceled:
	case orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED, orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		w.fail("P4: order %d is %v, which nothing brought about", e.n, o.GetPaymentState())
	}
	if problem := o.GetDeliveryProblem(); problem != "" && e.counts() && !e.plan.BadAddress && !w.short(e) {
		w.fail("P4: order %d waits for %q, which is not so", e.n, problem)
	}
	d := o.GetDeliveryState() == allDelivered
	if e.delivery != nil && e.counts() {
		all := !slices.ContainsFunc(e.delivery.GetLines(), func(l *deliveryv1.DeliveryLine) bool { return !l.GetDelivered() })
		if all != d {
			w.fail("P4: order %d: delivery says all delivered %v, the order %v", e.n, all, d)
		}
	}
}

// short reports whether a pool of the order is empty.
func (w *world) short(e *ending) bool {
	for _, it := range e.plan.Items {
		if it.Product == letter {
			continue
		}
		pool, err := deliveryv1.NewDeliveryServiceClient(w.merchant(deliveryName)).GetPool(w.ctx, &deliveryv1.GetPoolRequest{ProductId: it.Product})
		if err == nil && pool.GetFree() < it.Quantity {
			return true
		}
	}
	return false
}

// checkHistory is P6: the events are those of the state, without a gap.
func (w *world) checkHistory(e *ending) {
	for i, p := range e.events {
		if p.GetSequence() != int64(i+1) {
			w.fail("P6: event %d of order %d has sequence %d", i+1, e.n, p.GetSequence())
			return
		}
	}
	if e.order.GetSequence() != int64(len(e.events)) {
		w.fail("P6: order %d has counted %d events and announced %d", e.n, e.order.GetSequence(), len(e.events))
	}
	for typ, must := range map[string]bool{
		event.OrderCreated:     true,
		event.PaymentSucceeded: e.counts() || e.given(),
		event.OrderDelivered:   e.order.GetDeliveryState() == allDelivered,
		event.OrderOnHold:      e.order.GetPaymentState() == onHold,
		event.OrderCanceled:    e.order.GetPaymentState() == canceled,
		event.OrderExpired:     e.order.GetPaymentState() == expired,
		event.OrderRefunded:    slices.Contains([]orderv1.PaymentState{partly, refunded, chargedBack}, e.order.GetPaymentState()),
	} {
		if must && !e.has(typ) {
			w.fail("P6: order %d is %v, %v, and has no %s", e.n, e.order.GetPaymentState(), e.order.GetDeliveryState(), typ)
		}
	}
}

// checkHooks is P7: the endpoint got every event of the order, in sequence.
func (w *world) checkHooks(e *ending) {
	got := map[int64]string{}
	var last int64
	for _, h := range w.hooks.got {
		if h.order != e.id {
			continue
		}
		if id, repeat := got[h.sequence]; repeat {
			if id != h.id {
				w.fail("P7: webhook %d of order %d came with two ids", h.sequence, e.n)
			}
			continue
		}
		if h.sequence < last {
			w.fail("P7: webhook %d of order %d came first after %d", h.sequence, e.n, last)
		}
		got[h.sequence], last = h.id, h.sequence
	}
	for _, p := range e.events {
		if got[p.GetSequence()] != p.GetId() {
			w.fail("P7: the endpoint never got %s, number %d of order %d", p.GetType(), p.GetSequence(), e.n)
		}
	}
}

// summary is how the orders ended, in words that don't depend on ids.
func (w *world) summary() []string {
	var out []string
	for _, e := range w.endings {
		var types []string
		for _, p := range e.events {
			types = append(types, p.GetType())
		}
		out = append(out, fmt.Sprintf("order %d: %v %v %s", e.n, e.order.GetPaymentState(), e.order.GetDeliveryState(), strings.Join(types, " ")))
	}
	slices.Sort(out)
	return out
}
