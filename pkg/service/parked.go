package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/rpc"
	operationsv1 "quittance/proto/gen/go/quittance/operations/v1"
)

// Parked is an event that a handler refused for good, kept with the error.
type Parked struct {
	Event event.Event `json:"event"`
	Error string      `json:"error"`
	At    time.Time   `json:"at"`
	// Reruns is how often it was run again in vain.
	Reruns int `json:"reruns,omitempty"`
}

// Park implements bus.Parker.
func (b *Base) Park(ctx context.Context, e event.Event, cause error) error {
	e, err := b.forget(ctx, e)
	if err != nil {
		return err
	}
	_, err = b.parked.Insert(ctx, id.Derived("prk", e.ID), e.Merchant, &Parked{Event: e, Error: cause.Error(), At: b.Now()})
	if err != nil && !errors.Is(err, docstore.ErrExists) {
		return err
	}
	return nil
}

// Parked pages through the parked events, oldest id first.
func (b *Base) Parked(ctx context.Context, after string, limit int) ([]*docstore.Doc[Parked], string, error) {
	return b.parked.Find(ctx, docstore.Query{AllTenants: true, After: after, Limit: limit})
}

// Rerun gives a parked event to its handler once more. It returns why the
// handler refused it again, empty if it took it; err is why it could not be told.
func (b *Base) Rerun(ctx context.Context, parkedID string) (refused string, err error) {
	doc, err := b.parked.Get(ctx, parkedID)
	if err != nil {
		return "", err
	}
	handler := b.handlers[doc.Body.Event.Type]
	if handler == nil {
		return "", fault.Conflict("%s has no handler for %s", b.Name, doc.Body.Event.Type)
	}
	refusal := handler(ctx, doc.Body.Event)
	b.Log.InfoContext(ctx, "parked event run again", "id", parkedID, "type", doc.Body.Event.Type, "event", doc.Body.Event.ID, "error", refusal)
	if refusal == nil {
		// Whoever ran it at the same time did the same.
		_, err := b.parked.Delete(ctx, parkedID, doc.Version)
		return "", err
	}
	_, err = b.parked.Update(ctx, parkedID, func(p *Parked, _ *docstore.Change) error {
		p.Error, p.At, p.Reruns = refusal.Error(), b.Now(), p.Reruns+1
		return nil
	})
	return refusal.Error(), err
}

// Operations is the operator's API over the services of a process.
type Operations struct {
	operationsv1.UnimplementedParkedEventServiceServer
	services map[string]*Base
}

var _ operationsv1.ParkedEventServiceServer = (*Operations)(nil)

// NewOperations of services.
func NewOperations(services ...*Base) *Operations {
	o := &Operations{services: map[string]*Base{}}
	for _, b := range services {
		o.services[b.Name] = b
	}
	return o
}

func (o *Operations) service(name string) (*Base, error) {
	if b, ok := o.services[name]; ok {
		return b, nil
	}
	names := slices.Sorted(maps.Keys(o.services))
	if name == "" && len(names) == 1 {
		return o.services[names[0]], nil
	}
	return nil, fault.Invalid("service", "must be one of %s", strings.Join(names, ", "))
}

// ListParkedEvents implements ParkedEventService.
func (o *Operations) ListParkedEvents(ctx context.Context, req *operationsv1.ListParkedEventsRequest) (*operationsv1.ListParkedEventsResponse, error) {
	b, err := o.service(req.GetService())
	if err != nil {
		return nil, err
	}
	size, err := rpc.PageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	docs, next, err := b.Parked(ctx, req.GetPageToken(), size)
	if errors.Is(err, docstore.ErrCursor) {
		return nil, fault.Invalid("page_token", "is not one of an earlier answer")
	}
	out := &operationsv1.ListParkedEventsResponse{NextPageToken: next}
	for _, d := range docs {
		e := d.Body.Event
		out.Events = append(out.Events, &operationsv1.ParkedEvent{
			Id: d.ID, Service: b.Name, EventId: e.ID, Type: e.Type, Source: e.Source, Subject: e.Subject, MerchantId: e.Merchant,
			EventTime: timestamppb.New(e.Time), ParkTime: timestamppb.New(d.Body.At), Error: d.Body.Error, Reruns: int32(d.Body.Reruns),
		})
	}
	return out, err
}

// RerunParkedEvent implements ParkedEventService.
func (o *Operations) RerunParkedEvent(ctx context.Context, req *operationsv1.RerunParkedEventRequest) (*operationsv1.RerunParkedEventResponse, error) {
	b, err := o.service(req.GetService())
	if err != nil {
		return nil, err
	}
	refused, err := b.Rerun(ctx, req.GetId())
	if err != nil {
		return nil, noSuchEvent(err, req.GetId())
	}
	return &operationsv1.RerunParkedEventResponse{Done: refused == "", Error: refused}, nil
}

// DiscardParkedEvent implements ParkedEventService.
func (o *Operations) DiscardParkedEvent(ctx context.Context, req *operationsv1.DiscardParkedEventRequest) (*operationsv1.DiscardParkedEventResponse, error) {
	b, err := o.service(req.GetService())
	if err != nil {
		return nil, err
	}
	doc, err := b.parked.Get(ctx, req.GetId())
	if err != nil {
		return nil, noSuchEvent(err, req.GetId())
	}
	gone, err := b.parked.Delete(ctx, req.GetId(), doc.Version)
	if err == nil && !gone {
		return nil, fault.Conflict("parked event %q is being run again", req.GetId())
	}
	if err != nil {
		return nil, fmt.Errorf("discard parked event: %w", err)
	}
	b.Log.WarnContext(ctx, "parked event discarded", "id", req.GetId(), "type", doc.Body.Event.Type, "event", doc.Body.Event.ID)
	return &operationsv1.DiscardParkedEventResponse{}, nil
}

func noSuchEvent(err error, parkedID string) error {
	if errors.Is(err, docstore.ErrNotFound) {
		return fault.NotFound("parked event %q", parkedID)
	}
	return err
}
