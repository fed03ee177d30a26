package memory

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/internal/engine"
)

type store struct {
	engine *Engine
	spec   docstore.StoreSpec
	docs   map[string]*docstore.Record // guarded by engine.data.mu
}

var _ docstore.Store = (*store)(nil)

func (s *store) do(ctx context.Context, op, id string, f func() error) error {
	return s.engine.do(ctx, op, s.spec.Name, id, f)
}

// Insert implements docstore.Store.
func (s *store) Insert(ctx context.Context, rec *docstore.Record) error {
	rec, err := engine.Prepare(s.spec, rec)
	if err != nil {
		return err
	}
	rec.Version = 1
	return s.do(ctx, OpInsert, rec.ID, func() error {
		if s.docs[rec.ID] != nil {
			return docstore.ErrExists
		}
		s.docs[rec.ID] = rec
		return nil
	})
}

// Get implements docstore.Store.
func (s *store) Get(ctx context.Context, id string) (*docstore.Record, error) {
	var rec *docstore.Record
	err := s.do(ctx, OpGet, id, func() error {
		if rec = s.docs[id]; rec == nil {
			return docstore.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return engine.Clone(rec), nil
}

// Update implements docstore.Store. It reads, changes and compares-and-sets
// like the engines with a database, so that change really may run again.
func (s *store) Update(ctx context.Context, id string, change func(*docstore.Record) error) (*docstore.Record, error) {
	fault := s.engine.faults(OpUpdate, s.spec.Name, id)
	if fault.Before != nil {
		return nil, fault.Before
	}
	for again := fault.Rerun; ; again = false {
		stored, next, err := s.changed(ctx, id, change)
		if err != nil {
			return nil, err
		}
		if again {
			continue
		}
		moved := false
		err = s.engine.alone(ctx, func() error {
			if moved = s.docs[id] != stored; !moved {
				s.docs[id] = next
			}
			return nil
		})
		switch {
		case err != nil:
			return nil, err
		case moved:
			continue
		case fault.After != nil:
			return nil, fault.After
		}
		return engine.Clone(next), nil
	}
}

// changed reads a document and returns it with what change makes of it.
func (s *store) changed(ctx context.Context, id string, change func(*docstore.Record) error) (stored, next *docstore.Record, err error) {
	err = s.engine.alone(ctx, func() error {
		if stored = s.docs[id]; stored == nil {
			return docstore.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	next, err = engine.Change(s.spec, stored, change)
	return stored, next, err
}

// Delete implements docstore.Store.
func (s *store) Delete(ctx context.Context, id string, version int64) (bool, error) {
	deleted := false
	err := s.do(ctx, OpDelete, id, func() error {
		if rec := s.docs[id]; rec != nil && rec.Version == version {
			delete(s.docs, id)
			deleted = true
		}
		return nil
	})
	return deleted && err == nil, err
}

// Find implements docstore.Store.
func (s *store) Find(ctx context.Context, q docstore.Query) (docstore.Page, error) {
	scan, err := engine.Parse(s.spec, q)
	if err != nil {
		return docstore.Page{}, err
	}
	found, err := s.first(ctx, OpFind, scan.Limit+1,
		func(rec *docstore.Record) bool {
			return (scan.AllTenants || rec.Tenant == scan.Tenant) && scan.Within(scan.At(rec))
		},
		func(a, b *docstore.Record) int { return scan.Order(scan.At(a), scan.At(b)) },
	)
	if err != nil {
		return docstore.Page{}, err
	}
	return scan.Page(found), nil
}

// Claim implements docstore.Store.
func (s *store) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]*docstore.Record, error) {
	if err := engine.CheckClaim(lease, limit); err != nil {
		return nil, err
	}
	var claimed []*docstore.Record
	err := s.do(ctx, OpClaim, "", func() error {
		due := s.sorted(
			func(rec *docstore.Record) bool { return !rec.Due.IsZero() && !engine.Claimable(rec).After(now) },
			byTime(engine.Claimable),
		)
		for _, rec := range due[:min(limit, len(due))] {
			next := *rec
			next.Version++
			next.Lease, next.LeaseUntil = next.Version, engine.Ceil(now.Add(lease))
			s.docs[rec.ID] = &next
			claimed = append(claimed, engine.Clone(&next))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// Unpublished implements docstore.Store.
func (s *store) Unpublished(ctx context.Context, now time.Time, limit int) ([]*docstore.Record, error) {
	if err := engine.CheckLimit(limit); err != nil {
		return nil, err
	}
	relayAt := func(rec *docstore.Record) time.Time { return rec.RelayAt }
	return s.first(ctx, OpUnpublished, limit,
		func(rec *docstore.Record) bool { return !rec.RelayAt.IsZero() && !rec.RelayAt.After(now) },
		byTime(relayAt),
	)
}

// MarkPublished implements docstore.Store.
func (s *store) MarkPublished(ctx context.Context, marks []docstore.Mark) error {
	return s.do(ctx, OpMarkPublished, "", func() error {
		for _, m := range marks {
			if rec := s.docs[m.ID]; rec != nil {
				s.docs[m.ID] = engine.Publish(rec, m.Emitted)
			}
		}
		return nil
	})
}

// NextDue implements docstore.Store.
func (s *store) NextDue(ctx context.Context) (time.Time, error) {
	var next time.Time
	err := s.do(ctx, OpNextDue, "", func() error {
		for _, rec := range s.docs {
			if at := engine.Claimable(rec); !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
		return nil
	})
	if err != nil {
		return time.Time{}, err
	}
	return next, nil
}

// first returns copies of the first of the documents that match.
func (s *store) first(ctx context.Context, op string, limit int, match func(*docstore.Record) bool, order func(a, b *docstore.Record) int) ([]*docstore.Record, error) {
	var found []*docstore.Record
	err := s.do(ctx, op, "", func() error {
		found = s.sorted(match, order)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found = found[:min(limit, len(found))]
	for i, rec := range found {
		found[i] = engine.Clone(rec)
	}
	return found, nil
}

func (s *store) sorted(match func(*docstore.Record) bool, order func(a, b *docstore.Record) int) []*docstore.Record {
	var found []*docstore.Record
	for _, rec := range s.docs {
		if match(rec) {
			found = append(found, rec)
		}
	}
	slices.SortFunc(found, order)
	return found
}

// byTime orders by a time, then by id.
func byTime(at func(*docstore.Record) time.Time) func(a, b *docstore.Record) int {
	return func(a, b *docstore.Record) int {
		return cmp.Or(at(a).Compare(at(b)), strings.Compare(a.ID, b.ID))
	}
}
