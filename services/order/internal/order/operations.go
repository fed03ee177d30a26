package order

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/money"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// maxOperations bounds an order's refunds, captures and cancellations.
const maxOperations = 100

// Operation is a refund, capture or cancellation that the order asked
// verification for, and what verification has answered.
type Operation struct {
	ID        string                 `json:"id"`
	Kind      orderv1.OperationKind  `json:"kind"`
	Attempt   string                 `json:"attempt"`
	Amount    money.Amount           `json:"amount"`
	State     orderv1.OperationState `json:"state"`
	Cause     orderv1.OperationCause `json:"cause"`
	Detail    string                 `json:"detail,omitempty"`
	Requested time.Time              `json:"requested"`
	Ended     time.Time              `json:"ended,omitzero"`
	// Answered: verification has it.
	Answered bool `json:"answered,omitempty"`
}

// open: the operation may still move money.
func (op *Operation) open() bool {
	switch op.State {
	case orderv1.OperationState_OPERATION_STATE_REQUESTED, orderv1.OperationState_OPERATION_STATE_SENT,
		orderv1.OperationState_OPERATION_STATE_UNKNOWN:
		return true
	case orderv1.OperationState_OPERATION_STATE_UNSPECIFIED, orderv1.OperationState_OPERATION_STATE_CONFIRMED,
		orderv1.OperationState_OPERATION_STATE_DECLINED, orderv1.OperationState_OPERATION_STATE_BY_HAND,
		orderv1.OperationState_OPERATION_STATE_DONE_BY_HAND:
	}
	return false
}

// unwanted: it was asked for because the order can't use the money.
func (op *Operation) unwanted() bool {
	return op.Cause != orderv1.OperationCause_OPERATION_CAUSE_MERCHANT && op.Cause != orderv1.OperationCause_OPERATION_CAUSE_POLICY
}

// OperationID is the id of the operation with this cause: an idempotency key, or
// why the order asks for it by itself.
func (o *Order) OperationID(cause string) string { return id.Derived("opn", o.ID, cause) }

func (o *Order) operation(opID string) *Operation {
	for i := range o.Operations {
		if o.Operations[i].ID == opID {
			return &o.Operations[i]
		}
	}
	return nil
}

// request asks verification for an operation, once per id.
func (o *Order) request(op Operation, now time.Time) []Announcement {
	if o.operation(op.ID) != nil || len(o.Operations) >= maxOperations {
		return nil
	}
	op.Requested = now
	if op.State == orderv1.OperationState_OPERATION_STATE_UNSPECIFIED {
		op.State = orderv1.OperationState_OPERATION_STATE_REQUESTED
	}
	o.Operations = append(o.Operations, op)
	o.AskedOperations, o.AskedOperationsTimes = now, 1
	return []Announcement{{Type: event.RefundRequested}}
}

// left is what of an attempt's captured money can still be given back.
func (o *Order) left(attempt string) money.Amount {
	a := o.Attempts[attempt]
	left := money.Amount{Minor: a.Captured.Minor - a.Refunded.Minor, Currency: a.Captured.Currency}
	for i := range o.Operations {
		op := &o.Operations[i]
		if op.Attempt == attempt && op.Kind == orderv1.OperationKind_OPERATION_KIND_REFUND && op.open() {
			left.Minor -= op.Amount.Minor
		}
	}
	left.Minor = max(0, left.Minor)
	return left
}

// giveBack asks for the refund, or the cancellation, of an attempt's money that
// the order can't use. Unless the merchant's policy is to give it back at once,
// it is only put on the list of what is to be done by hand.
func (o *Order) giveBack(attempt string, cause orderv1.OperationCause, atOnce bool, now time.Time) []Announcement {
	a := o.Attempts[attempt]
	op := Operation{ID: o.OperationID(cause.String() + "/" + attempt), Attempt: attempt, Cause: cause}
	switch op.Amount = o.left(attempt); {
	case op.Amount.Minor > 0:
		op.Kind = orderv1.OperationKind_OPERATION_KIND_REFUND
	case a.Captured.Minor == 0 && a.Authorized.Minor > 0:
		op.Kind, op.Amount = orderv1.OperationKind_OPERATION_KIND_CANCEL, a.Authorized
	default:
		return nil // nothing of it is there
	}
	if !atOnce {
		op.State = orderv1.OperationState_OPERATION_STATE_BY_HAND
	}
	if cause == orderv1.OperationCause_OPERATION_CAUSE_HOLD && o.operation(op.ID) != nil { // see refuse
		op.ID = o.OperationID(fmt.Sprintf("%s/%s/%d", cause, attempt, len(o.Operations)))
	}
	return o.request(op, now)
}

