// Package memory keeps documents in maps: the engine for tests and for the
// simulation. Its answers are fully determined by the calls before, it can be
// told to fail before or after an operation, and a process that dies is
// imitated by [Engine.Restart].
package memory

import (
	"context"
	"sync"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/internal/engine"
)

// Names of operations as faults see them.
const (
	OpOpen          = "open"
	OpPing          = "ping"
	OpInsert        = "insert"
	OpGet           = "get"
	OpUpdate        = "update"
	OpDelete        = "delete"
	OpFind          = "find"
	OpClaim         = "claim"
	OpUnpublished   = "unpublished"
	OpMarkPublished = "mark published"
	OpNextDue       = "next due"
)

// Fault is what goes wrong with one operation; the zero value is nothing.
type Fault struct {
	// Before fails the operation with nothing done.
	Before error
	// After does the operation and returns this error instead of its answer,
	// as if the answer had been lost.
	After error
	// Rerun makes an update call change twice, as after a lost race.
	Rerun bool
}

// Option changes how an engine behaves.
type Option func(*Engine)

// WithFaults asks f about every operation. The collection is empty for a ping,
// the id for operations that are not about one document. f is called by the
// goroutine of the operation and must be safe for concurrent use.
func WithFaults(f func(op, collection, id string) Fault) Option {
	return func(e *Engine) { e.faults = f }
}

// Engine is a set of collections.
type Engine struct {
	faults func(op, collection, id string) Fault
	data   *data
	// guarded by data.mu
	closed bool
	stores map[string]*store
}

var _ docstore.Engine = (*Engine)(nil)

// data is what outlives a restart. A stored record is never changed, only
// replaced, so that a pointer stands for one state of a document.
type data struct {
	mu          sync.Mutex
	collections map[string]map[string]*docstore.Record
}

// New returns an empty engine.
func New(opts ...Option) *Engine {
	e := &Engine{
		faults: func(string, string, string) Fault { return Fault{} },
		data:   &data{collections: map[string]map[string]*docstore.Record{}},
		stores: map[string]*store{},
	}
	for _, opt := range opts {
		opt(e)
	}
	return e
}

// Connect returns another engine with the same documents and options, as
// another process has them that uses the same database.
func (e *Engine) Connect() *Engine {
	return &Engine{faults: e.faults, data: e.data, stores: map[string]*store{}}
}

// Restart closes the engine and returns one with the same documents and
// options, as a process finds them that starts after this one was killed:
// nobody who still holds the old engine can write any more.
func (e *Engine) Restart() *Engine {
	e.data.mu.Lock()
	defer e.data.mu.Unlock()
	e.closed = true
	return e.Connect()
}

// Open implements docstore.Engine.
func (e *Engine) Open(ctx context.Context, spec docstore.StoreSpec) (docstore.Store, error) {
	spec, err := engine.CheckSpec(spec)
	if err != nil {
		return nil, err
	}
	var s *store
	err = e.do(ctx, OpOpen, spec.Name, "", func() error {
		key := engine.Key(spec)
		if s = e.stores[key]; s != nil {
			return nil
		}
		if e.data.collections[spec.Name] == nil {
			e.data.collections[spec.Name] = map[string]*docstore.Record{}
		}
		s = &store{engine: e, spec: spec, docs: e.data.collections[spec.Name]}
		e.stores[key] = s
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Ping implements docstore.Engine.
func (e *Engine) Ping(ctx context.Context) error {
	return e.do(ctx, OpPing, "", "", func() error { return nil })
}

// Close implements docstore.Engine. The documents stay for [Engine.Restart].
func (e *Engine) Close() error {
	e.data.mu.Lock()
	defer e.data.mu.Unlock()
	e.closed = true
	return nil
}

// do runs f alone, with the faults of the operation before and after it.
func (e *Engine) do(ctx context.Context, op, collection, id string, f func() error) error {
	fault := e.faults(op, collection, id)
	if fault.Before != nil {
		return fault.Before
	}
	err := e.alone(ctx, f)
	if fault.After != nil {
		return fault.After
	}
	return err
}

func (e *Engine) alone(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.data.mu.Lock()
	defer e.data.mu.Unlock()
	if e.closed {
		return engine.ErrClosed
	}
	return f()
}
