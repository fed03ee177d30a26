package mongo

import (
	"math"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/internal/engine"
)

// Every filter that goes to the server is made in this file; plan_test.go says
// which index serves it.

// request is one walk along an index: some fields equal, at most one within
// bounds, in the order of what is left of the index.
type request struct {
	index  index
	filter bson.D
	sort   bson.D
	fields bson.D // nil: all
}

// byID finds one document.
func byID(id string) bson.D { return bson.D{{Key: fieldID, Value: id}} }

// atVersion finds a document that nobody has updated.
func atVersion(id string, version int64) bson.D {
	return append(byID(id), bson.E{Key: fieldVersion, Value: version})
}

// unmoved finds a document that nobody has updated or marked.
func unmoved(rec *docstore.Record) bson.D {
	return append(atVersion(rec.ID, rec.Version), bson.E{Key: fieldPublished, Value: rec.Published})
}

// claimableStill finds an unmoved document that is still to be claimed.
func claimableStill(rec *docstore.Record, now time.Time) bson.D {
	return append(unmoved(rec), until(fieldClaimAt, now))
}

// claimableOne finds a document if it is to be claimed.
func claimableOne(id string, now time.Time) bson.D {
	return append(byID(id), until(fieldClaimAt, now))
}

// lastEmitted finds a document whose latest emission is n.
func lastEmitted(id string, n int64) bson.D {
	return append(byID(id), bson.E{Key: fieldEmitted, Value: n})
}

// unmarked finds a document that has emitted n and not been marked so far.
func unmarked(id string, n int64) bson.D {
	return append(byID(id),
		bson.E{Key: fieldEmitted, Value: bson.D{{Key: "$gte", Value: n}}},
		bson.E{Key: fieldPublished, Value: bson.D{{Key: "$lt", Value: n}}})
}

// until is the condition that a time has come.
func until(field string, now time.Time) bson.E {
	return bson.E{Key: field, Value: bson.D{{Key: "$lte", Value: bson.DateTime(engine.Millis(now))}}}
}

func claimable(now time.Time) request {
	return request{index: indexClaim, filter: bson.D{until(fieldClaimAt, now)}, sort: indexClaim.keys()}
}

func relayable(now time.Time) request {
	return request{index: indexRelay, filter: bson.D{until(fieldRelayAt, now)}, sort: indexRelay.keys()}
}

// soonest finds when the next document can be claimed, in the index alone.
func soonest() request {
	ever := bson.D{{Key: "$gte", Value: bson.DateTime(math.MinInt64)}} // leaves out what has no such time
	return request{
		index: indexClaim, filter: bson.D{{Key: fieldClaimAt, Value: ever}}, sort: indexClaim.keys(),
		fields: bson.D{{Key: fieldID, Value: int32(0)}, {Key: fieldClaimAt, Value: int32(1)}},
	}
}

// walks are the requests that answer a query, one after the other until the
// page is full. A page that starts within a value takes two: the rest of that
// value, and the values beyond.
func walks(scan engine.Scan) []request {
	start, direction, beyond := scan.Start, int32(1), "$gt"
	if scan.Descending {
		direction, beyond = -1, "$lt"
	}
	var tenant bson.D
	if !scan.AllTenants {
		tenant = bson.D{{Key: fieldTenant, Value: scan.Tenant}}
	}
	walk := func(ix index, conditions ...bson.E) request {
		filter := append(append(bson.D{}, tenant...), conditions...)
		fixed := len(tenant)
		for _, c := range conditions {
			if _, bounds := c.Value.(bson.D); !bounds {
				fixed++
			}
		}
		return request{index: ix, filter: filter, sort: ordered(ix[min(fixed, len(ix)-1):], direction)}
	}

	if scan.Index == "" {
		ix := indexTenant
		if scan.AllTenants {
			ix = indexID
		}
		switch {
		case scan.Equal != "" && start != nil:
			return nil // it was on the page before
		case scan.Equal != "":
			return []request{walk(ix, bson.E{Key: fieldID, Value: scan.Equal})}
		}
		bounds := bounded(scan, start != nil)
		if start != nil {
			bounds = append(bounds, bson.E{Key: beyond, Value: start.ID})
		}
		if len(bounds) == 0 {
			return []request{walk(ix)}
		}
		return []request{walk(ix, bson.E{Key: fieldID, Value: bounds})}
	}

	ix, field := indexWithin(scan.Index), prefixIndex+scan.Index
	if scan.AllTenants {
		ix = indexAll(scan.Index)
	}
	rest := func() request {
		return walk(ix, bson.E{Key: field, Value: start.Value},
			bson.E{Key: fieldID, Value: bson.D{{Key: beyond, Value: start.ID}}})
	}
	switch {
	case scan.Equal != "" && start == nil:
		return []request{walk(ix, bson.E{Key: field, Value: scan.Equal})}
	case scan.Equal != "":
		return []request{rest()}
	}
	bounds := bounded(scan, start != nil)
	if start == nil {
		return []request{walk(ix, bson.E{Key: field, Value: bounds})}
	}
	bounds = append(bounds, bson.E{Key: beyond, Value: start.Value})
	further := walk(ix, bson.E{Key: field, Value: bounds})
	if start.Value < scan.From || scan.To != "" && start.Value >= scan.To {
		return []request{further}
	}
	return []request{rest(), further}
}

// bounded are the bounds of a range, without the one that a start replaces.
// For an index field there is always a lower one: it leaves out what has no
// value.
func bounded(scan engine.Scan, started bool) bson.D {
	var bounds bson.D
	if !started || scan.Descending {
		if scan.From != "" || scan.Index != "" {
			bounds = append(bounds, bson.E{Key: "$gte", Value: scan.From})
		}
	}
	if scan.To != "" && (!started || !scan.Descending) {
		bounds = append(bounds, bson.E{Key: "$lt", Value: scan.To})
	}
	return bounds
}
