package docstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"quittance/pkg/event"
)

// ErrUnchanged, returned by the function given to an update, ends it without a
// write and without an error: the fact was known already.
var ErrUnchanged = errors.New("document unchanged")

// relayAfter is how long a write's events may stay unpublished before the
// relay looks after them: long enough that the publisher right behind the
// write, or the document's next write, has usually dealt with it.
const relayAfter = 5 * time.Second

// Spec declares a typed collection.
type Spec[T any] struct {
	Name string
	// Indexes computes the index fields; an empty value is not indexed.
	Indexes map[string]func(*T) string
	// NextDue is the aggregate's own pure answer to "when is there work", zero
	// for never. Nil: never.
	NextDue func(*T) time.Time
	// Relay publishes events; nil for collections that announce nothing.
	Relay Relay
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Doc is a typed document as it was read or stored.
type Doc[T any] struct {
	ID      string
	Tenant  string
	Version int64
	Body    T
	// Events holds everything the document announced, oldest first.
	Events []event.Event
	// Trace is the W3C trace context of the write that first carried one.
	Trace string
}

// envelope is how a body is stored.
type envelope[T any] struct {
	Trace string `json:"trace,omitempty"`
	Doc   *T     `json:"doc"`
}

// Collection is a typed view of a store: it encodes bodies, computes indexes
// and due times, keeps the outbox and wakes the due work. Its methods may be
// used by many goroutines.
type Collection[T any] struct {
	spec     Spec[T]
	store    Store
	worker   Worker
	watchers watchers
}

// Open declares the collection on an engine.
func Open[T any](ctx context.Context, e Engine, spec Spec[T]) (*Collection[T], error) {
	names := make([]string, 0, len(spec.Indexes))
	for name := range spec.Indexes {
		names = append(names, name)
	}
	store, err := e.Open(ctx, StoreSpec{Name: spec.Name, Indexes: names})
	if err != nil {
		return nil, fmt.Errorf("open collection %s: %w", spec.Name, err)
	}
	if t, ok := e.(Typed); ok {
		t.Typed(spec.Name, func() any { return new(T) })
	}
	if spec.Now == nil {
		spec.Now = time.Now
	}
	if spec.Relay != nil {
		spec.Relay.Watch(store)
	}
	return &Collection[T]{spec: spec, store: store}, nil
}

// Attach gives the collection the worker for its due documents. It must be
// called before the first write.
func (c *Collection[T]) Attach(w Worker) { c.worker = w }

// Name is the collection's name.
func (c *Collection[T]) Name() string { return c.spec.Name }

// Now is the collection's clock.
func (c *Collection[T]) Now() time.Time { return c.spec.Now() }

// Insert stores a new document with the events that announce it. ErrExists if
// the id is taken.
func (c *Collection[T]) Insert(ctx context.Context, id, tenant string, body *T, events ...event.Event) (*Doc[T], error) {
	rec := &Record{ID: id, Tenant: tenant}
	reserved := c.reserve()
	if err := c.fill(rec, body, traceOf(ctx), traced(ctx, events), nil, reserved); err != nil {
		c.settle(nil, reserved)
		return nil, err
	}
	err := c.store.Insert(ctx, rec)
	if err != nil {
		c.settle(nil, reserved)
		if errors.Is(err, ErrExists) {
			return nil, err
		}
		return nil, fmt.Errorf("insert %s %s: %w", c.spec.Name, id, err)
	}
	rec.Version = 1
	c.settle(rec, reserved)
	return c.decode(rec)
}

// Get reads a document of any tenant, ErrNotFound if there is none.
func (c *Collection[T]) Get(ctx context.Context, id string) (*Doc[T], error) {
	rec, err := c.store.Get(ctx, id)
	if err != nil {
		if errors.Is(err, ErrNotFound) {
			return nil, err
		}
		return nil, fmt.Errorf("get %s %s: %w", c.spec.Name, id, err)
	}
	return c.read(ctx, rec)
}

// read decodes a document for whoever reads it, and links the reader's trace
// to the document's.
func (c *Collection[T]) read(ctx context.Context, rec *Record) (*Doc[T], error) {
	doc, err := c.decode(rec)
	if err == nil && doc.Trace != "" {
		linkTrace(ctx, doc.Trace)
	}
	return doc, err
}

// Update changes a document: load, change, save in one place. change may run
// several times, must not block, and its error ends the update with nothing
// stored; ErrUnchanged does so without an error.
func (c *Collection[T]) Update(ctx context.Context, id string, change func(*T, *Change) error) (*Doc[T], error) {
	return c.update(ctx, id, holder{}, nil, change)
}

// UpdateLeased is Update by the holder of a lease: it is refused with
// ErrLeaseLost if somebody else took the lease over, and gives the lease back.
func (c *Collection[T]) UpdateLeased(ctx context.Context, id string, lease int64, change func(*T, *Change) error) error {
	_, err := c.write(ctx, id, holder{lease: lease}, nil, change)
	return err
}

// KeepLeased is UpdateLeased by a holder who goes on: the lease stays, and ends
// at the given time.
func (c *Collection[T]) KeepLeased(ctx context.Context, id string, lease int64, until time.Time, change func(*T, *Change) error) (*Doc[T], error) {
	return c.update(ctx, id, holder{lease: lease, until: until}, nil, change)
}

// holder is the lease under which a write is made, 0 for none, and until when it
// is kept, zero if the write gives it back.
type holder struct {
	lease int64
	until time.Time
}

func (c *Collection[T]) update(ctx context.Context, id string, by holder, tenant *string, change func(*T, *Change) error) (*Doc[T], error) {
	rec, err := c.write(ctx, id, by, tenant, change)
	if err != nil {
		return nil, err
	}
	return c.decode(rec)
}

// write changes a document and returns it as it is now, not yet decoded, which
// costs as much as all the rest.
func (c *Collection[T]) write(ctx context.Context, id string, by holder, tenant *string, change func(*T, *Change) error) (*Record, error) {
	var current *Record // as last seen, for ErrUnchanged
	var known int64
	if c.spec.Relay != nil {
		known = c.spec.Relay.Known(c.store, id)
	}
	reserved := c.reserve()
	rec, err := c.store.Update(ctx, id, func(rec *Record) error {
		current = nil
		if tenant != nil && rec.Tenant != *tenant {
			return ErrNotFound
		}
		if by.lease != 0 && rec.Lease != by.lease {
			return ErrLeaseLost
		}
		var env envelope[T]
		if err := json.Unmarshal(rec.Body, &env); err != nil {
			return fmt.Errorf("decode %s %s: %w", c.spec.Name, id, err)
		}
		ch := Change{had: rec.Outbox}
		if err := change(env.Doc, &ch); err != nil {
			if errors.Is(err, ErrUnchanged) {
				current = rec
			}
			return err
		}
		switch {
		case !by.until.IsZero():
			rec.LeaseUntil = by.until
		case by.lease != 0:
			rec.Lease, rec.LeaseUntil = 0, time.Time{}
		}
		rec.Published = max(rec.Published, min(known, rec.Emitted))
		if env.Trace == "" {
			env.Trace = traceOf(ctx)
		} else {
			linkTrace(ctx, env.Trace)
		}
		return c.fill(rec, env.Doc, env.Trace, traced(ctx, ch.emit), ch.resend, reserved)
	})
	if err != nil {
		c.settle(nil, reserved)
		switch {
		case errors.Is(err, ErrUnchanged) && current != nil:
			return current, nil
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrLeaseLost):
			return nil, err
		}
		return nil, fmt.Errorf("update %s %s: %w", c.spec.Name, id, err)
	}
	if known > 0 && rec.Published >= known {
		c.spec.Relay.Marked(c.store, id, known)
	}
	c.settle(rec, reserved)
	return rec, nil
}

