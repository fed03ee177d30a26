// Package order is the order aggregate: what an order is, what facts about
// payments and deliveries mean for it, and which public events follow. It is
// pure: time and facts are arguments, documents and events are results.
package order

import (
	"fmt"
	"time"

	"quittance/pkg/backoff"
	"quittance/pkg/money"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// Short names of the two axes of state.
type (
	// PaymentState is the payment axis; its comments in the contract say who
	// acts next.
	PaymentState = orderv1.PaymentState
	// DeliveryState is the delivery axis.
	DeliveryState = orderv1.DeliveryState
	// Outcome is the provider's word on an attempt.
	Outcome = verificationv1.Outcome
)

// ExpireAfter is how long an order may stay unpaid (Noventiq's 90 days).
const ExpireAfter = 90 * 24 * time.Hour

// resend is how long the order waits for another service before it sends
// payment.succeeded or refund.requested again: 30 s, 1 m, 2 m, 5 m, 15 m, then every hour.
var resend = backoff.Schedule{
	30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
}

// Order is the stored document.
type Order struct {
	ID        string       `json:"id"`
	Merchant  string       `json:"merchant"`
	Reference string       `json:"reference,omitempty"`
	Customer  Customer     `json:"customer"`
	Lines     []Line       `json:"lines"`
	Total     money.Amount `json:"total"`
	// DiscountCode and Discount: what made the lines cheaper, and by how much.
	DiscountCode string            `json:"discount_code,omitempty"`
	Discount     money.Amount      `json:"discount,omitzero"`
	Consent      *Consent          `json:"consent,omitempty"`
	Prepaid      bool              `json:"prepaid,omitempty"`
	ReturnURL    string            `json:"return_url,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	// Method is how the merchant collects the money without the customer; empty:
	// the customer pays.
	Method string `json:"method,omitempty"`
	// User is the merchant's own id of who bought, Fulfilled when they were sent
	// back with success by the fulfilment URL.
	User      string    `json:"user,omitempty"`
	Fulfilled time.Time `json:"fulfilled,omitzero"`
	// CustomerID is the customer that the merchant assigned.
	CustomerID string `json:"customer_id,omitempty"`
	// Payer is who paid, as the provider tells: personal data.
	Payer *Payer `json:"payer,omitempty"`
	// CancelOnFailure is the shop's policy when the order was created.
	CancelOnFailure bool `json:"cancel_on_failure,omitempty"`
	// Reminders are how long after its creation the order, still unpaid, announces
	// that: the merchant's times when it was created, ascending. Reminded is how
	// many of them are over.
	Reminders []time.Duration `json:"reminders,omitempty"`
	Reminded  int             `json:"reminded,omitempty"`
	// TokenHash finds the order by the token in the customer's links, which is
	// derived and never stored.
	TokenHash string `json:"token_hash"`
	// Request is a hash of the creating request, to tell a repeat from a
	// different request with the same idempotency key.
	Request string `json:"request"`

	Payment  PaymentState  `json:"payment"`
	Delivery DeliveryState `json:"delivery"`
	Hold     *Hold         `json:"hold,omitempty"`
	// Attempts holds the merged facts of each payment attempt by its id.
	Attempts map[string]Attempt `json:"attempts,omitempty"`
	// PaidBy is the attempt whose money counts, empty until there is one.
	PaidBy string `json:"paid_by,omitempty"`
	// Resolved is the merchant's latest decision about a hold.
	Resolved orderv1.HoldDecision `json:"resolved,omitempty"`
	// Operations asked for, oldest first; AskedOperations is when those that
	// verification has not answered were last sent, and how often.
	Operations           []Operation `json:"operations,omitempty"`
	AskedOperations      time.Time   `json:"asked_operations,omitzero"`
	AskedOperationsTimes int         `json:"asked_operations_times,omitempty"`
	PaymentProblem       string      `json:"payment_problem,omitempty"`
	DeliveryProblem      string      `json:"delivery_problem,omitempty"`
	// DelayRevision is that of the delivery.delayed that DeliveryProblem comes from.
	DelayRevision int64 `json:"delay_revision,omitempty"`

	Created   time.Time `json:"created"`
	PaidAt    time.Time `json:"paid_at,omitzero"`
	Delivered time.Time `json:"delivered_at,omitzero"`
	// Changed is the time of the latest public event.
	Changed time.Time `json:"changed"`
	// Sequence numbers the public events.
	Sequence int64 `json:"sequence"`

	// AskedDelivery is when payment.succeeded was last sent, and AskedTimes how
	// often, while delivery has not answered.
	AskedDelivery time.Time `json:"asked_delivery,omitzero"`
	AskedTimes    int       `json:"asked_times,omitempty"`
	// Closing is whether delivery knows that the order is no longer paid.
	Closing Closing `json:"closing,omitzero"`

	// EraseAfter is how long after the latest public event the customer's personal
	// data is kept, the merchant's when the order was created; 0: until it is asked
	// for. Erasure is set once it was erased.
	EraseAfter time.Duration `json:"erase_after,omitempty"`
	Erasure    *Erasure      `json:"erasure,omitempty"`
}

// Customer is who buys.
type Customer struct {
	Email  string `json:"email"`
	Name   string `json:"name,omitempty"`
	Locale string `json:"locale,omitempty"`
	// For business customers; the address has several lines.
	Company string `json:"company,omitempty"`
	VATID   string `json:"vat_id,omitempty"`
	Address string `json:"address,omitempty"`
}

// Consent is what the customer agreed to, and when.
type Consent struct {
	TermsVersion string    `json:"terms_version"`
	Time         time.Time `json:"time"`
}

// Line is one product as it was when the order was created.
type Line struct {
	Product  string       `json:"product"`
	Name     string       `json:"name"`
	Quantity int64        `json:"quantity"`
	Price    money.Amount `json:"price"`
	// Amount is what is charged, after the discount.
	Amount   money.Amount           `json:"amount"`
	Discount money.Amount           `json:"discount,omitzero"`
	Method   orderv1.DeliveryMethod `json:"method"`
	MailText string                 `json:"mail_text,omitempty"`
	State    DeliveryState          `json:"state"`
	// Licenses are the ids of the licences that the line's units got, as the
	// delivery service packs them: the record it is put right by if it loses its
	// own. Never keys.
	Licenses []byte `json:"licenses,omitempty"`
	// Fallback is the method after Method has failed, unspecified: none.
	Fallback orderv1.DeliveryMethod `json:"fallback,omitempty"`
	// Delayed: it was announced that the line must wait.
	Delayed bool `json:"delayed,omitempty"`
	// Revoked is how many units may use their licence no more.
	Revoked int64 `json:"revoked,omitempty"`
}

// Attempt is what the provider has said of one attempt so far.
type Attempt struct {
	Outcome  Outcome      `json:"outcome"`
	Captured money.Amount `json:"captured,omitzero"`
	Refunded money.Amount `json:"refunded,omitzero"`
	// Revision of the facts; an older one changes nothing.
	Revision   int64              `json:"revision"`
	Authorized money.Amount       `json:"authorized,omitzero"`
	HoldReason orderv1.HoldReason `json:"hold_reason,omitempty"`
	Detail     string             `json:"detail,omitempty"`
	// What the account and the merchant want, as of these facts.
	DeliverOnAuthorized bool   `json:"deliver_on_authorized,omitempty"`
	CaptureOn           string `json:"capture_on,omitempty"`
	RefundUnwanted      bool   `json:"refund_unwanted,omitempty"`
	// Accepted: the merchant took this money though it differs. Refused: it
	// asks nothing of the merchant any more.
	Accepted bool `json:"accepted,omitempty"`
	Refused  bool `json:"refused,omitempty"`
}

// says reports that b tells nothing about the money that a did not.
func (a Attempt) says(b Attempt) bool {
	return a.Outcome == b.Outcome && a.HoldReason == b.HoldReason && a.Authorized == b.Authorized &&
		a.Captured == b.Captured && a.Refunded == b.Refunded
}

// taken: all of the reservation was captured.
func (a Attempt) taken() bool {
	return a.Authorized.Minor == 0 || a.Captured.Currency == a.Authorized.Currency && a.Captured.Minor >= a.Authorized.Minor
}

// gone: money was captured, and the provider's books show all of it given back.
func (a Attempt) gone() bool { return a.Captured.Minor > 0 && a.Refunded.Minor >= a.Captured.Minor }

// Announcement is an event that a transition decided on: a public one, which
// carries the order as it is after the transition, or refund.requested, which
// has no number.
type Announcement struct {
	Type     string
	Sequence int64
	// Line is set for product.* events, Attempt and Revision for payment.*.
	Line     int
	Attempt  string
	Revision int64
}

// NewLine prices a line; errors name the field at fault.
func NewLine(product, name string, quantity int64, price money.Amount, method orderv1.DeliveryMethod, mailText string) (Line, error) {
	amount, err := price.Mul(quantity)
	if err != nil {
		return Line{}, fmt.Errorf("amount of %d × %s: %w", quantity, price, err)
	}
	return Line{
		Product: product, Name: name, Quantity: quantity, Price: price, Amount: amount,
		Method: method, MailText: mailText, State: orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED,
	}, nil
}

// Discounted takes an amount off each line.
func (o *Order) Discounted(code string, off []money.Amount) error {
	o.DiscountCode = code
	for i := range off {
		l := &o.Lines[i]
		amount, err := l.Amount.Sub(off[i])
		if err != nil {
			return fmt.Errorf("discount of line %d: %w", i+1, err)
		}
		l.Amount, l.Discount = amount, off[i]
		if i == 0 {
			o.Discount.Currency = off[i].Currency
		}
		if o.Discount, err = o.Discount.Add(off[i]); err != nil {
			return fmt.Errorf("discount: %w", err)
		}
	}
	return nil
}

// Sum adds up the lines' amounts.
func Sum(lines []Line, currency string) (money.Amount, error) {
	total := money.Amount{Currency: currency}
	for _, l := range lines {
		var err error
		if total, err = total.Add(l.Amount); err != nil {
			return money.Amount{}, fmt.Errorf("total: %w", err)
		}
	}
	return total, nil
}

// NextDue is when the order has work to do by itself: asking the delivery or the
// verification service again, reminding of the payment, expiring, or erasing its
// customer.
func NextDue(o *Order) time.Time {
	due := o.paymentDue()
	if len(o.unanswered()) > 0 {
		if again := o.AskedOperations.Add(resend.After(o.AskedOperationsTimes)); due.IsZero() || again.Before(due) {
			due = again
		}
	}
	for _, again := range []time.Time{o.closingDue(), o.erasureDue()} {
		if !again.IsZero() && (due.IsZero() || again.Before(due)) {
			due = again
		}
	}
	return due
}

// paymentDue is when delivery is to be asked again, or the order to remind or
// expire.
func (o *Order) paymentDue() time.Time {
	due := time.Time{}
	switch {
	case o.awaitsDelivery():
		due = o.AskedDelivery.Add(resend.After(o.AskedTimes))
	case o.Payment == orderv1.PaymentState_PAYMENT_STATE_UNPAID:
		due = o.Created.Add(ExpireAfter)
		if remind := o.remindAt(); !remind.IsZero() && remind.Before(due) {
			due = remind
		}
	}
	return due
}

// awaitsDelivery: the delivery service was told to deliver and has not said
// that everything is. Nothing is awaited while the money is a question, or once it
// went back.
func (o *Order) awaitsDelivery() bool {
	switch o.Payment {
	case orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK,
		orderv1.PaymentState_PAYMENT_STATE_CANCELED, orderv1.PaymentState_PAYMENT_STATE_UNPAID,
		orderv1.PaymentState_PAYMENT_STATE_EXPIRED, orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
		return false
	case orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED, orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED,
		orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED:
	}
	return !o.AskedDelivery.IsZero() && o.Delivery != orderv1.DeliveryState_DELIVERY_STATE_DELIVERED
}
