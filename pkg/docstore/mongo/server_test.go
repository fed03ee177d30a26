package mongo

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/storetest"
	"quittance/pkg/seal"
)

// uriVar names a MongoDB deployment on which databases called
// quittance_test_… may be made and dropped.
const uriVar = "QUITTANCE_TEST_MONGODB_URI"

func serverURI(t *testing.T) seal.Secret {
	t.Helper()
	uri := os.Getenv(uriVar)
	if uri == "" {
		t.Skipf("skipped: it needs a MongoDB server, and %s is not set; TestConformance runs the suite on a fake, make ferret on FerretDB", uriVar)
	}
	return seal.Secret(uri)
}

// openServer opens an engine on the database that stands for a directory,
// and drops it after the test.
func openServer(t *testing.T, dir string) docstore.Engine {
	t.Helper()
	cfg := Config{
		URI: serverURI(t), AppName: "storetest",
		Database: fmt.Sprintf("quittance_test_%x", sha256.Sum256([]byte(dir)))[:31],
	}
	e, err := Open(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() {
		if os.Getenv("QUITTANCE_STORETEST_ROLE") != "" {
			return // a child's database is its parent's
		}
		must(t, e.Close())
		again, err := Open(context.Background(), cfg)
		must(t, err)
		must(t, again.db.Drop(context.Background()))
		must(t, again.Close())
	})
	return e
}

func TestConformanceOnMongoDB(t *testing.T) {
	serverURI(t)
	storetest.Run(t, func(t *testing.T) docstore.Engine { return openServer(t, t.TempDir()) })
}

func TestPersistenceOnMongoDB(t *testing.T) {
	serverURI(t)
	storetest.RunPersistent(t, storetest.Persistent{Open: openServer})
}

// TestPlansOnMongoDB has the server explain every query: it must walk the
// index that the query asks for, in its order.
func TestPlansOnMongoDB(t *testing.T) {
	e := openServer(t, t.TempDir()).(*Engine)
	_, err := e.Open(t.Context(), planSpec)
	must(t, err)
	explain := func(what any, command bson.D, index string) {
		t.Helper()
		raw, err := e.db.RunCommand(t.Context(), bson.D{
			{Key: "explain", Value: command}, {Key: "verbosity", Value: "queryPlanner"},
		}).Raw()
		must(t, err)
		found := map[string]bool{}
		stages(raw.Lookup("queryPlanner", "winningPlan"), found)
		byID := index == "" && (found["IDHACK"] || found["EXPRESS_IXSCAN"] || found["EXPRESS_UPDATE"] || found["EXPRESS_DELETE"] || found["_id_"])
		if found["COLLSCAN"] || found["SORT"] || !byID && !found[index] {
			t.Errorf("%+v: %v", what, found)
		}
	}
	for _, r := range requests(t) {
		command := bson.D{{Key: "find", Value: planSpec.Name}, {Key: "filter", Value: append(bson.D{}, r.filter...)},
			{Key: "sort", Value: r.sort}, {Key: "limit", Value: 10}}
		explain(r, append(command, bson.E{Key: "hint", Value: r.index.name()}), r.index.name())
	}
	rec := &docstore.Record{ID: "m", Version: 1}
	for _, filter := range []bson.D{
		byID("m"), atVersion("m", 1), unmoved(rec), claimableStill(rec, rec.Due), claimableOne("m", rec.Due), lastEmitted("m", 1), unmarked("m", 1),
	} {
		explain(filter, bson.D{{Key: "find", Value: planSpec.Name}, {Key: "filter", Value: filter}, {Key: "limit", Value: 1}}, "")
		explain(filter, bson.D{{Key: "update", Value: planSpec.Name}, {Key: "updates", Value: bson.A{bson.D{
			{Key: "q", Value: filter}, {Key: "u", Value: bson.D{{Key: "$set", Value: bson.D{{Key: "v", Value: int64(2)}}}}},
		}}}}, "")
	}
}
