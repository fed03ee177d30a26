package verification

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/backoff"
	"quittance/pkg/money"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// Short names of an operation's kind and state.
type (
	// OperationKind is what is to be done.
	OperationKind = orderv1.OperationKind
	// OperationState is how far it is; its comments in the contract say who acts next.
	OperationState = orderv1.OperationState
)

const (
	refund  = orderv1.OperationKind_OPERATION_KIND_REFUND
	capture = orderv1.OperationKind_OPERATION_KIND_CAPTURE
	cancel  = orderv1.OperationKind_OPERATION_KIND_CANCEL

	requested  = orderv1.OperationState_OPERATION_STATE_REQUESTED
	sent       = orderv1.OperationState_OPERATION_STATE_SENT
	confirmed  = orderv1.OperationState_OPERATION_STATE_CONFIRMED
	unclear    = orderv1.OperationState_OPERATION_STATE_UNKNOWN
	declined   = orderv1.OperationState_OPERATION_STATE_DECLINED
	byHand     = orderv1.OperationState_OPERATION_STATE_BY_HAND
	doneByHand = orderv1.OperationState_OPERATION_STATE_DONE_BY_HAND
)

// pollOperation is how long after each question the provider is asked again
// whether its books show an operation: 1 s, 5 s, 15 s, 1 m, 5 m, 15 m, then every
// hour, for ever.
var pollOperation = backoff.Schedule{
	time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
}

// Operation is a refund, capture or cancellation of the attempt's money. One at
// a time is on its way, so that the provider's totals tell what became of it.
type Operation struct {
	ID        string                 `json:"id"`
	Kind      OperationKind          `json:"kind"`
	Amount    money.Amount           `json:"amount"`
	State     OperationState         `json:"state"`
	Cause     orderv1.OperationCause `json:"cause"`
	Detail    string                 `json:"detail,omitempty"`
	Requested time.Time              `json:"requested"`
	Ended     time.Time              `json:"ended,omitzero"`

	// Before is the total (captured or refunded) before it was sent.
	Before money.Amount `json:"before,omitzero"`
	// Sent is when it was last sent, Tries how often.
	Sent  time.Time `json:"sent,omitzero"`
	Tries int       `json:"tries,omitempty"`
	// Taken: the provider took the order to do it. Never sent again then.
	Taken bool `json:"taken,omitempty"`
	// Next is when something is to be done about it; Polls counts the answers
	// that didn't show it.
	Next  time.Time `json:"next,omitzero"`
	Polls int       `json:"polls,omitempty"`
}

// underWay: it was sent, and the provider's books don't show it yet.
func (op *Operation) underWay() bool { return op.State == sent || op.State == unclear }

// needsHand: the merchant acts next.
func (op *Operation) needsHand() bool { return op.State == byHand || op.State == declined }

// Request notes operations that the order asks for. It reports whether any is
// news.
func (v *Verification) Request(list []*orderv1.Operation, now time.Time) bool {
	news := false
	for _, said := range list {
		if said.GetAttemptId() != v.Attempt || v.Operation(said.GetId()) != nil {
			continue
		}
		op := Operation{
			ID: said.GetId(), Kind: said.GetKind(), Cause: said.GetCause(), Detail: said.GetDetail(), Requested: now, State: requested, Next: now,
			Amount: money.Amount{Minor: said.GetAmount().GetMinor(), Currency: said.GetAmount().GetCurrency()},
		}
		op.Before = v.total(op.Kind)
		if said.GetState() == byHand {
			op.State, op.Next = byHand, time.Time{}
		}
		v.Operations = append(v.Operations, op)
		news = true
	}
	return news && v.changed(now)
}

// Operation finds an operation by id, nil if there is none.
func (v *Verification) Operation(id string) *Operation {
	for i := range v.Operations {
		if v.Operations[i].ID == id {
			return &v.Operations[i]
		}
	}
	return nil
}

// OperationDue is the operation to do something about now, nil if there is
// none: to ask about it if it is under way, else to send it.
func (v *Verification) OperationDue(now time.Time) *Operation {
	if op := v.current(); op != nil && !op.Next.After(now) {
		return op
	}
	return nil
}

