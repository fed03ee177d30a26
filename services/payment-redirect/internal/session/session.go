// Package session is the checkout session aggregate: what a customer has chosen
// and written so far, and the order that came of it. It is pure: time and forms
// are arguments.
package session

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/id"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Life is how long a session is kept; then it is deleted with all that the
// customer wrote.
const Life = 24 * time.Hour

// Limits of a session.
const (
	MaxItems    = 20
	MaxQuantity = 10_000
)

// Session is the stored document. Its id is the secret of the customer's page.
type Session struct {
	Merchant  string    `json:"merchant"`
	Items     []Item    `json:"items"`
	Currency  string    `json:"currency"`
	Discount  string    `json:"discount,omitempty"`
	Reference string    `json:"reference,omitempty"`
	ReturnURL string    `json:"return_url,omitempty"`
	Locale    string    `json:"locale,omitempty"`
	Customer  Customer  `json:"customer"`
	Method    string    `json:"method,omitempty"`
	Created   time.Time `json:"created"`
	// Locked: a signed link said what is ordered, and at what discount.
	Locked bool `json:"locked,omitempty"`
	// Placed is what the customer agreed to when placing the order; from then on
	// the session stays as it is. Order is the order, once it is known.
	Placed *Placed `json:"placed,omitempty"`
	Order  string  `json:"order,omitempty"`
}

// Item is a product in a quantity.
type Item struct {
	Product  string `json:"product"`
	Quantity int64  `json:"quantity"`
}

// Customer is who buys, as they wrote it.
type Customer struct {
	Email   string `json:"email,omitempty"`
	Name    string `json:"name,omitempty"`
	Company string `json:"company,omitempty"`
	VATID   string `json:"vat_id,omitempty"`
	Address string `json:"address,omitempty"`
}

// Placed is the customer's decision.
type Placed struct {
	At           time.Time `json:"at"`
	TermsVersion string    `json:"terms_version,omitempty"`
}

// NextDue is when the session ends.
func NextDue(s *Session) time.Time { return s.Created.Add(Life) }

// Add adds to the quantity of a product, as far as the limits go. It reports
// whether there was room.
func (s *Session) Add(product string, quantity int64) bool {
	if i := s.find(product); i >= 0 {
		s.Items[i].Quantity = min(s.Items[i].Quantity+quantity, MaxQuantity)
		return true
	}
	if len(s.Items) >= MaxItems {
		return false
	}
	s.Items = append(s.Items, Item{product, quantity})
	return true
}

// Set changes the quantity of a product that is there; less than one removes it.
func (s *Session) Set(product string, quantity int64) {
	i := s.find(product)
	switch {
	case i < 0 || s.Locked:
	case quantity < 1:
		s.Items = slices.Delete(s.Items, i, i+1)
	default:
		s.Items[i].Quantity = min(quantity, MaxQuantity)
	}
}

func (s *Session) find(product string) int {
	return slices.IndexFunc(s.Items, func(it Item) bool { return it.Product == product })
}

// Place notes that the customer wants this order. From then on nothing changes.
func (s *Session) Place(termsVersion string, now time.Time) {
	if s.Placed == nil {
		s.Placed = &Placed{At: now, TermsVersion: termsVersion}
	}
}

// Reopen lets the customer change an order that was refused.
func (s *Session) Reopen() {
	if s.Order == "" {
		s.Placed = nil
	}
}

// Request is the order that the session has come to: always the same one, once
// it is placed.
func (s *Session) Request(sessionID string) *orderv1.CreateOrderRequest {
	req := &orderv1.CreateOrderRequest{
		// The session's id opens the customer's page, so it is not told to anybody.
		IdempotencyKey: id.Derived("checkout", sessionID), Reference: s.Reference, Currency: s.Currency,
		DiscountCode: s.Discount, ReturnUrl: s.ReturnURL,
		Customer: &orderv1.Customer{
			Email: s.Customer.Email, Name: s.Customer.Name, Locale: s.Locale,
			Company: s.Customer.Company, VatId: s.Customer.VATID, Address: s.Customer.Address,
		},
	}
	for _, it := range s.Items {
		req.Items = append(req.Items, &orderv1.OrderItem{ProductId: it.Product, Quantity: it.Quantity})
	}
	if s.Placed != nil {
		req.Consent = &orderv1.Consent{TermsVersion: s.Placed.TermsVersion, Time: timestamppb.New(s.Placed.At)}
	}
	return req
}
