// Package bench measures the system on the machine it runs on: one program, one
// run, one table.
//
// It takes [Settings] and gives a [Report]: what the parts underneath cost alone
// (the floors), whole orders, callbacks, webhooks, licence claims and lookups,
// what many stored orders change, and a long run at half load. The system, the
// sandbox and the receiver of webhooks are processes of their own, started from
// this same program; the processor time counted is the system's alone.
package bench