// fill computes everything of a record that follows from its body and events.
func (c *Collection[T]) fill(rec *Record, body *T, trace string, emit []event.Event, resend []string, reserved bool) error {
	raw, err := json.Marshal(envelope[T]{Trace: trace, Doc: body})
	if err != nil {
		return fmt.Errorf("encode %s %s: %w", c.spec.Name, rec.ID, err)
	}
	rec.Body = raw
	rec.Index = make(map[string]string, len(c.spec.Indexes))
	for name, value := range c.spec.Indexes {
		if v := value(body); v != "" {
			rec.Index[name] = v
		}
	}
	for _, id := range resend {
		for i := range rec.Outbox {
			if rec.Outbox[i].Event.ID == id {
				rec.Emitted++
				rec.Outbox[i].Seq = rec.Emitted
				rec.Outbox[i].Event.Resend++
			}
		}
	}
	for _, e := range emit {
		rec.Emitted++
		rec.Outbox = append(rec.Outbox, Entry{Seq: rec.Emitted, Event: e})
	}
	now := c.spec.Now() // after the change, which may have made the document due just now
	if c.spec.Relay == nil && rec.Emitted > 0 {
		return fmt.Errorf("collection %s announces events but has no relay", c.spec.Name)
	}
	switch {
	case rec.Published >= rec.Emitted:
		rec.RelayAt = time.Time{}
	case rec.RelayAt.IsZero() || len(emit)+len(resend) > 0:
		rec.RelayAt = now.Add(relayAfter)
	}
	rec.Due = time.Time{}
	if c.spec.NextDue != nil {
		rec.Due = c.spec.NextDue(body)
	}
	if reserved && !rec.Due.IsZero() && !rec.Due.After(now) && !rec.LeaseUntil.After(now) {
		rec.Lease = rec.Version + 1 // the version this write gets
		rec.LeaseUntil = now.Add(c.worker.Lease())
	}
	return nil
}

