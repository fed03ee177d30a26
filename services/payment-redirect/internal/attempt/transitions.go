package attempt

import (
	"errors"
	"slices"
	"time"

	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// ErrConfirmed is returned for a second, different confirmation.
var ErrConfirmed = errors.New("something else was confirmed before")

// Return notes that the browser came back, with an event of the given id. It
// reports whether that is worth telling: not if the attempt has succeeded, the
// same return is known, or there were too many. From a payment that doesn't
// exist nobody comes back.
func (a *Attempt) Return(r Return, eventID string, now time.Time) bool {
	r.Event = ""
	same := func(old Return) bool { old.Event = ""; return old == r }
	if a.Creating() || a.Refused() || a.Paid || len(a.Returns) >= maxReturns || slices.ContainsFunc(a.Returns, same) {
		return false
	}
	r.Event = eventID
	a.Returns = append(a.Returns, r)
	a.await(now)
	return true
}

// Confirm notes the merchant's word that money has arrived. It reports whether
// that is news; ErrConfirmed if something else was confirmed before.
func (a *Attempt) Confirm(c Confirmation, now time.Time) (bool, error) {
	switch {
	case a.Confirmed == nil:
		a.Confirmed = &c
		a.await(now)
		return true, nil
	case *a.Confirmed == c:
		return false, nil
	default:
		return false, ErrConfirmed
	}
}

// Verify merges what verification says. It reports whether anything changed.
func (a *Attempt) Verify(f *eventv1.PaymentVerified) bool {
	next := Fact{Outcome: f.GetOutcome(), Revision: f.GetRevision(), Detail: f.GetDetail()}
	paid := a.Paid || succeeded(f)
	waits := a.Waits && !final(next.Outcome)
	stronger := rank(next.Outcome) > rank(a.Verified.Outcome) ||
		rank(next.Outcome) == rank(a.Verified.Outcome) && next.Revision > a.Verified.Revision
	if !stronger {
		next = a.Verified
	}
	if next == a.Verified && paid == a.Paid && waits == a.Waits {
		return false
	}
	a.Verified, a.Paid, a.Waits = next, paid, waits
	return true
}

// Resend reports whether the attempt's facts are to be sent again now, and
// notes that they are.
func (a *Attempt) Resend(now time.Time) bool {
	due := nextResend(a)
	if due.IsZero() || due.After(now) {
		return false
	}
	a.Sent = now
	a.SentTimes++
	return true
}

// Erase drops whom the attempt was about, and what led its browser: nobody is
// sent to pay any more. It reports whether there was any of it.
func (a *Attempt) Erase() bool {
	was, way := *a, Creation{}
	a.Email, a.Locale, a.BrowserLocale, a.User, a.Back = "", "", "", "", ""
	if a.Creation != nil {
		way = *a.Creation
		a.Creation.Way, a.Creation.Problem = Way{}, ""
	}
	return was.Email+was.Locale+was.BrowserLocale+was.User+was.Back+way.Way.URL+way.Problem != ""
}

// await begins to wait for verification's answer to something new.
func (a *Attempt) await(now time.Time) {
	a.Waits, a.Since, a.Sent, a.SentTimes = true, now, now, 1
}

// verified is what an outcome, apart from success, means for the attempt.
func verified(o Outcome) State {
	switch o {
	case verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_CHARGED_BACK:
		return paymentv1.AttemptState_ATTEMPT_STATE_FAILED
	case verificationv1.Outcome_OUTCOME_CANCELED:
		return paymentv1.AttemptState_ATTEMPT_STATE_CANCELED
	case verificationv1.Outcome_OUTCOME_EXPIRED:
		return paymentv1.AttemptState_ATTEMPT_STATE_EXPIRED
	case verificationv1.Outcome_OUTCOME_PAID:
		return paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED
	case verificationv1.Outcome_OUTCOME_UNSPECIFIED, verificationv1.Outcome_OUTCOME_PENDING,
		verificationv1.Outcome_OUTCOME_ON_HOLD, verificationv1.Outcome_OUTCOME_AUTHORIZED:
	}
	return paymentv1.AttemptState_ATTEMPT_STATE_PENDING
}

// succeeded: the money was taken, whatever became of it later, or is reserved
// and that is enough to deliver.
func succeeded(f *eventv1.PaymentVerified) bool {
	switch f.GetOutcome() {
	case verificationv1.Outcome_OUTCOME_PAID:
		return true
	case verificationv1.Outcome_OUTCOME_AUTHORIZED:
		return f.GetDeliverOnAuthorized()
	case verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_CHARGED_BACK:
		return f.GetCaptured().GetMinor() > 0
	case verificationv1.Outcome_OUTCOME_UNSPECIFIED, verificationv1.Outcome_OUTCOME_PENDING,
		verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED,
		verificationv1.Outcome_OUTCOME_EXPIRED, verificationv1.Outcome_OUTCOME_ON_HOLD:
	}
	return false
}

// final: verification knows the end, and needs no more reminders.
func final(o Outcome) bool {
	switch o {
	case verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED, verificationv1.Outcome_OUTCOME_EXPIRED,
		verificationv1.Outcome_OUTCOME_PAID, verificationv1.Outcome_OUTCOME_REFUNDED, verificationv1.Outcome_OUTCOME_CHARGED_BACK:
		return true
	case verificationv1.Outcome_OUTCOME_UNSPECIFIED, verificationv1.Outcome_OUTCOME_PENDING,
		verificationv1.Outcome_OUTCOME_ON_HOLD, verificationv1.Outcome_OUTCOME_AUTHORIZED:
	}
	return false
}

// rank orders outcomes: a weaker one changes nothing, of equal ones the later
// revision counts.
func rank(o Outcome) int {
	switch {
	case o == verificationv1.Outcome_OUTCOME_UNSPECIFIED:
		return 0
	case final(o):
		return 2
	default:
		return 1
	}
}
