package resurs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"quittance/pkg/money"
	"quittance/pkg/provider"
	"quittance/pkg/provider/call"
)

// payment is the part of a payment that counts.
type payment struct {
	ID      string `json:"id"`
	StoreID string `json:"storeId"`
	Status  string `json:"status"`
	Order   struct {
		OrderReference   string      `json:"orderReference"`
		TotalOrderAmount json.Number `json:"totalOrderAmount"`
		CanceledAmount   json.Number `json:"canceledAmount"`
		AuthorizedAmount json.Number `json:"authorizedAmount"`
		CapturedAmount   json.Number `json:"capturedAmount"`
		RefundedAmount   json.Number `json:"refundedAmount"`
		PossibleActions  actions     `json:"possibleActions"`
	} `json:"order"`
	Tasks struct {
		CustomerURL string `json:"customerUrl"`
	} `json:"taskRedirectionUrls"`
	// Rejected is where the reason's category is expected; it is for people only.
	Rejected struct {
		Category string `json:"category"`
	} `json:"rejectedReason"`
}

// actions are the names of what can be done to a payment; whether the API lists them bare or as objects is not public.
type actions []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *actions) UnmarshalJSON(raw []byte) error {
	var items []json.RawMessage
	_ = json.Unmarshal(raw, &items) // of what is no list, nothing is known to be possible
	for _, item := range items {
		var object struct {
			Action string `json:"action"`
		}
		if json.Unmarshal(item, &object.Action) == nil || json.Unmarshal(item, &object) == nil {
			*a = append(*a, object.Action)
		}
	}
	return nil
}

// reason says why a payment was rejected.
func (p payment) reason() string {
	if p.Rejected.Category == "" {
		return "rejected"
	}
	return "rejected: " + strings.ToLower(strings.ReplaceAll(clip(p.Rejected.Category), "_", " "))
}

// sums are a payment's amounts. The API names no currency: they are the store's. What was taken, given back or given free
// is nothing where the answer doesn't name it.
type sums struct{ total, canceled, authorized, captured, refunded money.Amount }

func (s settings) sums(p payment) (sums, error) {
	var out sums
	var errs []error
	for _, x := range []struct {
		to   *money.Amount
		from json.Number
	}{
		{&out.total, p.Order.TotalOrderAmount}, {&out.authorized, p.Order.AuthorizedAmount}, {&out.canceled, orZero(p.Order.CanceledAmount)},
		{&out.captured, orZero(p.Order.CapturedAmount)}, {&out.refunded, orZero(p.Order.RefundedAmount)},
	} {
		amount, err := call.Amount(s.currency, x.from)
		*x.to = amount
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

func orZero(n json.Number) json.Number {
	if n == "" {
		return "0"
	}
	return n
}

// Status asks for a payment by the vendor's id, and for its tasks if it was rejected.
func (p *Provider) Status(ctx context.Context, acc provider.Account, q provider.StatusQuery) (provider.Report, error) {
	s, err := settingsOf(acc)
	if err != nil {
		return provider.Report{}, err
	}
	got, err := p.payment(ctx, s, acc.ID, q.ProviderReference)
	if err != nil {
		return provider.Report{}, fmt.Errorf("payment status: %w", err)
	}
	report, err := s.report(got)
	if err == nil && got.Status == wordRejected && report.State == provider.Failed {
		report.State, err = p.ended(ctx, s, acc.ID, got.ID)
	}
	if err != nil {
		return provider.Report{}, fmt.Errorf("payment status: %w", err)
	}
	return report, nil
}

func (p *Provider) payment(ctx context.Context, s settings, account, id string) (payment, error) {
	if id == "" {
		return payment{}, fmt.Errorf("%w: the payment's id, which the answer to its creation gives", provider.ErrReferenceMissing)
	}
	if !uuid.MatchString(id) {
		return payment{}, errors.New("the provider reference is no UUID")
	}
	var got payment
	if err := p.api(ctx, s, account, http.MethodGet, PaymentsPath+"/"+id, nil, &got); err != nil {
		return payment{}, err
	}
	switch {
	case !strings.EqualFold(got.ID, id):
		return payment{}, errors.New("answer is about another payment")
	case got.StoreID != "" && !strings.EqualFold(got.StoreID, s.storeID):
		return payment{}, errors.New("answer is about another store's payment")
	}
	return got, nil
}

// ended says how a rejected payment ended: refused if the customer's tasks were done, else given up.
func (p *Provider) ended(ctx context.Context, s settings, account, id string) (provider.State, error) {
	var tasks struct {
		Completed *bool `json:"completed"`
	}
	if err := p.api(ctx, s, account, http.MethodGet, PaymentsPath+"/"+id+"/tasks/status", nil, &tasks); err != nil {
		return "", fmt.Errorf("tasks: %w", err)
	}
	switch {
	case tasks.Completed == nil:
		return "", errors.New("tasks: the answer does not say whether they are completed")
	case *tasks.Completed:
		return provider.Failed, nil
	}
	return provider.Canceled, nil
}

// report puts a payment into our words. One that claims money without readable amounts or our reference is no evidence, and so an error.
func (s settings) report(p payment) (provider.Report, error) {
	state, known := s.words[p.Status]
	if !known {
		state = provider.Pending
	}
	report := provider.Report{
		State: state, Reference: p.Order.OrderReference, TransactionID: strings.ToLower(p.ID), Raw: clip(p.Status), Unknown: !known,
	}
	if p.Status == wordRejected {
		report.Detail = p.reason()
	}
	switch state {
	case provider.Authorized, provider.Paid, provider.Refunded, provider.ChargedBack:
	case provider.Pending, provider.OnHold, provider.Failed, provider.Canceled, provider.Expired:
		return report, nil
	}
	if report.Reference == "" {
		return provider.Report{}, fmt.Errorf("%s, but the answer names no orderReference", report.Raw)
	}
	sums, err := s.sums(p)
	if err != nil {
		return provider.Report{}, fmt.Errorf("%s, but %w", report.Raw, err)
	}
	report.Captured, report.Refunded = sums.captured, sums.refunded
	switch {
	case state != provider.Authorized: // a word of the account's
		report.Amount = sums.captured
	case sums.captured.Minor > 0 && sums.refunded.Minor >= sums.captured.Minor:
		report.State, report.Amount = provider.Refunded, sums.refunded
	case sums.captured.Minor > 0 && sums.captured.Minor >= sums.total.Minor:
		report.State, report.Amount = provider.Paid, sums.captured
	case sums.captured.IsZero() && sums.total.Minor > 0 && sums.canceled.Minor >= sums.total.Minor:
		report.State = provider.Canceled
	case sums.captured.IsZero() && sums.canceled.IsZero():
		report.Amount = sums.authorized
	default: // what was reserved at first; a part of it is captured or canceled
		report.Amount = sums.total
	}
	return report, nil
}

// clip makes foreign text one line of a bounded length.
func clip(text string) string {
	const most = 100
	runes := []rune(strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " "))
	return string(runes[:min(len(runes), most)])
}
