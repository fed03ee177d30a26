package verification

import (
	"slices"
	"time"
)

// maxReferences bounds how many of the provider's references are kept that only
// browsers and callbacks bring: each costs a question now and then.
const maxReferences = 5

// refer notes a reference of the provider's. The latest one is asked about
// first, those before it in turn: whoever brings a wrong one must not keep the
// right one from being asked about. It reports whether it is new.
func (v *Verification) refer(reference string) bool {
	if reference == "" || reference == v.ProviderReference || slices.Contains(v.OtherReferences, reference) {
		return false
	}
	if v.ProviderReference != "" {
		if len(v.OtherReferences) >= maxReferences-1 {
			return false
		}
		v.OtherReferences = append(v.OtherReferences, v.ProviderReference)
	}
	v.ProviderReference, v.Parked = reference, false
	return true
}

// turn makes the next reference the one to ask about. Once money was found, that
// is the one that led to it, though another may have been brought meanwhile; one
// that failed or was given up is no end while others are to be asked about.
func (v *Verification) turn() {
	if len(v.OtherReferences) == 0 {
		return
	}
	next := 0
	if rank(v.Facts) >= 2 && !over(v.Facts.Outcome) {
		if next = slices.Index(v.OtherReferences, v.Facts.TransactionID); next < 0 {
			return
		}
	}
	reference := v.OtherReferences[next]
	v.OtherReferences = append(slices.Delete(v.OtherReferences, next, next+1), v.ProviderReference)
	v.ProviderReference = reference
}

// Announced notes the reference that a repeated announcement of the attempt
// names. It reports whether it is new; then the provider is asked soon.
func (v *Verification) Announced(reference string, now time.Time) bool {
	if !v.refer(reference) {
		return false
	}
	v.Prompt(now)
	return true
}

// Unaskable parks an attempt that could not be asked for by a reference, unless
// another one was brought while that turned out: then it is due still.
func (v *Verification) Unaskable(reference, problem string, now time.Time) {
	if v.ProviderReference == reference {
		v.Park(problem, now)
	}
}

// Park stops asking until somebody brings what is missing: without it, asking
// again is pointless. The attempt stays open and says why.
func (v *Verification) Park(problem string, now time.Time) {
	v.LastAsked, v.Prompted, v.Problem, v.NextAsk, v.Parked = now, false, problem, time.Time{}, true
	v.unanswered(now)
}
