package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/bus"
	"quittance/pkg/event"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// line is one line of an order in a test.
type line struct {
	product  string
	quantity int64
	mail     bool
	text     string
	// service: from the merchant's web service; fallback: then from the pool.
	service, fallback bool
}

// orderEvent is an order of these lines as its event shows it.
func orderEvent(id string, state orderv1.PaymentState, lines ...line) *eventv1.OrderEvent {
	o := &orderv1.Order{
		Id: id, MerchantId: merchant, PaymentState: state,
		Customer: &orderv1.Customer{Email: id + "@customer.example", Name: "Customer of " + id},
	}
	fact := &eventv1.OrderEvent{Order: o, Sequence: 2}
	for i, l := range lines {
		method := orderv1.DeliveryMethod_DELIVERY_METHOD_POOL
		if l.mail {
			method = orderv1.DeliveryMethod_DELIVERY_METHOD_MAIL
		}
		fallback := orderv1.DeliveryMethod_DELIVERY_METHOD_UNSPECIFIED
		if l.service {
			method = orderv1.DeliveryMethod_DELIVERY_METHOD_WEB_SERVICE
		}
		if l.fallback {
			fallback = orderv1.DeliveryMethod_DELIVERY_METHOD_POOL
		}
		o.Lines = append(o.Lines, &orderv1.Line{
			Number: int32(i + 1), ProductId: l.product, Name: "The " + l.product, Quantity: l.quantity, DeliveryMethod: method, FallbackMethod: fallback,
		})
		if l.text != "" {
			fact.MailTexts = map[string]string{l.product: l.text}
		}
	}
	return fact
}

func paid(id string, lines ...line) *eventv1.OrderEvent {
	return orderEvent(id, orderv1.PaymentState_PAYMENT_STATE_PAID, lines...)
}

func fact(typ, orderID string, payload proto.Message) event.Event {
	e, err := event.New(typ, "order", orderID, orderID, merchant, time.Now(), payload)
	if err != nil {
		panic(err)
	}
	return e
}

// handle gives an event to one replica, once.
func (r *replica) handle(ctx context.Context, e event.Event) error {
	return r.handlers[e.Type](ctx, e)
}

// pay tells a replica, once, that an order is paid.
func (r *replica) pay(ctx context.Context, f *eventv1.OrderEvent) error {
	return r.handle(ctx, fact(event.PaymentSucceeded, f.GetOrder().GetId(), f))
}

// send gives an event to the replicas until one has handled it, as the bus does.
func (s *shop) send(ctx context.Context, e event.Event) {
	for n := 0; ; n++ {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return
		}
		var r *replica
		if len(s.replicas) > 0 {
			r = s.replicas[n%len(s.replicas)]
		}
		s.mu.Unlock()
		if r != nil {
			if err := r.handle(ctx, e); err == nil || bus.IsPermanent(err) {
				return
			}
		}
		<-time.After(time.Second)
	}
}

// orderDouble is the order service as delivery sees it.
type orderDouble struct {
	shop *shop

	mu        sync.Mutex
	deaf      bool
	delivered map[string]map[int32]bool
	revoked   map[string]map[int32]int64
	problems  []string
}

func (o *orderDouble) setDeaf(deaf bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deaf = deaf
}

// take answers an event as the order does: news with product.delivered per
// line, what is known with delivery.acknowledged.
func (o *orderDouble) take(e event.Event) {
	o.mu.Lock()
	if o.deaf {
		o.mu.Unlock()
		return
	}
	answers := o.answer(e)
	o.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for _, a := range answers {
		o.shop.send(ctx, a)
	}
}

func (o *orderDouble) answer(e event.Event) []event.Event {
	switch e.Type {
	case event.DeliveryDelayed:
		f := &eventv1.DeliveryDelayed{}
		if err := e.Decode(f); err == nil {
			o.problems = append(o.problems, f.GetProblem())
		}
	case event.DeliveryRevoked:
		return o.revoke(e)
	case event.DeliveryCompleted:
		f := &eventv1.DeliveryCompleted{}
		if err := e.Decode(f); err != nil {
			return nil
		}
		known := o.delivered[f.GetOrderId()]
		if known == nil {
			known = map[int32]bool{}
			o.delivered[f.GetOrderId()] = known
		}
		var news []int32
		for _, n := range f.GetLineNumbers() {
			if !known[n] {
				known[n] = true
				news = append(news, n)
			}
		}
		if len(news) == 0 {
			return []event.Event{fact(event.DeliveryAcknowledged, f.GetOrderId(),
				&eventv1.DeliveryAcknowledged{OrderId: f.GetOrderId(), LineNumbers: f.GetLineNumbers()})}
		}
		view := &orderv1.Order{Id: f.GetOrderId(), MerchantId: merchant}
		for n := range known {
			view.Lines = append(view.Lines, &orderv1.Line{Number: n, DeliveryState: orderv1.DeliveryState_DELIVERY_STATE_DELIVERED})
		}
		var out []event.Event
		for _, n := range news {
			out = append(out, fact(event.ProductDelivered, f.GetOrderId(), &eventv1.OrderEvent{Order: view, LineNumber: n}))
		}
		return out
	}
	return nil
}

// revoke answers news with product.revoked per line, what is known with
// delivery.acknowledged.
func (o *orderDouble) revoke(e event.Event) []event.Event {
	f := &eventv1.DeliveryRevoked{}
	if err := e.Decode(f); err != nil {
		return nil
	}
	if o.revoked == nil {
		o.revoked = map[string]map[int32]int64{}
	}
	known := o.revoked[f.GetOrderId()]
	if known == nil {
		known = map[int32]int64{}
		o.revoked[f.GetOrderId()] = known
	}
	var news []int32
	for _, l := range f.GetLines() {
		if l.GetUnits() > known[l.GetLineNumber()] {
			known[l.GetLineNumber()] = l.GetUnits()
			news = append(news, l.GetLineNumber())
		}
	}
	if len(news) == 0 {
		return []event.Event{fact(event.DeliveryAcknowledged, f.GetOrderId(),
			&eventv1.DeliveryAcknowledged{OrderId: f.GetOrderId(), Revoked: f.GetLines()})}
	}
	view := &orderv1.Order{Id: f.GetOrderId(), MerchantId: merchant}
	for n, units := range known {
		view.Lines = append(view.Lines, &orderv1.Line{Number: n, RevokedUnits: units})
	}
	var out []event.Event
	for _, n := range news {
		out = append(out, fact(event.ProductRevoked, f.GetOrderId(), &eventv1.OrderEvent{Order: view, LineNumber: n}))
	}
	return out
}

// published lists the types of the events about an order, in their order. A
// repeat with the same message id is swallowed, as the bus does.
func (s *shop) published(orderID string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	seen := map[string]bool{}
	for _, e := range s.events {
		if e.Key == orderID && !seen[e.MessageID()] {
			seen[e.MessageID()] = true
			out = append(out, e.Type)
		}
	}
	return out
}

// keys makes n different licence keys.
func keys(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s-%05d-%05d", prefix, i, i*i)
	}
	return out
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func resendRequest(order int) *deliveryv1.ResendEmailRequest {
	return &deliveryv1.ResendEmailRequest{OrderId: fmt.Sprint("ord_", order)}
}
