package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"math"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/internal/engine"
)

type store struct {
	engine *Engine
	spec   docstore.StoreSpec
	sql    statements
}

var _ docstore.Store = (*store)(nil)

// Insert implements docstore.Store.
func (s *store) Insert(ctx context.Context, rec *docstore.Record) error {
	rec, err := engine.Prepare(s.spec, rec)
	if err != nil {
		return err
	}
	rec.Version = 1
	insert, err := s.inserting(rec)
	if err != nil {
		return err
	}
	return s.engine.submit(ctx, func(w *conn, _ *op) error {
		stored, err := insert.run(w)
		if err == nil && !stored {
			return docstore.ErrExists
		}
		return err
	})
}

// Get implements docstore.Store.
func (s *store) Get(ctx context.Context, id string) (*docstore.Record, error) {
	found, err := s.get(ctx, id)
	return found.rec, err
}

func (s *store) get(ctx context.Context, id string) (row, error) {
	return read(ctx, s.engine, func(c *conn) (row, error) { return s.load(c, id) })
}

// Update implements docstore.Store. The document is read and changed before it
// is the writer's turn; if it was stale, it is read and changed once more
// within the transaction, where nobody else can move it.
func (s *store) Update(ctx context.Context, id string, change func(*docstore.Record) error) (*docstore.Record, error) {
	read, err := s.get(ctx, id)
	if err != nil {
		return nil, err
	}
	first, err := s.changing(read, change)
	if err != nil {
		return nil, err
	}
	var stored *docstore.Record
	err = s.engine.submit(ctx, func(w *conn, o *op) error {
		ok, err := first.run(w)
		if err != nil {
			return err
		}
		if ok {
			stored = first.rec
			return nil
		}
		stored, err = s.updateAlone(w, o, id, change)
		return err
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

func (s *store) changing(read row, change func(*docstore.Record) error) (write, error) {
	next, err := engine.Change(s.spec, read.rec, change)
	if err != nil {
		return write{}, err
	}
	return s.replacing(read, next)
}

// updateAlone updates a document within the transaction.
func (s *store) updateAlone(w *conn, o *op, id string, change func(*docstore.Record) error) (*docstore.Record, error) {
	read, err := s.load(w, id)
	if err != nil {
		return nil, err
	}
	again, changeErr := write{}, errors.New("change ended its goroutine")
	if err := o.byCaller(func() { again, changeErr = s.changing(read, change) }); err != nil {
		return nil, err
	}
	if changeErr != nil {
		return nil, changeErr
	}
	ok, err := again.run(w)
	if err == nil && !ok {
		err = errors.New("document moved within a transaction")
	}
	return again.rec, err
}

// Delete implements docstore.Store.
func (s *store) Delete(ctx context.Context, id string, version int64) (bool, error) {
	var n int64
	err := s.engine.submit(ctx, func(w *conn, _ *op) (err error) {
		n, err = w.exec(s.sql.delete, id, version)
		return err
	})
	if err != nil {
		return false, err
	}
	return n == 1, nil
}

// Claim implements docstore.Store. It asks a reader first, so that idle
// claimers cost no write.
func (s *store) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]*docstore.Record, error) {
	if err := engine.CheckClaim(lease, limit); err != nil {
		return nil, err
	}
	at := engine.Millis(now)
	any, err := read(ctx, s.engine, func(c *conn) (any bool, err error) {
		err = c.query(func([]driver.Value) error {
			any = true
			return nil
		}, s.sql.due, at)
		return any, err
	})
	if err != nil || !any {
		return nil, err
	}
	var claimed []*docstore.Record
	err = s.engine.submit(ctx, func(w *conn, _ *op) (err error) {
		claimed, err = s.claim(w, at, engine.Ceil(now.Add(lease)), limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

func (s *store) claim(w *conn, at int64, until time.Time, limit int) ([]*docstore.Record, error) {
	recs, err := s.collect(w, s.sql.claimable, at, int64(limit))
	if err != nil {
		return nil, err
	}
	for _, rec := range recs {
		rec.Version++
		rec.Lease, rec.LeaseUntil = rec.Version, until
		_, err := w.exec(s.sql.claim, rec.Version, rec.Lease, millis(until), millis(engine.Claimable(rec)), rec.ID)
		if err != nil {
			return nil, err
		}
	}
	return recs, nil
}

// Unpublished implements docstore.Store.
func (s *store) Unpublished(ctx context.Context, now time.Time, limit int) ([]*docstore.Record, error) {
	if err := engine.CheckLimit(limit); err != nil {
		return nil, err
	}
	return read(ctx, s.engine, func(c *conn) ([]*docstore.Record, error) {
		return s.collect(c, s.sql.unpublished, engine.Millis(now), int64(limit))
	})
}

// MarkPublished implements docstore.Store.
func (s *store) MarkPublished(ctx context.Context, marks []docstore.Mark) error {
	if len(marks) == 0 {
		return ctx.Err()
	}
	marks = append([]docstore.Mark(nil), marks...)
	return s.engine.submit(ctx, func(w *conn, _ *op) error {
		for _, m := range marks {
			if _, err := w.exec(s.sql.publish, m.Emitted, m.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// NextDue implements docstore.Store.
func (s *store) NextDue(ctx context.Context) (time.Time, error) {
	return read(ctx, s.engine, func(c *conn) (next time.Time, err error) {
		err = c.query(func(v []driver.Value) error {
			next = timeOf(v[0])
			return nil
		}, s.sql.nextDue, int64(math.MinInt64))
		return next, err
	})
}
