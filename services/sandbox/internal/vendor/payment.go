package vendor

import (
	"maps"
	"slices"
	"time"

	"quittance/pkg/money"
)

// Payment is what a vendor's book says of one.
type Payment struct {
	// Token names the payment on its page, ID in the vendor's API, Reference is the shop's.
	Token     string `json:"token"`
	ID        string `json:"id"`
	Reference string `json:"reference"`
	// Shop is whom the money is for.
	Shop        string    `json:"shop"`
	Description string    `json:"description"`
	CreatedOn   time.Time `json:"createdOn"`

	Amount     money.Amount `json:"amount"`
	Authorized money.Amount `json:"authorized"`
	Captured   money.Amount `json:"captured"`
	Canceled   money.Amount `json:"canceled"`
	Refunded   money.Amount `json:"refunded"`
	// State is in the vendor's words; Ended says that the customer can do nothing more.
	State string `json:"state"`
	Ended bool   `json:"ended"`
	// Details are the vendor's own.
	Details map[string]string `json:"details,omitempty"`

	// Tasks are what is still to be done, Callbacks what was sent, Events of which there were news.
	Tasks     []Task    `json:"tasks,omitempty"`
	Callbacks []Attempt `json:"callbacks,omitempty"`
	Events    []string  `json:"events,omitempty"`
}

// Task is something to be done later.
type Task struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Action Action    `json:"action,omitempty"`
	// Event is what the shop is to be told; empty: a task that acts.
	Event string `json:"event,omitempty"`
	Tries int    `json:"tries,omitempty"`
}

// Action is what somebody does about a payment.
type Action string

// Actions of customers, of the vendor's people, of the shop and of the customer's bank.
const (
	Pay        Action = "pay"
	Decline    Action = "decline"
	Cancel     Action = "cancel"
	Freeze     Action = "freeze"
	Accept     Action = "accept"
	Reject     Action = "reject"
	Refund     Action = "refund"
	ChargeBack Action = "chargeback"
)

// Detail gives a detail of the vendor's own.
func (p Payment) Detail(name string) string { return p.Details[name] }

func (p Payment) clone() Payment {
	p.Details, p.Tasks = maps.Clone(p.Details), slices.Clone(p.Tasks)
	p.Callbacks, p.Events = slices.Clone(p.Callbacks), slices.Clone(p.Events)
	return p
}

// Shop is somebody who is registered with the vendor.
type Shop struct {
	ID string `json:"id"`
	// Settings are the vendor's own: credentials, addresses.
	Settings map[string]string `json:"settings"`
}

// Totals are sums over payments in one currency.
type Totals struct {
	Captured money.Amount `json:"captured"`
	Refunded money.Amount `json:"refunded"`
}

// List is what the control API gives of a book.
type List struct {
	Payments []Payment `json:"payments"`
	Totals   []Totals  `json:"totals"`
}

// totalsOf sums per currency, in alphabetical order.
func totalsOf(payments []Payment) ([]Totals, error) {
	sums := map[string]Totals{}
	for _, p := range payments {
		currency := p.Amount.Currency
		sum, ok := sums[currency]
		if !ok {
			zero := money.Amount{Currency: currency}
			sum = Totals{zero, zero}
		}
		var err error
		if sum.Captured, err = sum.Captured.Add(p.Captured); err != nil {
			return nil, err
		}
		if sum.Refunded, err = sum.Refunded.Add(p.Refunded); err != nil {
			return nil, err
		}
		sums[currency] = sum
	}
	totals := []Totals{}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		totals = append(totals, sums[currency])
	}
	return totals, nil
}
