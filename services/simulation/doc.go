// Package simulation lives whole histories of the system in virtual time and
// checks what came of them against the books of everybody outside.
//
// A history takes a seed. From it follow a plan (orders, customers, crashes,
// storms of faults) and every decision on the way. The six services run
// unchanged, each on a memory store of its own and all on one memory bus, in one
// testing/synctest bubble; the provider, the browsers, the mail system and the
// merchant's webhook receiver are doubles that keep books. It gives a [Result]:
// the violated promises, if any, and the steps that led there.
//
// Real here: the services with all their handlers, edges, loops and relays, the
// wire format and signatures of the provider and of webhooks. Doubled: stores
// and bus (in-memory engines that pass the conformance suites of the real ones),
// gRPC and HTTP transports, SMTP, and everybody outside.
package simulation
