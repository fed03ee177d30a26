// Package payload owns what merchants receive: the JSON body of a webhook. It
// takes events as the bus or the order service's history carries them, both
// giving the same, renders the same body at every try, and describes the bodies
// as JSON Schema.
//
// The body follows Standard Webhooks: type, timestamp, data. What data holds is
// made from the contracts alone: keys as in the gRPC API and always there, times
// and objects null when unset, amounts integers in minor units, states and
// reasons as short words ("paid", "partially_delivered"). data.order is the full
// order view without pay_url, which is the customer's.
package payload

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/event"
	"quittance/pkg/personal"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/queue"
)

// FromBus turns a public order event of the bus into a queue's, pending. It
// returns the merchant and the order too.
func FromBus(e event.Event) (ev queue.Event, merchant, order string, err error) {
	p := &eventv1.OrderEvent{}
	if err := e.Decode(p); err != nil {
		return queue.Event{}, "", "", err
	}
	o := p.GetOrder()
	ev, err = pending(e.ID, e.Type, e.Time, p.GetSequence(), o, p.GetLineNumber())
	return ev, o.GetMerchantId(), o.GetId(), err
}

// FromHistory turns an event of the order service's history into a queue's,
// pending.
func FromHistory(e *orderv1.PublicEvent) (queue.Event, error) {
	return pending(e.GetId(), e.GetType(), e.GetTime().AsTime(), e.GetSequence(), e.GetOrder(), e.GetLineNumber())
}

// FromMerchantEvent turns an event that is about no order into a queue's, pending.
func FromMerchantEvent(e event.Event) (queue.Event, error) {
	about, known := merchantTypes[e.Type]
	if !known || e.ID == "" || e.Merchant == "" {
		return queue.Event{}, fmt.Errorf("event %q of type %q is not one that merchants get, or lacks id or merchant", e.ID, e.Type)
	}
	if err := e.Decode(about.message()); err != nil {
		return queue.Event{}, err
	}
	return queue.Event{ID: e.ID, Type: e.Type, Time: e.Time.UTC(), Sequence: 1, State: queue.Pending, Data: e.Data}, nil
}

// Noticed is the id of the endpoint that an event is about, empty if it is about
// none.
func Noticed(e event.Event) string {
	about, known := merchantTypes[e.Type]
	if !known {
		return ""
	}
	n, ok := about.message().(*eventv1.EndpointNotice)
	if !ok || e.Decode(n) != nil {
		return ""
	}
	return n.GetEndpointId()
}

// Erased is the content of a queue's event about an order without personal data;
// what can't be read is dropped.
func Erased(data []byte) []byte {
	if len(data) == 0 {
		return data
	}
	p := &orderv1.PublicEvent{}
	if proto.Unmarshal(data, p) != nil {
		return nil
	}
	if !personal.Clear(p) {
		return data
	}
	erased, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return nil
	}
	return erased
}

func pending(id, typ string, at time.Time, sequence int64, o *orderv1.Order, line int32) (queue.Event, error) {
	if id == "" || typ == "" || sequence < 1 || o.GetId() == "" || o.GetMerchantId() == "" {
		return queue.Event{}, fmt.Errorf("event %q of type %q lacks id, type, sequence, order or merchant", id, typ)
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(&orderv1.PublicEvent{Order: o, LineNumber: line})
	if err != nil {
		return queue.Event{}, fmt.Errorf("keep event %s: %w", id, err)
	}
	about := &queue.About{Metadata: o.GetMetadata()}
	for _, l := range o.GetLines() {
		about.Products = append(about.Products, l.GetProductId())
	}
	return queue.Event{
		ID: id, Type: typ, Time: at.UTC(), Sequence: sequence, State: queue.Pending, Data: data, About: about,
	}, nil
}
