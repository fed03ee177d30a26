// Package app owns the life of a program: components start in order, the
// program says what it waits for, a component that fails stops all, and
// everything stops in the reverse order within a hard deadline.
//
// It takes named functions Run(ctx) error and gives [Group] (the life),
// [Readiness] (what is awaited) and [Main] (signals and exit codes).
//
//	        Add          Run                 signal, or a component failed
//	         │            │                                │
//	         ▼            ▼        checks pass             ▼
//	   ┌─────────┐  ┌──────────┐  ┌───────────┐      ┌──────────┐     ┌─────────┐
//	   │ new     ├─▶│ starting ├─▶│ ready     ├─────▶│ stopping ├────▶│ stopped │
//	   └─────────┘  └────┬─────┘  └─┬───────▲─┘      └──────────┘     └─────────┘
//	                     │          ▼       │              ▲
//	                     │        ┌───────────┐            │
//	                     │        │ waiting   ├────────────┤
//	                     │        └───────────┘            │
//	                     └─────────────────────────────────┘
//
//	starting  every component runs; none waits for another to be up: each waits
//	          for what it needs itself, and /readyz names it
//	waiting   a check fails: /readyz answers 503; the work goes on
//	stopping  1. unready: /readyz answers 503, then a pause for load balancers
//	          2. the components end one after the other, the last added first;
//	             added in the order stores, flushes, workers, servers they so
//	             stop intake, drain, flush, close
//	          3. at the deadline whatever has not ended is named and left behind
//
// A process can be killed in any state: nothing that must survive rests on an
// orderly stop.
package app
