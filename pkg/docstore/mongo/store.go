package mongo

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/internal/engine"
)

type store struct {
	engine *Engine
	spec   docstore.StoreSpec
	docs   *mongo.Collection
	// settled is the same collection without what a failover may take back.
	settled *mongo.Collection
}

var _ docstore.Store = (*store)(nil)

func newStore(e *Engine, spec docstore.StoreSpec) *store {
	return &store{
		engine: e, spec: spec,
		docs:    e.db.Collection(spec.Name),
		settled: e.db.Collection(spec.Name, options.Collection().SetReadConcern(readconcern.Majority())),
	}
}

// Insert implements docstore.Store.
func (s *store) Insert(ctx context.Context, rec *docstore.Record) error {
	rec, err := engine.Prepare(s.spec, rec)
	if err != nil {
		return err
	}
	rec.Version = 1
	doc := encode(stored(rec))
	return s.engine.call(ctx, func() error {
		_, err := s.docs.InsertOne(ctx, doc)
		if taken(err) {
			return docstore.ErrExists
		}
		return err
	})
}

// Get implements docstore.Store.
func (s *store) Get(ctx context.Context, id string) (*docstore.Record, error) {
	var rec *docstore.Record
	err := s.engine.call(ctx, func() (err error) {
		rec, err = s.one(ctx, byID(id))
		return err
	})
	return rec, err
}

// one reads one document, ErrNotFound if there is none.
func (s *store) one(ctx context.Context, filter bson.D) (*docstore.Record, error) {
	raw, err := s.docs.FindOne(ctx, filter).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, docstore.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return decode(s.spec, raw)
}

// Update implements docstore.Store. A document that was updated or marked
// between reading and writing is read again, after a pause that grows.
func (s *store) Update(ctx context.Context, id string, change func(*docstore.Record) error) (*docstore.Record, error) {
	for lost := 0; ; lost++ {
		if err := pause(ctx, lost); err != nil {
			return nil, err
		}
		old, err := s.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		next, err := engine.Change(s.spec, old, change)
		if err != nil {
			return nil, err
		}
		done := false
		err = s.engine.call(ctx, func() (err error) {
			done, err = s.replace(ctx, unmoved(old), old, stored(next))
			return err
		})
		if err != nil {
			return nil, err
		}
		if done {
			return next, nil
		}
	}
}

// replace makes next of old if the filter still finds it.
func (s *store) replace(ctx context.Context, filter bson.D, old, next *docstore.Record) (bool, error) {
	res, err := s.docs.UpdateOne(ctx, filter, change(old, next))
	if err != nil {
		return false, err
	}
	return res.MatchedCount == 1, nil
}

// maxPause is the longest pause before a try, while each lost one doubles it.
const maxPause = 64 * time.Millisecond

// pause waits before the next try at random, so that writers of one document
// get out of each other's way. The first two tries come at once.
func pause(ctx context.Context, lost int) error {
	if lost < 2 {
		return nil
	}
	timer := time.NewTimer(rand.N(min(maxPause, time.Millisecond<<min(lost, 10))))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Delete implements docstore.Store.
func (s *store) Delete(ctx context.Context, id string, version int64) (bool, error) {
	deleted := false
	err := s.engine.call(ctx, func() error {
		res, err := s.docs.DeleteOne(ctx, atVersion(id, version))
		if err == nil {
			deleted = res.DeletedCount == 1
		}
		return err
	})
	return deleted, err
}

// Find implements docstore.Store. Each page is made of queries of its own, of
// which nothing is left open.
func (s *store) Find(ctx context.Context, q docstore.Query) (docstore.Page, error) {
	scan, err := engine.Parse(s.spec, q)
	if err != nil {
		return docstore.Page{}, err
	}
	var found []*docstore.Record
	err = s.engine.call(ctx, func() error {
		for _, r := range walks(scan) {
			left := scan.Limit + 1 - len(found)
			if left == 0 {
				return nil
			}
			more, err := s.walk(ctx, s.docs, r, left)
			if err != nil {
				return err
			}
			found = append(found, more...)
		}
		return nil
	})
	if err != nil {
		return docstore.Page{}, err
	}
	return scan.Page(found), nil
}

// maxBatch is the most documents that are asked for in one answer.
const maxBatch = 2000

// walk reads the first documents of a request.
func (s *store) walk(ctx context.Context, from *mongo.Collection, r request, limit int) ([]*docstore.Record, error) {
	opts := options.Find().SetHint(r.index.name()).SetSort(r.sort).
		SetLimit(int64(limit)).SetBatchSize(int32(min(limit, maxBatch)))
	cursor, err := from.Find(ctx, r.filter, opts)
	if err != nil {
		return nil, err
	}
	var docs []bson.Raw
	if err := cursor.All(ctx, &docs); err != nil {
		return nil, err
	}
	var found []*docstore.Record
	for _, doc := range docs {
		rec, err := decode(s.spec, doc)
		if err != nil {
			return nil, err
		}
		found = append(found, rec)
	}
	return found, nil
}