func (c *Collection[T]) reserve() bool {
	return c.spec.NextDue != nil && c.worker != nil && c.worker.Reserve()
}

// settle follows a write (rec is nil if there was none): it hands the document
// to the worker if the write leased it, and tells relay and worker the rest.
func (c *Collection[T]) settle(rec *Record, reserved bool) {
	if rec != nil {
		c.watchers.wake(rec.ID)
	}
	leased := rec != nil && reserved && rec.Lease != 0 && rec.Lease == rec.Version
	if rec != nil && c.spec.Relay != nil && rec.Published < rec.Emitted {
		c.spec.Relay.Committed(c.store, rec)
	}
	switch {
	case leased:
		c.worker.Hand(rec)
	case reserved:
		c.worker.Release()
	}
	if rec != nil && !leased && c.worker != nil && !rec.Due.IsZero() {
		c.worker.Wake(rec.Due)
	}
}

func (c *Collection[T]) decode(rec *Record) (*Doc[T], error) {
	var env envelope[T]
	if err := json.Unmarshal(rec.Body, &env); err != nil {
		return nil, fmt.Errorf("decode %s %s: %w", c.spec.Name, rec.ID, err)
	}
	if env.Doc == nil {
		return nil, fmt.Errorf("decode %s %s: empty body", c.spec.Name, rec.ID)
	}
	d := &Doc[T]{ID: rec.ID, Tenant: rec.Tenant, Version: rec.Version, Body: *env.Doc, Trace: env.Trace}
	for _, e := range rec.Outbox {
		d.Events = append(d.Events, e.Event)
	}
	return d, nil
}

// Decode turns a record of this collection into a document.
func (c *Collection[T]) Decode(rec *Record) (*Doc[T], error) { return c.decode(rec) }

// Claim leases due documents (see Store.Claim).
func (c *Collection[T]) Claim(ctx context.Context, lease time.Duration, limit int) ([]*Record, error) {
	recs, err := c.store.Claim(ctx, c.spec.Now(), lease, limit)
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", c.spec.Name, err)
	}
	return recs, nil
}

// NextDue is the earliest time at which Claim would find something.
func (c *Collection[T]) NextDue(ctx context.Context) (time.Time, error) {
	at, err := c.store.NextDue(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("next due %s: %w", c.spec.Name, err)
	}
	return at, nil
}

// Find pages through documents. Without a tenant in q it is the caller's duty
// to set AllTenants.
func (c *Collection[T]) Find(ctx context.Context, q Query) ([]*Doc[T], string, error) {
	page, err := c.store.Find(ctx, q)
	if err != nil {
		return nil, "", fmt.Errorf("find %s by %q: %w", c.spec.Name, q.Index, err)
	}
	decode := c.decode
	if len(page.Records) == 1 { // looked up, not listed
		decode = func(rec *Record) (*Doc[T], error) { return c.read(ctx, rec) }
	}
	docs := make([]*Doc[T], 0, len(page.Records))
	for _, rec := range page.Records {
		d, err := decode(rec)
		if err != nil {
			return nil, "", err
		}
		docs = append(docs, d)
	}
	return docs, page.Next, nil
}

// All goes through all documents that Find pages through, q.Limit at a time; the
// next page is read when the last one was gone through. An error ends it.
func (c *Collection[T]) All(ctx context.Context, q Query) iter.Seq2[*Doc[T], error] {
	return func(yield func(*Doc[T], error) bool) {
		for {
			docs, next, err := c.Find(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, d := range docs {
				if !yield(d, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			q.After = next
		}
	}
}

// Delete removes a document that is still at the given version.
func (c *Collection[T]) Delete(ctx context.Context, id string, version int64) (bool, error) {
	ok, err := c.store.Delete(ctx, id, version)
	if err != nil {
		return false, fmt.Errorf("delete %s %s: %w", c.spec.Name, id, err)
	}
	return ok, nil
}