// current is the one operation that is or will next be on its way.
func (v *Verification) current() *Operation {
	var first *Operation
	for i := range v.Operations {
		op := &v.Operations[i]
		if op.underWay() {
			return op
		}
		if first == nil && op.State == requested {
			first = op
		}
	}
	return first
}

// Sending notes that an operation goes out now, before it does: whoever finds it
// so after a crash asks before sending it again. An operation that the facts
// rule out is declined instead, and false is returned.
func (v *Verification) Sending(id string, now time.Time) bool {
	op := v.Operation(id)
	if op == nil || op.State != requested {
		return false
	}
	op.Before = v.total(op.Kind)
	switch problem, done := v.rulesOut(op); {
	case done:
		op.end(confirmed, "", now)
		return false
	case problem != "":
		op.end(declined, problem, now)
		return false
	}
	op.State, op.Sent, op.Polls, op.Next = sent, now, 0, now.Add(pollOperation.After(1))
	op.Tries++
	return true
}

// Ended numbers the change that an operation has ended without being sent.
func (v *Verification) Ended(now time.Time) { v.changed(now) }

// rulesOut says why an operation can't be, or that it has happened already.
func (v *Verification) rulesOut(op *Operation) (problem string, done bool) {
	f := v.Facts
	switch op.Kind {
	case refund:
		left := f.Captured.Minor - f.Refunded.Minor
		if left == 0 && f.Captured.Minor > 0 {
			return "", true
		}
		if op.Amount.Currency != f.Captured.Currency || op.Amount.Minor > left {
			return "only " + money.Amount{Minor: max(0, left), Currency: f.Captured.Currency}.String() + " is left to give back", false
		}
	case capture:
		if f.Captured.Minor > 0 {
			return "", true
		}
		if f.Outcome != verificationv1.Outcome_OUTCOME_AUTHORIZED && f.Authorized.Minor == 0 {
			return "nothing is reserved any more", false
		}
	case cancel:
		if f.Captured.Minor > 0 {
			return "the money was captured: refund it", false
		}
		return "", over(f.Outcome)
	case orderv1.OperationKind_OPERATION_KIND_UNSPECIFIED:
		return "it is not known what to do", false
	}
	return "", false
}

// SentOutcome is how the call that sent an operation ended.
type SentOutcome struct {
	// Declined: the provider refuses for good. ByHand: it has no such function.
	Declined, ByHand bool
	// Problem is the error, empty if the provider took the order.
	Problem string
	// Unasked: nobody can be asked whether it is done: the provider's word counts.
	Unasked bool
}

// WasSent notes how sending ended. The facts of a provider that can't be asked
// change with it.
func (v *Verification) WasSent(id string, out SentOutcome, now time.Time) {
	op := v.Operation(id)
	if op == nil || op.State != sent && op.State != requested {
		return
	}
	switch {
	case out.ByHand:
		op.State, op.Detail, op.Next = byHand, out.Problem, time.Time{}
	case out.Declined:
		op.end(declined, out.Problem, now)
	case out.Problem != "":
		op.State, op.Detail, op.Next = unclear, out.Problem, now.Add(pollOperation.After(1))
	case out.Unasked:
		op.end(confirmed, "", now)
		v.byWord(op)
	default:
		op.Taken, op.Detail = true, ""
	}
	v.changed(now)
}

// byWord changes the facts as an operation says, where nobody can be asked.
func (v *Verification) byWord(op *Operation) {
	if op.Kind != refund || op.Amount.Currency != v.Facts.Captured.Currency {
		return
	}
	v.Facts.Refunded = larger(v.Facts.Refunded, money.Amount{
		Minor: min(v.Facts.Captured.Minor, v.Facts.Refunded.Minor+op.Amount.Minor), Currency: op.Amount.Currency,
	})
	v.Facts.Outcome, v.Facts.HoldReason = verificationv1.Outcome_OUTCOME_REFUNDED, orderv1.HoldReason_HOLD_REASON_UNSPECIFIED
}

