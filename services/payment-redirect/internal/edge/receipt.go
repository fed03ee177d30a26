package edge

import (
	"net/http"
	"slices"
	"strings"

	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// settledMoney: money was received for the order, or none was asked for.
func settledMoney(o *orderv1.Order) bool {
	return o.GetPaidTime() != nil || o.GetCaptured().GetMinor() > 0
}

// receipt shows the order as a document to print: who sold what to whom, for
// how much, and what was paid how.
func (p *Pages) receipt(w http.ResponseWriter, r *http.Request) {
	o, err := p.byToken(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	data := p.about(r, o)
	data.Title, data.ToOrder = data.T("receipt.title_open"), keep(r, p.orderPath(o))
	if settledMoney(o) {
		data.Title = data.T("receipt.title")
	}
	data.Text, data.Mood = receiptState(&data, o)
	data.Seller, data.Buyer, data.Reference = p.sellerOf(r, o), buyerOf(&data, o), o.GetReference()
	data.Facts = p.receiptFacts(r, &data, o)
	if c := amountOf(o.GetCaptured()); c.Minor > 0 {
		data.Sums = append(data.Sums, pageFact{data.T("receipt.captured"), data.L.Money(c)})
	}
	if back := amountOf(o.GetRefunded()); back.Minor > 0 {
		data.Sums = append(data.Sums, pageFact{data.T("receipt.refunded"), data.L.Money(back)})
	}
	p.show(w, r, http.StatusOK, "receipt.html", data)
}

// receiptState is the order's state in a word, with its class.
func receiptState(data *page, o *orderv1.Order) (text, mood string) {
	switch o.GetPaymentState() {
	case orderv1.PaymentState_PAYMENT_STATE_PAID, orderv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED:
		return data.T("receipt.paid"), "good"
	case orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED:
		return data.T("step.payment_authorized"), "good"
	case orderv1.PaymentState_PAYMENT_STATE_REFUNDED, orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK:
		return data.T("step.payment_back"), "warn"
	case orderv1.PaymentState_PAYMENT_STATE_CANCELED, orderv1.PaymentState_PAYMENT_STATE_EXPIRED:
		return data.T("receipt.void"), wrong
	case orderv1.PaymentState_PAYMENT_STATE_ON_HOLD:
		return data.T("step.payment_checking"), "warn"
	case orderv1.PaymentState_PAYMENT_STATE_UNPAID, orderv1.PaymentState_PAYMENT_STATE_UNSPECIFIED:
	}
	return data.T("receipt.open"), "warn"
}

// sellerOf is who sells, as the merchant wants it on receipts.
func (p *Pages) sellerOf(r *http.Request, o *orderv1.Order) string {
	m, err := p.checkout.Reference.Merchant(r.Context(), o.GetMerchantId())
	if err != nil {
		return o.GetMerchantId()
	}
	if s := m.GetStorefront().GetSeller(); s != "" {
		return s
	}
	return m.GetName()
}

// buyerOf is who buys, line by line.
func buyerOf(data *page, o *orderv1.Order) string {
	c := o.GetCustomer()
	lines := []string{c.GetCompany(), c.GetName(), c.GetAddress()}
	if c.GetVatId() != "" {
		lines = append(lines, data.T("receipt.vat", c.GetVatId()))
	}
	lines = append(lines, c.GetEmail())
	return strings.Join(slices.DeleteFunc(lines, func(s string) bool { return s == "" }), "\n")
}

func (p *Pages) receiptFacts(r *http.Request, data *page, o *orderv1.Order) []pageFact {
	facts := []pageFact{{data.T("receipt.ordered"), data.L.Time(o.GetCreateTime().AsTime())}}
	if t := o.GetPaidTime(); t != nil {
		facts = append(facts, pageFact{data.T("receipt.paid_on"), data.L.Time(t.AsTime())})
	}
	if t := o.GetDeliveredTime(); t != nil {
		facts = append(facts, pageFact{data.T("receipt.delivered_on"), data.L.Time(t.AsTime())})
	}
	method := ""
	switch a := p.payer(r.Context(), o); {
	case o.GetPrepaid():
		method = data.T("receipt.prepaid")
	case o.GetTotal().GetMinor() == 0:
		method = data.T("receipt.free")
	case a != nil:
		method = p.nameOf(r.Context(), a.Account)
	}
	if method != "" {
		facts = append(facts, pageFact{data.T("receipt.method"), method})
	}
	if id := o.GetPaidAttemptId(); id != "" {
		facts = append(facts, pageFact{data.T("receipt.transaction"), id})
	}
	return facts
}
