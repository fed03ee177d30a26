// Package sabotage breaks promises on purpose, from outside the services, to see
// that whoever looks for broken promises notices: the simulation and the fault
// machine of services/e2e.
//
// It takes parts that services are built on and gives them back with the promise
// broken. No program imports it, which pkg/repotest holds.
package sabotage

// Kind is the promise that is broken.
type Kind string

// Kinds.
const (
	// Honest is none.
	Honest Kind = ""
	// AckBeforeRecord: a callback is answered OK before callback-ingest has
	// recorded it, and so even if it never does.
	AckBeforeRecord Kind = "acknowledge before recording"
	// SkipAmount: whatever the customer paid, the amount that was ordered is
	// seen, as if nobody looked.
	SkipAmount Kind = "skip the amount check"
	// ClaimBlindly: licences are written without a comparison with what was read.
	ClaimBlindly Kind = "claim without compare-and-set"
	// PublishOutside: events are not in the write that they announce, but
	// published and noted after it.
	PublishOutside Kind = "publish outside the outbox"
	// ForgetResend: nothing is ever sent a second time.
	ForgetResend Kind = "forget to re-send"
)

// Kinds lists the sabotages.
var Kinds = []Kind{AckBeforeRecord, SkipAmount, ClaimBlindly, PublishOutside, ForgetResend}
