package docstore

import "time"

// Relay brings committed events to the bus (see package outbox).
type Relay interface {
	// Watch tells of a store whose leftovers the relay looks after.
	Watch(Store)
	// Committed tells of a stored document with pending events. It must not block.
	Committed(Store, *Record)
	// Known is the latest emission of the document known to be on the bus and
	// not yet marked, 0 if none; the next write of the document marks it.
	Known(s Store, id string) int64
	// Marked tells that a write has marked emissions up to n.
	Marked(s Store, id string, n int64)
}

// Worker does the due work of a collection in this process (see package due).
type Worker interface {
	// Reserve takes a place for one document, false if none is free.
	Reserve() bool
	// Release gives an unused place back.
	Release()
	// Hand passes on a document leased in a reserved place. It must not block.
	Hand(*Record)
	// Wake tells that a document is due at the given time.
	Wake(time.Time)
	// Lease is how long a lease lasts.
	Lease() time.Duration
}
