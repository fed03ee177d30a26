package edge

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	"quittance/services/notification/internal/queue"
	"quittance/services/notification/internal/queues"
)

// position is the last webhook of a page. Pages over all orders go by queue,
// the one with the newest event first, and within a queue by falling sequence;
// those of one order by falling sequence, then by queue.
type position struct {
	// Latest and ID are those of the queue; Latest is empty within one order.
	Latest   string `json:"l,omitempty"`
	ID       string `json:"i"`
	Sequence int64  `json:"s"`
}

func (p position) token() (string, error) {
	raw, err := json.Marshal(p)
	return base64.RawURLEncoding.EncodeToString(raw), err
}

// parse reads a page token, of one order or of all; nil: the first page.
func parse(token string, one bool) (*position, error) {
	if token == "" {
		return nil, nil
	}
	p := &position{}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(raw, p)
	}
	if err != nil || p.ID == "" || (p.Latest == "") != one || len(p.Latest) > 40 {
		return nil, fault.Invalid("page_token", "is not one of an earlier answer")
	}
	return p, nil
}

// maxLooked is how many queues one call looks at. With filters that fit little,
// a page may be short.
const maxLooked = 2000

// ListDeliveries implements NotificationService.
func (s *Server) ListDeliveries(ctx context.Context, req *notificationv1.ListDeliveriesRequest) (*notificationv1.ListDeliveriesResponse, error) {
	size, err := rpc.PageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	from, err := parse(req.GetPageToken(), req.GetOrderId() != "")
	if err != nil {
		return nil, err
	}
	fits, err := filterOf(req)
	if err != nil {
		return nil, err
	}
	p := &page{size: size, after: from, fits: fits}
	if req.GetOrderId() != "" {
		err = s.ofOrder(ctx, req.GetOrderId(), p)
	} else {
		err = s.ofAll(ctx, p, fits)
	}
	if err != nil {
		return nil, err
	}
	out := &notificationv1.ListDeliveriesResponse{Webhooks: p.out}
	if p.more {
		out.NextPageToken, err = p.last.token()
	}
	return out, err
}

// filter says which webhooks are listed.
type filter struct {
	endpoint, typ string
	state         queue.State
	from, to      time.Time
}

func filterOf(req *notificationv1.ListDeliveriesRequest) (filter, error) {
	f := filter{endpoint: req.GetEndpointId(), typ: req.GetEventType()}
	var v fault.Validation
	if req.GetState() != notificationv1.WebhookState_WEBHOOK_STATE_UNSPECIFIED {
		f.state = map[notificationv1.WebhookState]queue.State{
			notificationv1.WebhookState_WEBHOOK_STATE_PENDING:   queue.Pending,
			notificationv1.WebhookState_WEBHOOK_STATE_DELIVERED: queue.Delivered,
			notificationv1.WebhookState_WEBHOOK_STATE_EXHAUSTED: queue.Exhausted,
		}[req.GetState()]
		v.Check(f.state != "", "state", "is not known")
	}
	for _, bound := range []struct {
		field string
		given *timestamppb.Timestamp
		to    *time.Time
	}{{"start_time", req.GetStartTime(), &f.from}, {"end_time", req.GetEndTime(), &f.to}} {
		if bound.given != nil && v.Check(bound.given.IsValid(), bound.field, "must be a time") {
			*bound.to = bound.given.AsTime()
		}
	}
	return f, v.Err()
}

func (f filter) takes(q *queue.Queue, e queue.Event) bool {
	return e.State != queue.Skipped &&
		(f.endpoint == "" || f.endpoint == q.Endpoint) && (f.typ == "" || f.typ == e.Type) && (f.state == "" || f.state == e.State) &&
		(f.from.IsZero() || !e.Time.Before(f.from)) && (f.to.IsZero() || e.Time.Before(f.to))
}

