package verification

import (
	"time"

	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// Attention is why somebody must look at an attempt.
type Attention = verificationv1.Attention

// troubling is how long a provider may take to answer, or to show an operation,
// before somebody is told.
const troubling = time.Hour

// Attention says why somebody must look, 0 if nobody must.
func (v *Verification) Attention() Attention {
	for i := range v.Operations {
		if v.Operations[i].needsHand() {
			return verificationv1.Attention_ATTENTION_BY_HAND
		}
	}
	for i := range v.Operations {
		if op := &v.Operations[i]; op.underWay() && v.LastAsked.Sub(op.Sent) >= troubling {
			return verificationv1.Attention_ATTENTION_OPERATION_UNKNOWN
		}
	}
	why := verificationv1.Attention_ATTENTION_UNSPECIFIED
	switch {
	case v.OtherTransaction != "":
		why = verificationv1.Attention_ATTENTION_OTHER_TRANSACTION
	case v.LifeOver && v.owesRefund():
		why = verificationv1.Attention_ATTENTION_LIFE_OVER
	case rank(v.Facts) >= 3:
	case v.Parked:
		why = verificationv1.Attention_ATTENTION_UNVERIFIABLE
	case v.LifeOver:
		why = verificationv1.Attention_ATTENTION_LIFE_OVER
	case v.Failures > 0 && v.LastAsked.Sub(v.FailingSince) >= troubling:
		why = verificationv1.Attention_ATTENTION_NO_ANSWER
	}
	if why == v.Dismissed {
		return 0
	}
	return why
}

// Dismiss notes that the merchant has looked at what asks for attention. It
// reports whether that is news. What is to be done by hand can't be dismissed.
func (v *Verification) Dismiss() bool {
	switch why := v.Attention(); why {
	case verificationv1.Attention_ATTENTION_UNSPECIFIED, verificationv1.Attention_ATTENTION_BY_HAND, verificationv1.Attention_ATTENTION_OPERATION_UNKNOWN:
		return false
	default:
		v.Dismissed = why
		return true
	}
}
