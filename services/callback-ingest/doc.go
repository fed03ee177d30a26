// Package callbackingest is the callback-ingest service. It owns the callbacks
// that payment providers sent, as they came.
//
// It takes requests of providers over HTTP and gives callback.received and the
// provider's own acknowledgement, which is only given once the callback is
// durable: in the store or, while that is down, on the bus (P2). What it takes
// back from verification is the answer that ends the re-sending.
package callbackingest
