package resurs

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"quittance/pkg/money"
	"quittance/pkg/provider"
)

// operation is the body of a capture, cancellation or refund: without lines it is about all that is left.
type operation struct {
	Creator       string `json:"creator,omitempty"`
	OrderLines    []line `json:"orderLines,omitempty"`
	TransactionID string `json:"transactionId,omitempty"`
}

// Capture takes reserved money.
//
// The vendor has no idempotency key that is public: who repeats one of these three operations after no answer should look at
// the payment's state first. Each asks for the payment beforehand and is declined if the vendor says that it is not possible.
func (p *Provider) Capture(ctx context.Context, acc provider.Account, op provider.Operation) error {
	return p.operate(ctx, acc, op, "capture", "CAPTURE", func(s sums) int64 { return s.total.Minor - s.captured.Minor - s.canceled.Minor })
}

// Cancel gives reserved money free; see Capture.
func (p *Provider) Cancel(ctx context.Context, acc provider.Account, op provider.Operation) error {
	return p.operate(ctx, acc, op, "cancel", "CANCEL", func(s sums) int64 { return s.total.Minor - s.captured.Minor - s.canceled.Minor })
}

// Refund gives captured money back; see Capture.
func (p *Provider) Refund(ctx context.Context, acc provider.Account, op provider.Operation) error {
	return p.operate(ctx, acc, op, "refund", "REFUND", func(s sums) int64 { return s.captured.Minor - s.refunded.Minor })
}

func (p *Provider) operate(ctx context.Context, acc provider.Account, op provider.Operation, verb, action string, left func(sums) int64) error {
	s, err := settingsOf(acc)
	if err != nil {
		return err
	}
	got, err := p.payment(ctx, s, acc.ID, op.ProviderReference)
	if err != nil {
		return fmt.Errorf("%s payment: %w", verb, err)
	}
	sums, err := s.sums(got)
	if err != nil {
		return fmt.Errorf("%s payment: %w", verb, err)
	}
	rest := money.Amount{Minor: left(sums), Currency: s.currency}
	body := operation{Creator: s.creator, TransactionID: op.ID}
	needed := []string{action, "PARTIAL_" + action}
	switch amount := op.Amount; {
	case amount.Minor < 0 || amount.Minor > 0 && amount.Currency != s.currency:
		return fmt.Errorf("%s payment: %w: %s is no amount of the store's", verb, provider.ErrDeclined, amount)
	case amount.Minor > rest.Minor || rest.Minor <= 0:
		return fmt.Errorf("%s payment: %w: of %s only %s are left", verb, provider.ErrDeclined, amount, rest)
	case amount.Minor > 0 && amount.Minor < rest.Minor:
		body.OrderLines = []line{s.line(got.Order.OrderReference, amount)}
		needed = needed[1:]
	}
	if !slices.ContainsFunc(needed, func(a string) bool { return slices.Contains(got.Order.PossibleActions, a) }) {
		return fmt.Errorf("%s payment: %w: the payment is %s and does not allow it now", verb, provider.ErrDeclined, clip(got.Status))
	}
	if err := p.api(ctx, s, acc.ID, http.MethodPost, PaymentsPath+"/"+got.ID+"/"+verb, body, nil); err != nil {
		return fmt.Errorf("%s payment: %w", verb, refusal(err))
	}
	return nil
}
