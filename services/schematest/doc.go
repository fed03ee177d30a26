// Package schematest holds today's code to what yesterday's has stored and
// sent: every collection of every service and every type of event on the bus
// has a file in testdata, written by the code of its time. It takes these files
// and gives test failures; it has no code of its own.
//
// Files of new collections and types are written, and all others anew, with
//
//	go test ./services/schematest -update
//
// A file that is written anew forgets what it was there to keep: look at the
// difference. Fields may come, they must not go or change their meaning.
package schematest
