package mongo

import (
	"slices"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/storetest"
)

// TestConformance holds the engine to the suite, crowds and all, on a fake
// whose writes are atomic as MongoDB's are. It proves this side of the wire;
// the other side is TestConformanceOnMongoDB's. Along the way it holds every
// command against the table of queries.
func TestConformance(t *testing.T) {
	var mu sync.Mutex
	sent := map[shape]bool{}
	storetest.Run(t, func(t *testing.T) docstore.Engine {
		f := newFake(t)
		f.seen = func(command bson.Raw) {
			mu.Lock()
			defer mu.Unlock()
			for _, s := range shapesOf(command) {
				sent[s] = true
			}
		}
		return f.open(t)
	})
	for s := range sent {
		if !slices.Contains(shapes, s) {
			t.Errorf("%+v is not in the table of queries", s)
		}
	}
	t.Run("every query of the table is sent", func(t *testing.T) {
		for _, s := range shapes {
			if !sent[s] {
				t.Errorf("%+v is never sent", s)
			}
		}
	})
}