// Refund asks for a refund; nothing happens if it was asked for before.
// A fault names the field.
func (o *Order) Refund(r RefundRequest, now time.Time) ([]Announcement, error) {
	op := Operation{
		ID: o.OperationID("refund/" + r.Key), Kind: orderv1.OperationKind_OPERATION_KIND_REFUND, Attempt: r.Attempt, Amount: r.Amount,
		Cause: orderv1.OperationCause_OPERATION_CAUSE_MERCHANT, Detail: r.Reason,
	}
	if op.Attempt == "" {
		op.Attempt = o.PaidBy
	}
	if old := o.operation(op.ID); old != nil {
		// Without an amount it was all that was left then.
		if old.Attempt != op.Attempt || r.Amount.Currency != "" && old.Amount != r.Amount {
			return nil, fmt.Errorf("idempotency_key was used for a different request: %w", ErrState)
		}
		return nil, nil
	}
	a, known := o.Attempts[op.Attempt]
	switch left := o.left(op.Attempt); {
	case op.Attempt == "" && o.Prepaid:
		return nil, fmt.Errorf("refund an order that was prepaid elsewhere: %w", ErrState)
	case op.Attempt == "":
		return nil, fmt.Errorf("refund an order that is not paid: %w", ErrState)
	case !known:
		return nil, &FieldError{"attempt_id", "is no attempt that the provider has said anything about"}
	case a.Captured.Minor == 0:
		return nil, fmt.Errorf("refund an attempt of which nothing was captured: %w", ErrState)
	case r.Amount.Currency == "":
		op.Amount = left
		if left.Minor == 0 {
			return nil, fmt.Errorf("refund what is already given back, or on its way: %w", ErrState)
		}
	case r.Amount.Currency != left.Currency:
		return nil, &FieldError{"amount.currency", "must be " + left.Currency + ", in which it was paid"}
	case r.Amount.Minor <= 0:
		return nil, &FieldError{"amount.minor", "must be more than 0"}
	case r.Amount.Minor > left.Minor:
		return nil, &FieldError{"amount.minor", fmt.Sprintf("must be at most %s: that is left of %s captured", left, a.Captured)}
	}
	if len(o.Operations) >= maxOperations {
		return nil, fmt.Errorf("more than %d operations: %w", maxOperations, ErrState)
	}
	return o.request(op, now), nil
}

// RefundRequest is a merchant's wish to give money back.
type RefundRequest struct {
	// Key is the idempotency key.
	Key string
	// Amount without a currency: all that is left.
	Amount money.Amount
	// Attempt is empty for the one that paid the order.
	Attempt string
	Reason  string
}

// FieldError names the field of a request that can't be met.
type FieldError struct{ Field, Problem string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Capture asks to take the money that is reserved for the order.
func (o *Order) Capture(cause orderv1.OperationCause, now time.Time) ([]Announcement, error) {
	opID := o.OperationID("capture/" + o.PaidBy)
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED {
		if o.PaidBy != "" && o.operation(opID) != nil {
			return nil, nil
		}
		return nil, fmt.Errorf("capture the money of an order that is %s: %w", Word(o.Payment), ErrState)
	}
	if old := o.operation(opID); old != nil && !old.open() {
		// Declined or done by hand before: asked for once more.
		opID = o.OperationID(fmt.Sprintf("capture/%s/%d", o.PaidBy, len(o.Operations)))
	}
	return o.request(Operation{
		ID: opID, Kind: orderv1.OperationKind_OPERATION_KIND_CAPTURE, Attempt: o.PaidBy,
		Amount: o.Attempts[o.PaidBy].Authorized, Cause: cause,
	}, now), nil
}

// captureBy asks for the capture if it is the account's policy to do so at this
// point: "authorized" or "delivered".
func (o *Order) captureBy(point string, now time.Time) []Announcement {
	if o.Payment != orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED || o.Attempts[o.PaidBy].CaptureOn != point {
		return nil
	}
	out, err := o.Capture(orderv1.OperationCause_OPERATION_CAUSE_POLICY, now)
	if err != nil {
		return nil // the order's state was looked at
	}
	return out
}

// needsHand: the merchant acts next.
func needsHand(s orderv1.OperationState) bool {
	return s == orderv1.OperationState_OPERATION_STATE_BY_HAND || s == orderv1.OperationState_OPERATION_STATE_DECLINED
}

// answer merges what verification says of an attempt's operations. It reports
// whether the merchant must do something by hand that was not known.
func (o *Order) answer(f *eventv1.PaymentVerified) (byHand bool) {
	for _, said := range f.GetOperations() {
		if op := o.operation(said.GetId()); op != nil {
			byHand = byHand || needsHand(said.GetState()) && (op.State != said.GetState() || !op.Answered)
			op.State, op.Answered = said.GetState(), true
			if forgotten := o.Erased() && !op.Requested.After(o.Erasure.At); said.GetDetail() != "" && !forgotten {
				op.Detail = said.GetDetail()
			}
			if said.GetEndTime() != nil {
				op.Ended = said.GetEndTime().AsTime()
			}
		}
	}
	return byHand
}

// unanswered are the operations that verification may not have.
func (o *Order) unanswered() []Operation {
	return slices.DeleteFunc(slices.Clone(o.Operations), func(op Operation) bool { return op.Answered })
}

// Requested is the payload of refund.requested.
func (o *Order) Requested() *eventv1.RefundRequested {
	return &eventv1.RefundRequested{OrderId: o.ID, MerchantId: o.Merchant, Operations: views(o.unanswered())}
}

func views(ops []Operation) []*orderv1.Operation {
	var out []*orderv1.Operation
	for _, op := range ops {
		v := &orderv1.Operation{
			Id: op.ID, Kind: op.Kind, AttemptId: op.Attempt, Amount: toProto(op.Amount), State: op.State, Cause: op.Cause,
			Detail: op.Detail, RequestTime: timestamppb.New(op.Requested), EndTime: stamp(op.Ended),
		}
		out = append(out, v)
	}
	return out
}