// judgeOperations looks for the operations in a fresh answer of the provider,
// given with the facts merged from it. It reports whether any has changed.
func (v *Verification) judgeOperations(answer Outcome, resendAfter time.Duration, now time.Time) bool {
	news := false
	for i := range v.Operations {
		op := &v.Operations[i]
		if !op.underWay() && !op.needsHand() {
			continue
		}
		if v.shows(op, answer) {
			op.end(confirmed, op.Detail, now)
			news = true
			continue
		}
		if !op.underWay() || op.Next.After(now) {
			continue
		}
		op.Polls++
		op.Next = now.Add(pollOperation.After(op.Polls + 1))
		switch {
		case op.Taken:
		case !now.Before(op.Sent.Add(resendAfter)):
			// Asked long enough after, the provider doesn't know of it: once more.
			op.State, op.Next, news = requested, now, true
		case op.State == sent: // its sender did not live to tell
			op.State, news = unclear, true
		}
	}
	return news
}

// shows says whether the provider's books show an operation.
func (v *Verification) shows(op *Operation, answer Outcome) bool {
	if op.Kind == cancel {
		return over(answer)
	}
	total := v.total(op.Kind)
	return op.Amount.Minor > 0 && total.Currency == op.Amount.Currency && total.Minor >= op.Before.Minor+op.Amount.Minor
}

// unanswered puts the question about an operation off: the provider did not
// answer, or told of something else.
func (v *Verification) unanswered(now time.Time) {
	if op := v.current(); op != nil && op.underWay() && !op.Next.After(now) {
		op.Polls++
		op.Next = now.Add(pollOperation.After(op.Polls + 1))
	}
}

// Done notes that the merchant has done an operation by hand. It reports
// whether that is news; ok is false if it is no case for a hand.
func (v *Verification) Done(id, note string, unasked bool, now time.Time) (news, ok bool) {
	op := v.Operation(id)
	if op == nil {
		return false, false
	}
	if op.State == doneByHand {
		return false, true
	}
	if !op.needsHand() && op.State != unclear {
		return false, false
	}
	op.end(doneByHand, note, now)
	if unasked {
		v.byWord(op)
	}
	return v.changed(now), true
}

func (op *Operation) end(s OperationState, detail string, now time.Time) {
	op.State, op.Detail, op.Ended, op.Next = s, detail, now, time.Time{}
}

func (v *Verification) total(k OperationKind) money.Amount {
	switch k {
	case refund:
		return money.Amount{Minor: v.Facts.Refunded.Minor, Currency: v.Facts.Captured.Currency}
	case capture:
		return money.Amount{Minor: v.Facts.Captured.Minor, Currency: v.Amount.Currency}
	case cancel, orderv1.OperationKind_OPERATION_KIND_UNSPECIFIED:
	}
	return money.Amount{}
}

// changed numbers a change that the order is to be told.
func (v *Verification) changed(now time.Time) bool {
	v.Revision++
	v.Told, v.ToldTimes = now, 1
	return true
}

// OperationViews are the operations as the contracts show them.
func (v *Verification) OperationViews() []*orderv1.Operation {
	var out []*orderv1.Operation
	for i := range v.Operations {
		op := &v.Operations[i]
		m := &orderv1.Operation{
			Id: op.ID, Kind: op.Kind, AttemptId: v.Attempt, Amount: toProto(op.Amount), State: op.State, Cause: op.Cause, Detail: op.Detail,
			RequestTime: timestamppb.New(op.Requested),
		}
		if !op.Ended.IsZero() {
			m.EndTime = timestamppb.New(op.Ended)
		}
		out = append(out, m)
	}
	return out
}

// over: an outcome that leaves no money.
func over(o Outcome) bool {
	return slices.Contains([]Outcome{
		verificationv1.Outcome_OUTCOME_FAILED, verificationv1.Outcome_OUTCOME_CANCELED, verificationv1.Outcome_OUTCOME_EXPIRED,
	}, o)
}
