// Package schematest holds today's code to what yesterday's has stored and
// sent: every collection of every service and every type of event on the bus
// has a file in testdata, written by the code of its time. It takes these files
// and gives test failures; it has no code of its own.
//
// Files of new collections and types are written, the others left alone, with
//
//	go test ./services/schematest -update=missing
//
// and all of them, as today's code writes, with -update=all. That forgets what
// they were there to keep: look at the difference. Fields may come, they must
// not go or change their meaning.
package schematest
