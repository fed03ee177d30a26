package flexpay

import (
	"slices"
	"time"

	"quittance/pkg/money"
	wire "quittance/pkg/provider/flexpay"
	"quittance/pkg/seal"
	"quittance/services/sandbox/internal/vendor"
)

// State of a sale, in the words of our own status API; the vendor's are not public beyond APPROVED.
type State string

// States of a sale.
const (
	Pending    State = "PENDING"
	Approved   State = "APPROVED"
	Declined   State = "DECLINED"
	Refunded   State = "REFUNDED"
	ChargeBack State = "CHARGEBACK"
	// Review: people of the vendor look at it.
	Review State = "REVIEW"
)

// Events of postbacks; the purchase itself has none.
const (
	EventPurchase   = ""
	EventCredit     = "credit"
	EventChargeback = "chargeback"
)

// Shop is a website that is registered with the vendor.
type Shop struct {
	ID           string `json:"shopID"`
	SignatureKey string `json:"signatureKey"`
	// PostbackURL gets the postbacks; without one none are sent.
	PostbackURL string `json:"postbackURL"`
}

func (s Shop) key() seal.Secret { return seal.Secret(s.SignatureKey) }

// Sale is an order that a customer came with, and what became of it.
type Sale struct {
	// Token names the sale on its order page.
	Token         string       `json:"token"`
	ShopID        string       `json:"shopID"`
	ReferenceID   string       `json:"referenceID,omitempty"`
	Description   string       `json:"description"`
	Amount        money.Amount `json:"amount"`
	PaymentMethod string       `json:"paymentMethod,omitempty"`
	CCBrand       string       `json:"ccBrand,omitempty"`
	// Again: the order came with the token of an earlier card sale, so that no card need be entered.
	Again bool `json:"again,omitempty"`
	// OneClickToken pays later purchases with the same card.
	OneClickToken string    `json:"oneClickToken,omitempty"`
	Email         string    `json:"email,omitempty"`
	Custom        [3]string `json:"custom"`
	SuccessURL    string    `json:"successURL,omitempty"`
	DeclineURL    string    `json:"declineURL,omitempty"`
	// Request is the query of the order without its signature: the same reference must come with the same.
	Request   string    `json:"request"`
	CreatedOn time.Time `json:"createdOn"`

	State State `json:"state"`
	// SaleID and TransactionID are set once the customer has paid.
	SaleID        string       `json:"saleID,omitempty"`
	TransactionID string       `json:"transactionID,omitempty"`
	PaidOn        time.Time    `json:"paidOn,omitzero"`
	Captured      money.Amount `json:"captured"`
	Refunded      money.Amount `json:"refunded"`
	// Problem says why the vendor gave the money back.
	Problem string   `json:"problem,omitempty"`
	Credits []Credit `json:"credits,omitempty"`

	// DecideOn is when a review ends, with Verdict: accept or reject. RefundOn is when the money goes back by itself.
	DecideOn time.Time `json:"decideOn,omitzero"`
	Verdict  string    `json:"verdict,omitempty"`
	RefundOn time.Time `json:"refundOn,omitzero"`

	// Tries counts the rounds of postbacks for the purchase; Acknowledged says that one was answered OK.
	Tries        int       `json:"tries"`
	Acknowledged bool      `json:"acknowledged"`
	Postbacks    []Attempt `json:"postbacks,omitempty"`
}

// Credit is money that went back to the customer.
type Credit struct {
	Event         string       `json:"event"`
	TransactionID string       `json:"transactionID"`
	Amount        money.Amount `json:"amount"`
	At            time.Time    `json:"at"`
}

// Attempt is one postback and its answer.
type Attempt = vendor.Attempt

// key names the sale's faults.
func (s Sale) key() string {
	if s.ReferenceID != "" {
		return s.ReferenceID
	}
	return s.Token
}

// settled says that the customer can't pay (any more).
func (s Sale) settled() bool { return s.State != Pending && s.State != Declined }

// refundable says that the vendor gives the money back unless the purchase's postback is answered OK.
func (s Sale) refundable() bool {
	return s.State == Approved && s.PaymentMethod == "CC" && !s.Acknowledged
}

func (s Sale) clone() Sale {
	s.Credits, s.Postbacks = slices.Clone(s.Credits), slices.Clone(s.Postbacks)
	return s
}

// data is the purchase's "OK data", unsigned. Which parameters the vendor sends is known from third parties only.
func (s Sale) data() wire.Params {
	params := wire.Params{
		"saleID": s.SaleID, "transactionID": s.TransactionID, "referenceID": s.ReferenceID, "shopID": s.ShopID,
		"type": "purchase", "priceAmount": s.Amount.Decimal(), "priceCurrency": s.Amount.Currency,
		"paymentMethod": s.PaymentMethod, "custom1": s.Custom[0], "custom2": s.Custom[1], "custom3": s.Custom[2],
	}
	if s.PaymentMethod == "CC" {
		params["CCBrand"], params["truncatedPAN"], params["oneClickToken"] = s.CCBrand, "XXXXXXXXXXXX1234", s.OneClickToken
	}
	return without(params)
}

// creditData is what a postback about given-back money carries, unsigned.
func (s Sale) creditData(c Credit) wire.Params {
	return without(wire.Params{
		"event": c.Event, "saleID": s.SaleID, "transactionID": c.TransactionID, "parentID": s.TransactionID,
		"referenceID": s.ReferenceID, "shopID": s.ShopID, "type": "purchase",
		"priceAmount": c.Amount.Decimal(), "priceCurrency": c.Amount.Currency, "paymentMethod": s.PaymentMethod,
	})
}

// dataOf finds what a postback of this kind says now; false if there is no such event yet.
func (s Sale) dataOf(event string) (wire.Params, bool) {
	if event == EventPurchase {
		return s.data(), s.SaleID != ""
	}
	for _, c := range slices.Backward(s.Credits) {
		if c.Event == event {
			return s.creditData(c), true
		}
	}
	return nil, false
}

// without drops empty parameters: what is sent and what is signed shall be the same set.
func without(params wire.Params) wire.Params {
	for name, value := range params {
		if value == "" {
			delete(params, name)
		}
	}
	return params
}
