package bench

import (
	"context"
	"sync"
	"time"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/service"
)

// Count is what one service has done.
type Count struct {
	// Inserts are new documents, Changes updates, claims and deletes that changed
	// one; Marks documents marked as published in batches.
	Inserts, Changes, Marks int
	// Gets are documents read by id, Finds pages of queries. What an update reads
	// itself, and loops that look whether there is something to do, are not counted.
	Gets, Finds int
	// Messages were published, Handled came from the bus.
	Messages, Handled int
}

// Writes are those that changed a document.
func (c Count) Writes() int { return c.Inserts + c.Changes }

// Reads are those that services ask for.
func (c Count) Reads() int { return c.Gets + c.Finds }

// Done is the count without reads: while it stays, nothing happens.
func (c Count) Done() Count {
	c.Gets, c.Finds = 0, 0
	return c
}

func (c Count) plus(d Count, sign int) Count {
	return Count{
		c.Inserts + sign*d.Inserts, c.Changes + sign*d.Changes, c.Marks + sign*d.Marks,
		c.Gets + sign*d.Gets, c.Finds + sign*d.Finds,
		c.Messages + sign*d.Messages, c.Handled + sign*d.Handled,
	}
}

// Counts by service.
type Counts map[string]Count

// Since gives what was done after an earlier look.
func (c Counts) Since(before Counts) Counts {
	out := Counts{}
	for name, n := range c {
		out[name] = n.plus(before[name], -1)
	}
	return out
}

// Sum is that of all services.
func (c Counts) Sum() (sum Count) {
	for _, n := range c {
		sum = sum.plus(n, 1)
	}
	return sum
}

// Tally counts reads and writes of documents and messages of the bus by service.
// Its methods Engine and Bus are those of standalone.Options.
type Tally struct {
	// Detail is told of each operation, one at a time; nil: nobody.
	Detail func(text string)

	mu     sync.Mutex
	counts Counts
}

// Counts so far.
func (t *Tally) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts.Since(nil)
}

func (t *Tally) add(service, detail string, c Count) {
	if c == (Count{}) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = Counts{}
	}
	t.counts[service] = t.counts[service].plus(c, 1)
	if t.Detail != nil {
		t.Detail(service + ": " + detail)
	}
}

// Engine counts what a service reads and writes.
func (t *Tally) Engine(service string, e docstore.Engine) docstore.Engine {
	return talliedEngine{e, service, t}
}

// Bus counts what services say and hear.
func (t *Tally) Bus(b service.Bus) service.Bus { return talliedBus{b, t} }

type talliedEngine struct {
	docstore.Engine
	service string
	tally   *Tally
}

func (e talliedEngine) Open(ctx context.Context, spec docstore.StoreSpec) (docstore.Store, error) {
	s, err := e.Engine.Open(ctx, spec)
	return &talliedStore{s, e.service, spec.Name, e.tally}, err
}

type talliedStore struct {
	docstore.Store
	service, collection string
	tally               *Tally
}

func (s *talliedStore) did(op string, c Count) { s.tally.add(s.service, op+" "+s.collection, c) }

func (s *talliedStore) Insert(ctx context.Context, rec *docstore.Record) error {
	err := s.Store.Insert(ctx, rec)
	if err == nil {
		s.did("insert", Count{Inserts: 1})
	}
	return err
}

func (s *talliedStore) Get(ctx context.Context, id string) (*docstore.Record, error) {
	s.did("get", Count{Gets: 1})
	return s.Store.Get(ctx, id)
}

func (s *talliedStore) Find(ctx context.Context, q docstore.Query) (docstore.Page, error) {
	s.did("find", Count{Finds: 1})
	return s.Store.Find(ctx, q)
}

func (s *talliedStore) Update(ctx context.Context, id string, change func(*docstore.Record) error) (*docstore.Record, error) {
	rec, err := s.Store.Update(ctx, id, change)
	if err == nil {
		s.did("update", Count{Changes: 1})
	}
	return rec, err
}

func (s *talliedStore) Delete(ctx context.Context, id string, version int64) (bool, error) {
	ok, err := s.Store.Delete(ctx, id, version)
	if ok {
		s.did("delete", Count{Changes: 1})
	}
	return ok, err
}

func (s *talliedStore) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]*docstore.Record, error) {
	recs, err := s.Store.Claim(ctx, now, lease, limit)
	s.did("claim", Count{Changes: len(recs)})
	return recs, err
}

func (s *talliedStore) MarkPublished(ctx context.Context, marks []docstore.Mark) error {
	err := s.Store.MarkPublished(ctx, marks)
	if err == nil {
		s.did("mark", Count{Marks: len(marks)})
	}
	return err
}

type talliedBus struct {
	service.Bus
	tally *Tally
}

func (b talliedBus) Publish(ctx context.Context, events []event.Event) (int, error) {
	n, err := b.Bus.Publish(ctx, events)
	for _, e := range events[:n] {
		b.tally.add(e.Source, "message "+e.Type, Count{Messages: 1})
	}
	return n, err
}

func (b talliedBus) Consume(ctx context.Context, service string, handlers map[string]bus.Handler, parker bus.Parker) error {
	counting := make(map[string]bus.Handler, len(handlers))
	for typ, handle := range handlers {
		counting[typ] = func(ctx context.Context, e event.Event) error {
			b.tally.add(service, "handle "+typ, Count{Handled: 1})
			return handle(ctx, e)
		}
	}
	return b.Bus.Consume(ctx, service, counting, parker)
}
