package mongo

import (
	"context"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"quittance/pkg/docstore"
)

// Names of the fields of a stored document. claim_at is when it can be
// claimed, the later of due and lease_until. There is a field per index field;
// what has no value is left out.
const (
	fieldID         = "_id"
	fieldTenant     = "tenant"
	fieldVersion    = "v"
	fieldBody       = "body"
	fieldOutbox     = "out"
	fieldEmitted    = "emitted"
	fieldPublished  = "published"
	fieldRelayAt    = "relay_at"
	fieldDue        = "due"
	fieldLease      = "lease"
	fieldLeaseUntil = "lease_until"
	fieldClaimAt    = "claim_at"
	prefixIndex     = "ix_"
)

// index is the fields of an index, in its order.
type index []string

var (
	indexID     = index{fieldID}
	indexTenant = index{fieldTenant, fieldID}
	indexClaim  = index{fieldClaimAt, fieldID}
	indexRelay  = index{fieldRelayAt, fieldID}
)

func indexAll(name string) index    { return index{prefixIndex + name, fieldID} }
func indexWithin(name string) index { return index{fieldTenant, prefixIndex + name, fieldID} }

// name is the one the server gives the index of these keys, if left to itself.
func (ix index) name() string {
	if len(ix) == 1 {
		return ix[0] + "_"
	}
	return strings.Join(ix, "_1_") + "_1"
}

func (ix index) keys() bson.D { return ordered(ix, 1) }

// ordered is a sort order or the keys of an index.
func ordered(fields []string, direction int32) bson.D {
	var d bson.D
	for _, f := range fields {
		d = append(d, bson.E{Key: f, Value: direction})
	}
	return d
}

// declared are all indexes of a collection but that of the id, which every
// collection has. They are plain: not unique, not partial, nothing expires.
func declared(spec docstore.StoreSpec) []index {
	all := []index{indexTenant, indexClaim, indexRelay}
	for _, name := range spec.Indexes {
		all = append(all, indexAll(name), indexWithin(name))
	}
	return all
}

// declare builds the indexes that are missing. It does not ask for those that
// are there: that would be nothing to MongoDB, but not to all servers.
func declare(ctx context.Context, indexes mongo.IndexView, spec docstore.StoreSpec) error {
	there, err := indexes.ListSpecifications(ctx)
	if err != nil {
		return err
	}
	var missing []mongo.IndexModel
	for _, ix := range declared(spec) {
		is := func(s mongo.IndexSpecification) bool { return s.Name == ix.name() }
		if !slices.ContainsFunc(there, is) {
			missing = append(missing, mongo.IndexModel{Keys: ix.keys(), Options: options.Index().SetName(ix.name())})
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = indexes.CreateMany(ctx, missing)
	return err
}