// ofOrder lists the webhooks of one order.
func (s *Server) ofOrder(ctx context.Context, order string, p *page) error {
	merchant := rpc.MerchantID(ctx)
	eps, err := s.Endpoints.Of(ctx, merchant)
	if err != nil {
		return err
	}
	var all []item
	for _, ep := range eps {
		if ep.Unordered {
			continue
		}
		doc, err := s.Queues.For(merchant).Get(ctx, queue.DocID(order, ep.ID))
		if errors.Is(err, docstore.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		all = append(all, p.items(doc, "")...)
	}
	for doc, err := range s.Queues.For(merchant).All(ctx, docstore.Query{Index: "single", Equal: order, Limit: 1000}) {
		if err != nil {
			return err
		}
		all = append(all, p.items(doc, "")...)
	}
	slices.SortFunc(all, item.byEvent)
	for _, it := range all {
		if p.after == nil || it.byEvent(item{position: *p.after}) > 0 {
			p.add(it)
		}
	}
	return nil
}

// ofAll lists the merchant's webhooks.
func (s *Server) ofAll(ctx context.Context, p *page, f filter) error {
	q := docstore.Query{Index: "latest", Descending: true, Limit: p.size + 1, From: queues.TimeKey(f.from)}
	if p.after != nil {
		q.To = p.after.Latest + "~" // exclusive, so that equal ones are seen
	}
	for looked := 0; !p.more; {
		docs, next, err := s.Queues.For(rpc.MerchantID(ctx)).Find(ctx, q)
		if err != nil {
			return err
		}
		for _, doc := range docs {
			latest := queues.TimeKey(doc.Body.Latest())
			for _, it := range p.items(doc, latest) {
				if p.after == nil || it.byQueue(item{position: *p.after}) > 0 {
					p.add(it)
				}
			}
			if looked++; looked >= maxLooked && !p.more {
				p.more, p.last = true, position{Latest: latest, ID: doc.ID}
				return nil
			}
		}
		if next == "" {
			return nil
		}
		q.After = next
	}
	return nil
}

// item is one webhook at its place in the list.
type item struct {
	position
	webhook *notificationv1.Webhook
}

// items lists the webhooks of a queue that fit, newest first.
func (p *page) items(doc *docstore.Doc[queue.Queue], latest string) []item {
	var out []item
	for _, e := range slices.Backward(doc.Body.Events) {
		if p.fits.takes(&doc.Body, e) {
			out = append(out, item{position{Latest: latest, ID: doc.ID, Sequence: e.Sequence}, webhookOf(&doc.Body, e)})
		}
	}
	return out
}

func (it item) byEvent(other item) int {
	return cmp.Or(cmp.Compare(other.Sequence, it.Sequence), cmp.Compare(other.ID, it.ID))
}

func (it item) byQueue(other item) int {
	return cmp.Or(cmp.Compare(other.Latest, it.Latest), cmp.Compare(other.ID, it.ID), cmp.Compare(other.Sequence, it.Sequence))
}

// page collects webhooks up to a size.
type page struct {
	size  int
	after *position
	fits  filter
	out   []*notificationv1.Webhook
	last  position
	more  bool
}

func (p *page) add(it item) {
	if len(p.out) == p.size {
		p.more = true
		return
	}
	p.out = append(p.out, it.webhook)
	p.last = it.position
}

func webhookOf(q *queue.Queue, e queue.Event) *notificationv1.Webhook {
	w := &notificationv1.Webhook{
		EndpointId: q.Endpoint, EventId: e.ID, EventType: e.Type, OrderId: q.Order, Sequence: e.Sequence,
		State: stateOf(e.State), Tries: int32(e.Tries), LastResult: e.Result, EventTime: stamp(e.Time), Test: e.Test,
	}
	if q.Single && q.Order == "" {
		w.Sequence = 0
	}
	switch e.State {
	case queue.Pending:
		if step := q.Step(); step.Action == queue.Send && step.Event.Sequence == e.Sequence {
			w.NextTryTime = stamp(step.At) // those behind it wait for it
		}
	case queue.Delivered:
		w.DeliveredTime = stamp(e.Tried)
	case queue.Skipped, queue.Exhausted:
	}
	return w
}

func stateOf(s queue.State) notificationv1.WebhookState {
	switch s {
	case queue.Pending:
		return notificationv1.WebhookState_WEBHOOK_STATE_PENDING
	case queue.Delivered:
		return notificationv1.WebhookState_WEBHOOK_STATE_DELIVERED
	case queue.Exhausted:
		return notificationv1.WebhookState_WEBHOOK_STATE_EXHAUSTED
	case queue.Skipped:
	}
	return notificationv1.WebhookState_WEBHOOK_STATE_UNSPECIFIED
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
