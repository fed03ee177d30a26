// Package notices keeps the notice documents: it opens the collection, writes
// notices with the event that announces each, and mails them as due work.
package notices

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/pkg/mail"
	"quittance/pkg/service"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/endpoint"
	"quittance/services/notification/internal/endpoints"
	"quittance/services/notification/internal/notice"
	"quittance/services/notification/internal/payload"
	"quittance/services/notification/internal/queue"
)

// rarely is how often the store is asked what another process left.
const rarely = 10 * time.Second

// types are the events of the kinds.
var types = map[endpoint.Kind]string{
	endpoint.Failing:   event.EndpointFailing,
	endpoint.Recovered: event.EndpointRecovered,
	endpoint.Exhausted: event.EndpointExhausted,
	endpoint.Disabled:  event.EndpointDisabled,
}

// Merchants knows where a merchant is reached.
type Merchants interface {
	Merchant(ctx context.Context, id string) (*orderv1.Merchant, error)
}

// Taker puts an event that is about no order into the queues of a merchant's
// endpoints but one. Doing so again changes nothing.
type Taker interface {
	TakeSingle(ctx context.Context, merchant string, e queue.Event, except string) error
}

// Notices is the collection and what its work needs.
type Notices struct {
	*docstore.Collection[notice.Notice]
	base      *service.Base
	endpoints *endpoints.Endpoints
	merchants Merchants
	mailer    mail.Sender
	// Taker must be set before the service runs.
	Taker Taker
}

// Open opens the collection and adds its due work to the service. A nil mailer
// sends no mail.
func Open(ctx context.Context, b *service.Base, es *endpoints.Endpoints, merchants Merchants, mailer mail.Sender) (*Notices, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[notice.Notice]{
		Name:    "notices",
		Indexes: map[string]func(*notice.Notice) string{"at": func(n *notice.Notice) string { return n.At.UTC().Format("20060102T150405.000") }},
		NextDue: notice.NextDue,
	})
	if err != nil {
		return nil, err
	}
	ns := &Notices{Collection: coll, base: b, endpoints: es, merchants: merchants, mailer: mailer}
	service.Loop(b, coll, ns.work, due.Options{Workers: 4, Poll: rarely})
	return ns, nil
}

// Give writes what an endpoint has noted about itself.
func (ns *Notices) Give(ctx context.Context, ep *endpoint.Endpoint, n endpoint.Notice) error {
	return ns.write(ctx, notice.New(ep, n, ns.mailer != nil))
}

// Exhausted writes that an event failed for good. One mail an hour tells of it.
func (ns *Notices) Exhausted(ctx context.Context, ep *endpoint.Endpoint, order string, e queue.Event, at time.Time) error {
	warn := false
	probe := *ep
	if ns.mailer != nil && probe.Warn(at) {
		_, err := ns.endpoints.For(ep.Merchant).Update(ctx, endpoint.DocID(ep.Merchant, ep.ID), func(e *endpoint.Endpoint, _ *docstore.Change) error {
			if warn = e.Warn(at); !warn {
				return docstore.ErrUnchanged
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	n := notice.New(ep, endpoint.Notice{Kind: endpoint.Exhausted, At: at, Since: e.Time, Problem: e.Result}, warn)
	n.EventID, n.EventType, n.Order = e.ID, e.Type, order
	return ns.write(ctx, n)
}

func (ns *Notices) write(ctx context.Context, n *notice.Notice) error {
	id := n.DocID()
	e, err := ns.base.Event(types[n.Kind], id, id, n.Merchant, &eventv1.EndpointNotice{
		MerchantId: n.Merchant, EndpointId: n.Endpoint, Since: timestamppb.New(n.Since), Problem: n.Problem,
		EventId: n.EventID, EventType: n.EventType, OrderId: n.Order,
	})
	if err != nil {
		return err
	}
	if _, err = ns.For(n.Merchant).Insert(ctx, id, n, e); errors.Is(err, docstore.ErrExists) {
		return nil
	}
	return err
}

// work sends the mail, and makes sure that the event is in the queues.
func (ns *Notices) work(ctx context.Context, doc *due.Leased[notice.Notice]) error {
	n, now := doc.Body, ns.Now()
	told := false
	if !n.TellAt.IsZero() && !n.TellAt.After(now) {
		for _, e := range doc.Events {
			taken, err := payload.FromMerchantEvent(e)
			if err == nil {
				err = ns.Taker.TakeSingle(ctx, n.Merchant, taken, n.Endpoint)
			}
			if err != nil {
				return err
			}
		}
		told = true
	}
	send := !n.MailAt.IsZero() && !n.MailAt.After(now)
	var failed error
	if send {
		failed = ns.send(ctx, &n)
		now = ns.Now()
		ns.base.Log.InfoContext(ctx, "notice mail", "merchant", n.Merchant, "endpoint", n.Endpoint, "kind", n.Kind,
			"sent", failed == nil, "refused", failed != nil && mail.IsPermanent(failed))
	}
	return doc.Finish(ctx, func(n *notice.Notice, _ *docstore.Change) error {
		if told {
			n.Told()
		}
		switch {
		case !send:
		case failed == nil:
			n.Sent(now)
		default:
			problem, _ := mail.Explain(failed)
			n.Failed(problem, mail.IsPermanent(failed), now)
		}
		return nil
	})
}

func (ns *Notices) send(ctx context.Context, n *notice.Notice) error {
	merchant, err := ns.merchants.Merchant(ctx, n.Merchant)
	if err != nil {
		return err
	}
	to := n.To
	if to == "" {
		to = merchant.GetMailFrom()
	}
	subject, text := n.Mail()
	return ns.mailer.Send(ctx, mail.Message{
		ID: n.DocID(), From: merchant.GetMailFrom(), To: to, Subject: subject, Text: text,
		Headers: map[string]string{"Auto-Submitted": "auto-generated"},
	})
}
