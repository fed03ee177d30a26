package attempt

import (
	"time"

	"quittance/pkg/backoff"
)

// createFor is how long a payment is tried to be created: its customer has left
// long before. The figure is ours.
const createFor = 30 * time.Minute

// createAgain is how long after a try without an answer the next one is made:
// 1 s, 3 s, 10 s, 30 s, 1 m, then every 5 m. Creating another payment is
// harmless: of the lost one, if there is one, no browser knows the way.
var createAgain = backoff.Schedule{
	time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute,
}

// Creation is how far a payment came that must exist at its provider before the
// customer can go there.
type Creation struct {
	// Next is when the provider is asked to create it, zero once it is decided.
	Next  time.Time `json:"next,omitzero"`
	Tries int       `json:"tries,omitempty"`
	// ProviderReference and Way are the provider's answer.
	ProviderReference string `json:"provider_reference,omitempty"`
	Way               Way    `json:"way,omitzero"`
	// Refusal is why there is no payment, for people; Problem what went wrong
	// with the latest try, for operators.
	Refusal string `json:"refusal,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// Way is where the customer's browser is sent.
type Way struct {
	Method string            `json:"method"`
	URL    string            `json:"url"`
	Fields map[string]string `json:"fields,omitempty"`
}

// StartCreating opens an attempt whose payment must be created first. Nobody is
// told of it before it exists.
func (a *Attempt) StartCreating(now time.Time) {
	a.Created, a.Creation = now, &Creation{Next: now}
}

// Creating says whether the payment's creation is not decided yet.
func (a *Attempt) Creating() bool { return a.Creation != nil && !a.Creation.Next.IsZero() }

// Refused says whether there will be no payment.
func (a *Attempt) Refused() bool { return a.Creation != nil && a.Creation.Refusal != "" }

// CreateDue says whether the payment is to be created now.
func (a *Attempt) CreateDue(now time.Time) bool { return a.Creating() && !a.Creation.Next.After(now) }

// Exists notes that the payment exists. It reports whether that is news; a
// decided creation stays as it is.
func (a *Attempt) Exists(reference string, way Way, now time.Time) bool {
	if !a.Creating() {
		return false
	}
	a.Creation.Tries++
	a.Creation.Next, a.Creation.Problem = time.Time{}, ""
	a.Creation.ProviderReference, a.Creation.Way = reference, way
	a.await(now)
	return true
}

// Decline notes that the provider refuses to create the payment, for a reason
// for people. It reports whether that is news, to be told.
func (a *Attempt) Decline(reason string, now time.Time) bool {
	if !a.Creating() {
		return false
	}
	a.Creation.Tries++
	a.refuse(reason, now)
	return true
}

func (a *Attempt) refuse(reason string, now time.Time) {
	a.Creation.Next, a.Creation.Refusal = time.Time{}, reason
	a.await(now)
}

// Unanswered notes a try to create the payment that got no answer. The attempt
// fails when its time is over; then that is to be told, which is reported.
func (a *Attempt) Unanswered(problem string, now time.Time) bool {
	if !a.Creating() {
		return false
	}
	a.Creation.Tries++
	a.Creation.Problem = problem
	a.Creation.Next = now.Add(createAgain.After(a.Creation.Tries))
	if a.Creation.Next.After(a.Created.Add(createFor)) {
		a.refuse("the payment provider could not be reached", now)
	}
	return a.Refused()
}
