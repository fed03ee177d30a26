package verifications

import (
	"context"
	"errors"
	"fmt"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/provider"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/verification/internal/verification"
)

// errNoRole: the provider has no function for an operation.
var errNoRole = errors.New("the provider can't do it through its API: do it there by hand and mark it as done")

// send sends an operation to the provider. That it goes out is on record before
// it does, so that after a crash the provider is asked first: nothing is given
// back twice.
func (vs *Verifications) send(ctx context.Context, doc *due.Leased[verification.Verification], t Terms, opID string) error {
	execute := t.call(doc.Body.Operation(opID).Kind)
	if execute == nil {
		return vs.wasSent(ctx, doc, t, opID, verification.SentOutcome{ByHand: true, Problem: errNoRole.Error()})
	}
	leave, later, err := vs.gates.enter(ctx, doc.Body.Account, t.rate, call{doc.Body.FailingSince, true})
	if err != nil || later != nil {
		return vs.putOff(ctx, doc, later, err)
	}
	goes := false
	if err := doc.Keep(ctx, func(v *verification.Verification, _ *docstore.Change) error {
		goes = v.Sending(opID, vs.Now())
		return nil
	}); err != nil {
		leave(nil)
		return err
	}
	if !goes { // ended without a call: the facts rule it out
		leave(nil)
		return doc.Finish(ctx, func(v *verification.Verification, ch *docstore.Change) error {
			v.Ended(vs.Now())
			return vs.Tell(ch, v, t)
		})
	}
	err = vs.execute(ctx, t, execute, &doc.Body, opID)
	leave(err)
	out := verification.SentOutcome{Unasked: !t.Askable()}
	if err != nil {
		out.Problem, out.Declined = err.Error(), errors.Is(err, provider.ErrDeclined)
		vs.base.Log.WarnContext(ctx, "operation was not taken", "provider", t.account.Provider, "account", t.account.ID,
			"attempt", doc.ID, "operation", opID, "declined", out.Declined, "error", err)
	}
	return vs.wasSent(ctx, doc, t, opID, out)
}

func (vs *Verifications) wasSent(ctx context.Context, doc *due.Leased[verification.Verification], t Terms, opID string, out verification.SentOutcome) error {
	return doc.Finish(ctx, func(v *verification.Verification, ch *docstore.Change) error {
		v.WasSent(opID, out, vs.Now())
		return vs.Tell(ch, v, t)
	})
}

type operate func(context.Context, provider.Account, provider.Operation) error

// call is the provider's function for a kind of operation, nil if it has none.
func (t *Terms) call(kind verification.OperationKind) operate {
	switch kind {
	case orderv1.OperationKind_OPERATION_KIND_REFUND:
		if p, ok := t.roles.(provider.Refunder); ok {
			return p.Refund
		}
	case orderv1.OperationKind_OPERATION_KIND_CAPTURE:
		if p, ok := t.roles.(provider.Capturer); ok {
			return p.Capture
		}
	case orderv1.OperationKind_OPERATION_KIND_CANCEL:
		if p, ok := t.roles.(provider.Canceler); ok {
			return p.Cancel
		}
	case orderv1.OperationKind_OPERATION_KIND_UNSPECIFIED:
	}
	return nil
}

func (vs *Verifications) execute(ctx context.Context, t Terms, call operate, v *verification.Verification, opID string) error {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	op := v.Operation(opID)
	err := call(ctx, t.account, provider.Operation{ID: op.ID, StatusQuery: query(v), Amount: op.Amount})
	if err != nil {
		return fmt.Errorf("send to %s: %w", t.account.Provider, err)
	}
	return nil
}
