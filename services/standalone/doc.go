// Package standalone runs all services in one process: an embedded NATS server
// reached in process, one SQLite file per service, one data directory. It is
// the default of `make demo` and `make run`, keeps real data, and may be killed
// at any moment.
//
// It takes a [Config] and gives a running [System]; the same constructors wire
// the services as in their own processes.
package standalone
