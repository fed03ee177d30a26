package simulation

import (
	"context"
	"math/rand/v2"
	"time"

	"quittance/pkg/docstore"
)

// tap is a process's connection to its database: operations take time, fail
// before or after they are done, and die with the process.
type tap struct {
	inner  docstore.Engine
	life   *life
	stores map[string]*store
}

var _ docstore.Engine = (*tap)(nil)

// Open implements docstore.Engine.
func (t *tap) Open(ctx context.Context, spec docstore.StoreSpec) (docstore.Store, error) {
	s := &store{life: t.life, name: spec.Name}
	err := s.do("open", func() (err error) {
		s.inner, err = t.inner.Open(ctx, spec)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.inner = t.life.spoiled(spec.Name, s.inner)
	t.stores[spec.Name] = s
	return s, nil
}

// Ping implements docstore.Engine.
func (t *tap) Ping(ctx context.Context) error { return t.inner.Ping(ctx) }

// Close implements docstore.Engine.
func (t *tap) Close() error { return t.inner.Close() }

// store is one collection of a process.
type store struct {
	inner docstore.Store
	life  *life
	name  string
}

var _ docstore.Store = (*store)(nil)

// do is one operation that matters: it takes a moment, and may fail.
func (s *store) do(op string, do func() error) error {
	return s.run(op, do, func(r *rand.Rand) time.Duration {
		return between(r, time.Microsecond, 2*time.Millisecond)
	}, s.life.step)
}

// look is an operation that only reads.
func (s *store) look(op string, do func() error) error {
	return s.run(op, do, func(r *rand.Rand) time.Duration {
		return between(r, time.Microsecond, time.Millisecond)
	}, func(string) outcome { return goOn })
}

func (s *store) run(op string, do func() error, latency func(*rand.Rand) time.Duration, step func(string) outcome) error {
	l := s.life
	w := l.node.w
	r := w.ask(l.place.name + op + s.name)
	took := latency(r)
	if chance(r, w.storm(WindSlow, l.node.name)) {
		took = between(r, time.Second, 8*time.Second)
		w.count("store: an operation takes seconds")
	}
	w.detail("op %s %s %s %v", l.place.name, op, s.name, took)
	pause(took)
	fails := chance(r, w.storm(WindStore, l.node.name))
	before := chance(r, 0.5)
	switch step(op + " " + s.name) {
	case dieBefore:
		return errDied
	case dieAfter:
		if err := do(); err != nil {
			return err
		}
		return errDied
	case goOn:
	}
	if fails && before {
		w.detail("%s: %s %s fails before", l.place.name, op, s.name)
		w.count("store: an operation fails, not done")
		return errFault
	}
	err := do()
	switch {
	case l.dead.Load():
		return errDied
	case fails:
		w.detail("%s: %s %s fails after (%v)", l.place.name, op, s.name, err)
		w.count("store: an operation fails, done")
		return errFault
	}
	return err
}

// Insert implements docstore.Store.
func (s *store) Insert(ctx context.Context, rec *docstore.Record) error {
	return s.do("insert", func() error {
		err := s.inner.Insert(ctx, rec)
		if err == nil {
			s.wrote(rec)
		}
		return err
	})
}

// Get implements docstore.Store.
func (s *store) Get(ctx context.Context, id string) (rec *docstore.Record, err error) {
	err = s.look("get", func() error {
		rec, err = s.inner.Get(ctx, id)
		return err
	})
	return answered(rec, err)
}

// Update implements docstore.Store.
func (s *store) Update(ctx context.Context, id string, change func(*docstore.Record) error) (rec *docstore.Record, err error) {
	err = s.do("update", func() error {
		rec, err = s.inner.Update(ctx, id, change)
		s.wrote(rec)
		return err
	})
	return answered(rec, err)
}

// Delete implements docstore.Store.
func (s *store) Delete(ctx context.Context, id string, version int64) (deleted bool, err error) {
	err = s.do("delete", func() error {
		deleted, err = s.inner.Delete(ctx, id, version)
		return err
	})
	return deleted && err == nil, err
}

// Find implements docstore.Store.
func (s *store) Find(ctx context.Context, q docstore.Query) (page docstore.Page, err error) {
	err = s.look("find", func() error {
		page, err = s.inner.Find(ctx, q)
		return err
	})
	if err != nil {
		page = docstore.Page{}
	}
	return page, err
}

// Claim implements docstore.Store.
func (s *store) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) (recs []*docstore.Record, err error) {
	err = s.do("claim", func() error {
		recs, err = s.inner.Claim(ctx, now, lease, limit)
		return err
	})
	if err != nil {
		recs = nil
	}
	return recs, err
}

// MarkPublished implements docstore.Store.
func (s *store) MarkPublished(ctx context.Context, marks []docstore.Mark) error {
	if len(marks) == 0 {
		return s.inner.MarkPublished(ctx, marks)
	}
	return s.do("mark", func() error { return s.inner.MarkPublished(ctx, marks) })
}

// answered withholds the answer of an operation that failed.
func answered(rec *docstore.Record, err error) (*docstore.Record, error) {
	if err != nil {
		return nil, err
	}
	return rec, nil
}
