package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/internal/engine"
)

// Claim implements docstore.Store: it reads what can be claimed and leases
// each document by comparing and setting. If others were faster with some of
// them, it looks for more.
func (s *store) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]*docstore.Record, error) {
	if err := engine.CheckClaim(lease, limit); err != nil {
		return nil, err
	}
	end := engine.Ceil(now.Add(lease))
	var claimed []*docstore.Record
	err := s.engine.call(ctx, func() error {
		for lost := 0; len(claimed) < limit; lost++ {
			if err := pause(ctx, lost); err != nil {
				return err
			}
			want := limit - len(claimed)
			found, err := s.walk(ctx, s.docs, claimable(now), want)
			if err != nil {
				return err
			}
			before := len(claimed)
			for _, rec := range found {
				mine, err := s.claim(ctx, rec, now, end)
				if err != nil {
					return err
				}
				if mine != nil {
					claimed = append(claimed, mine)
				}
			}
			if len(claimed)-before == len(found) {
				return nil // nobody else was there, and there is no more
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// claim leases one document, nil if somebody else has. Updates and marks that
// come between do not take a document out of the claimer's hands: it is read
// again.
func (s *store) claim(ctx context.Context, rec *docstore.Record, now, end time.Time) (*docstore.Record, error) {
	for lost := 0; ; lost++ {
		if err := pause(ctx, lost); err != nil {
			return nil, err
		}
		next := *rec
		next.Version++
		next.Lease, next.LeaseUntil = next.Version, end
		done, err := s.replace(ctx, claimableStill(rec, now), rec, &next)
		if err != nil {
			return nil, err
		}
		if done {
			return &next, nil
		}
		rec, err = s.one(ctx, claimableOne(rec.ID, now))
		if errors.Is(err, docstore.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Unpublished implements docstore.Store. What a failover may take back is not
// among it, because the events would be out by then.
func (s *store) Unpublished(ctx context.Context, now time.Time, limit int) ([]*docstore.Record, error) {
	if err := engine.CheckLimit(limit); err != nil {
		return nil, err
	}
	var found []*docstore.Record
	err := s.engine.call(ctx, func() (err error) {
		found, err = s.walk(ctx, s.settled, relayable(now), limit)
		return err
	})
	return found, err
}

// MarkPublished implements docstore.Store with two writes per mark: the first
// is for a document whose latest emission this is, so that there is nothing to
// relay any more, the second for one with later emissions. It does not matter
// which comes first and what comes between them. A mark beyond the latest
// emission means another document that had this id, and does nothing.
func (s *store) MarkPublished(ctx context.Context, marks []docstore.Mark) error {
	var writes []mongo.WriteModel
	for _, m := range marks {
		published := bson.D{{Key: fieldPublished, Value: m.Emitted}}
		writes = append(writes,
			mongo.NewUpdateOneModel().SetFilter(lastEmitted(m.ID, m.Emitted)).SetUpdate(bson.D{
				{Key: "$set", Value: published}, {Key: "$unset", Value: bson.D{{Key: fieldRelayAt, Value: ""}}},
			}),
			mongo.NewUpdateOneModel().SetFilter(unmarked(m.ID, m.Emitted)).SetUpdate(bson.D{
				{Key: "$set", Value: published},
			}))
	}
	return s.engine.call(ctx, func() error {
		if len(writes) == 0 {
			return nil
		}
		_, err := s.docs.BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false))
		return err
	})
}

// NextDue implements docstore.Store.
func (s *store) NextDue(ctx context.Context) (time.Time, error) {
	var next time.Time
	err := s.engine.call(ctx, func() error {
		r := soonest()
		raw, err := s.docs.FindOne(ctx, r.filter,
			options.FindOne().SetHint(r.index.name()).SetSort(r.sort).SetProjection(r.fields)).Raw()
		if errors.Is(err, mongo.ErrNoDocuments) {
			return nil
		}
		if err != nil {
			return err
		}
		return readTime(raw.Lookup(fieldClaimAt), &next)
	})
	return next, err
}
