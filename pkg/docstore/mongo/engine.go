// Package mongo keeps documents in a MongoDB database, one collection per
// collection. It takes the connection and the database's name, and gives an
// engine for any server that speaks the MongoDB wire protocol.
//
// It asks little of the server: writes of one document, found by its id, are
// atomic. There are no transactions, upserts, pipeline updates and no unique
// index but the id, so a collection can be sharded by the hashed id. What two
// writers could both change is written by comparing and setting the version.
//
// An acknowledged write is on the disks of most members of the replica set.
// Writes are retried by the driver where the server can tell a repeat; an error
// that is left over leaves open whether the write happened.
package mongo

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/internal/engine"
)

// Engine is one database.
type Engine struct {
	cfg    Config
	client *mongo.Client
	db     *mongo.Database

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup // entered with mu held
	stores map[string]*store
}

var _ docstore.Engine = (*Engine)(nil)

// Open makes an engine. It does not wait for the server, which may come later:
// until then calls fail.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	opts, err := cfg.client()
	if err != nil {
		return nil, err
	}
	client, err := mongo.Connect(opts)
	if err != nil {
		return nil, fmt.Errorf("mongo: connect: %w", err)
	}
	return &Engine{cfg: cfg, client: client, db: client.Database(cfg.Database), stores: map[string]*store{}}, nil
}

// Open implements docstore.Engine. Missing indexes are built, which takes long
// on a large collection.
func (e *Engine) Open(ctx context.Context, spec docstore.StoreSpec) (docstore.Store, error) {
	spec, err := engine.CheckSpec(spec)
	if err != nil {
		return nil, err
	}
	err = e.call(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, e.cfg.IndexTimeout)
		defer cancel()
		return declare(ctx, e.db.Collection(spec.Name).Indexes(), spec)
	})
	if err != nil {
		return nil, fmt.Errorf("declare %s: %w", spec.Name, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	key := engine.Key(spec)
	if e.stores[key] == nil {
		e.stores[key] = newStore(e, spec)
	}
	return e.stores[key], nil
}

// pingCollection is nobody else's: names of collections have no dot.
const pingCollection = "quittance.ping"

// Ping implements docstore.Engine with a write of its own, because a server
// without a majority still answers reads.
func (e *Engine) Ping(ctx context.Context) error {
	err := e.call(ctx, func() error {
		c := e.db.Collection(pingCollection)
		res, err := c.UpdateOne(ctx, byID(pingCollection), bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: int64(1)}}}})
		if err != nil || res.MatchedCount > 0 {
			return err
		}
		_, err = c.InsertOne(ctx, bson.D{{Key: "_id", Value: pingCollection}, {Key: "n", Value: int64(1)}})
		if taken(err) {
			return nil // another process came first
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// Close implements docstore.Engine.
func (e *Engine) Close() error {
	e.mu.Lock()
	already := e.closed
	e.closed = true
	e.mu.Unlock()
	if already {
		return nil
	}
	e.calls.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), e.cfg.Timeout) //nolint:forbidigo // a close has no caller to ask
	defer cancel()
	return e.client.Disconnect(ctx)
}

// call runs f, which makes one or more calls to the server, while the engine
// is open. If ctx ends, the error says so, whatever the driver made of it.
func (e *Engine) call(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return engine.ErrClosed
	}
	e.calls.Add(1)
	e.mu.Unlock()
	defer e.calls.Done()
	err := f()
	ended := ctx.Err()
	switch {
	case err == nil, ended == nil, errors.Is(err, ended),
		errors.Is(err, docstore.ErrExists), errors.Is(err, docstore.ErrNotFound):
		return err
	}
	return fmt.Errorf("%w: %w", ended, err)
}

// taken tells whether an insert was refused, for sure and lastingly, because
// there is such an id. With any other error beside it that is not known.
func taken(err error) bool {
	var refused mongo.WriteException
	return mongo.IsDuplicateKeyError(err) && errors.As(err, &refused) && refused.WriteConcernError == nil
}
