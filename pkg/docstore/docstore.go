// Package docstore owns how services keep state: documents with an outbox and
// a due time.
//
// A document is an id, a version, a body, the events it announced, a due time
// and declared index fields. One write is atomic on one document: body, events
// and due time change together or not at all. There are no transactions over
// documents, no upserts and no unique indexes but the id: where two writers
// could meet, both derive the same id from the cause and one of them gets
// [ErrExists].
//
// Services use [Collection], which is typed; engines (sqlite, memory, mongo)
// implement [Engine] and [Store] and pass the suite in storetest.
package docstore

import (
	"context"
	"errors"
	"time"

	"quittance/pkg/event"
)

// Errors of a store. Anything else an engine returns is an infrastructure
// error: the write may or may not have happened.
var (
	ErrExists   = errors.New("document exists")
	ErrNotFound = errors.New("document not found")
	// ErrCursor refuses a query whose After is not a Next of the same query.
	ErrCursor = errors.New("not a cursor of this query")
	// ErrLeaseLost refuses the write of a holder whose lease was taken over.
	ErrLeaseLost = errors.New("lease lost")
)

// Engine opens collections on one database.
type Engine interface {
	// Open declares a collection and its indexes, creating what is missing.
	// Opening the same collection twice is allowed and gives equal stores.
	Open(ctx context.Context, spec StoreSpec) (Store, error)
	// Ping answers whether the database can be written to.
	Ping(ctx context.Context) error
	// Close waits for writes under way and releases the database.
	Close() error
}

// StoreSpec declares a collection.
type StoreSpec struct {
	// Name is lower case letters, digits and underscores.
	Name string
	// Indexes are the names of the index fields (same alphabet). Every field
	// can be searched over all tenants and within one tenant.
	Indexes []string
}

// Typed is implemented by engines of tests that look at what collections hold.
type Typed interface {
	// Typed is told of each collection that is opened; empty makes a body of its
	// type, a pointer.
	Typed(collection string, empty func() any)
}

// Record is a document as an engine keeps it. All fields are the engine's to
// store; only [Collection] gives them meaning.
type Record struct {
	ID string
	// Tenant is the merchant the document belongs to; empty: the system's own.
	// It never changes.
	Tenant string
	// Version is 1 after the insert and grows by one with each update.
	Version int64
	Body    []byte
	// Index holds the values of the declared index fields; a missing or empty
	// value is not indexed.
	Index map[string]string
	// Due is when the aggregate wants work done; zero: never.
	Due time.Time
	// Lease is the version at which the current holder leased the document, 0
	// if nobody did; it counts until LeaseUntil. While a lease counts, the
	// document is not claimed.
	Lease      int64
	LeaseUntil time.Time
	// Outbox holds every event the document announced, oldest first.
	Outbox []Entry
	// Emitted numbers emissions: it grows with every event and every re-send.
	Emitted int64
	// Published is the highest emission known to be on the bus.
	Published int64
	// RelayAt is when the relay looks after unpublished emissions; zero when
	// Published equals Emitted.
	RelayAt time.Time
}

// Entry is an event in an outbox, with the number of its latest emission. It
// is pending while Seq > Record.Published.
type Entry struct {
	Seq   int64       `json:"seq"`
	Event event.Event `json:"event"`
}

// Pending returns the events that are not known to be on the bus, oldest
// emission first.
func (r *Record) Pending() []event.Event {
	var out []event.Event
	for _, e := range r.Outbox {
		if e.Seq > r.Published {
			out = append(out, e.Event)
		}
	}
	return out
}

// Store is one collection in an engine. All methods are safe for concurrent
// use, by several goroutines and by several processes on one database.
// Acknowledged writes are durable. Times are kept with millisecond precision,
// rounded up.
type Store interface {
	// Insert stores rec with version 1. ErrExists if the id is taken.
	Insert(ctx context.Context, rec *Record) error
	// Get reads one document, ErrNotFound if there is none.
	Get(ctx context.Context, id string) (*Record, error)
	// Update reads the document, calls change with a copy the callee owns, and
	// stores it if the version has not moved meanwhile; otherwise it starts
	// over with the newer document. change may run several times and must
	// not block or call the store. Its error ends the update, unwrapped, and
	// nothing is stored. ErrNotFound if there is no document. ID, Tenant and
	// Version are the engine's; what change does to them is ignored.
	// It returns the document as stored.
	Update(ctx context.Context, id string, change func(*Record) error) (*Record, error)
	// Delete removes the document if its version is still the given one and
	// reports whether it did.
	Delete(ctx context.Context, id string, version int64) (bool, error)
	// Find pages through the documents of a query in the order of (index
	// value, id). Every document that is there, unchanged in the index, from
	// the first page to the last is seen exactly once.
	Find(ctx context.Context, q Query) (Page, error)
	// Claim leases up to limit documents with Due <= now and no lease that
	// counts at now, the longest due first, until now+lease. Of competing
	// claimers exactly one gets a document. Each claim is a write (Version
	// grows, Lease becomes the new version).
	Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]*Record, error)
	// Unpublished reads up to limit documents with a RelayAt <= now, oldest first.
	Unpublished(ctx context.Context, now time.Time, limit int) ([]*Record, error)
	// MarkPublished raises Published of each document to at least the given
	// emission and clears RelayAt where that is the latest one. It changes
	// neither version nor body, and all marks of a call go out in one batch.
	MarkPublished(ctx context.Context, marks []Mark) error
	// NextDue returns the earliest time at which Claim would find something
	// (Due, or the end of a lease on something due), zero if never.
	NextDue(ctx context.Context) (time.Time, error)
}

// Mark says that a document's emissions up to Emitted are on the bus.
type Mark struct {
	ID      string
	Emitted int64
}

// Query selects documents by one index field.
type Query struct {
	// Tenant limits the query to one tenant's documents if AllTenants is false.
	Tenant     string
	AllTenants bool
	// Index names a declared field; empty pages by id.
	Index string
	// Equal selects one value. If empty, From (inclusive) and To (exclusive,
	// empty: no bound) select a range.
	Equal    string
	From, To string
	// Descending reverses the order.
	Descending bool
	// After is the Next of the page before; empty: the first page.
	After string
	// Limit is 1–1,000.
	Limit int
}

// Page is a part of a query's answer.
type Page struct {
	Records []*Record
	// Next is empty on the last page. It is opaque.
	Next string
}
