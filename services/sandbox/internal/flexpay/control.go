package flexpay

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"quittance/pkg/money"
	"quittance/services/sandbox/internal/control"
	"quittance/services/sandbox/internal/vendor"
)

// List is the answer to a question for sales.
type List struct {
	Sales  []Sale   `json:"sales"`
	Totals []Totals `json:"totals"`
}

// RefundOrder asks the vendor to give money back.
type RefundOrder struct {
	// Reference or SaleID names the sale.
	Reference string `json:"reference,omitempty"`
	SaleID    string `json:"saleID,omitempty"`
	// Amount is a decimal; empty: all that is left.
	Amount string `json:"amount,omitempty"`
	// Event is credit (also if empty) or chargeback.
	Event string `json:"event,omitempty"`
}

// PostbackOrder asks the vendor to send a postback again.
type PostbackOrder struct {
	Reference string `json:"reference,omitempty"`
	SaleID    string `json:"saleID,omitempty"`
	// Event is empty for the purchase, credit or chargeback for the latest of these.
	Event string `json:"event,omitempty"`
	// Times is how often, all at once; 1 if 0.
	Times int `json:"times,omitempty"`
	// Forged gives them a wrong signature; the sale needn't be paid then.
	Forged bool `json:"forged,omitempty"`
}

// PostbackReport is the outcome of both.
type PostbackReport struct {
	Sale     Sale      `json:"sale"`
	Attempts []Attempt `json:"attempts"`
}

// controls adds the control API; client.Client is its documentation in code.
func (s *Simulator) controls(mux *http.ServeMux) {
	const prefix = "/control/flexpay"
	mux.HandleFunc("GET "+prefix+"/sales", control.Handle(s.listSales))
	mux.HandleFunc("GET "+prefix+"/shops", control.Handle(s.listShops))
	mux.HandleFunc("PUT "+prefix+"/shops/{shopID}", control.Handle(s.putShop))
	s.book.faults.Controls(mux, prefix)
	mux.HandleFunc("POST "+prefix+"/refunds", control.Handle(s.orderRefund))
	mux.HandleFunc("POST "+prefix+"/postbacks", control.Handle(s.orderPostbacks))
}

func (s *Simulator) listSales(r *http.Request) (any, error) {
	reference, saleID, shopID := r.FormValue("reference"), r.FormValue("saleID"), r.FormValue("shopID")
	sales := s.book.list(func(sale Sale) bool {
		return (reference == "" || sale.ReferenceID == reference) && (saleID == "" || sale.SaleID == saleID) &&
			(shopID == "" || sale.ShopID == shopID)
	})
	totals, err := totalsOf(sales)
	return List{Sales: sales, Totals: totals}, err
}

func (s *Simulator) listShops(*http.Request) (any, error) {
	shops := s.book.allShops()
	for i := range shops {
		shops[i].SignatureKey = ""
	}
	return shops, nil
}

func (s *Simulator) putShop(r *http.Request) (any, error) {
	shop, err := control.Decode[Shop](r)
	if err != nil {
		return nil, err
	}
	if shop.ID != "" && shop.ID != r.PathValue("shopID") {
		return nil, control.Fail(http.StatusBadRequest, "shopID: differs from the path")
	}
	shop.ID = r.PathValue("shopID")
	return nil, s.register(shop)
}

// register adds or replaces a shop.
func (s *Simulator) register(shop Shop) error {
	if shop.ID == "" || shop.SignatureKey == "" {
		return control.Fail(http.StatusBadRequest, "shopID and signatureKey must be set")
	}
	if address, err := url.Parse(shop.PostbackURL); err != nil || (shop.PostbackURL != "" && address.Host == "") {
		return control.Fail(http.StatusBadRequest, "postbackURL: must be absolute")
	}
	return s.book.putShop(shop)
}

func (s *Simulator) named(reference, saleID string) (Sale, error) {
	if reference == "" && saleID == "" {
		return Sale{}, control.Fail(http.StatusBadRequest, "reference or saleID must be set")
	}
	sale, ok := s.book.find(func(sale Sale) bool {
		return (reference == "" || sale.ReferenceID == reference) && (saleID == "" || sale.SaleID == saleID)
	})
	if !ok {
		return Sale{}, control.Fail(http.StatusNotFound, errNoSale.Error())
	}
	return sale, nil
}

// orderRefund books the refund and answers after the first round of its postback. Further rounds are ordered by hand.
func (s *Simulator) orderRefund(r *http.Request) (any, error) {
	order, err := control.Decode[RefundOrder](r)
	if err != nil {
		return nil, err
	}
	sale, err := s.named(order.Reference, order.SaleID)
	if err != nil {
		return nil, err
	}
	if order.Event == "" {
		order.Event = EventCredit
	}
	if order.Event != EventCredit && order.Event != EventChargeback {
		return nil, control.Fail(http.StatusBadRequest, "event: must be credit or chargeback")
	}
	amount, err := sale.Captured.Sub(sale.Refunded)
	if order.Amount != "" {
		amount, err = money.Parse(sale.Amount.Currency, order.Amount)
	}
	if err != nil || amount.Minor <= 0 {
		return nil, control.Fail(http.StatusConflict, "amount: nothing to give back")
	}
	sale, credit, err := s.refund(sale, order.Event, amount)
	if errors.Is(err, errTooMuch) {
		return nil, control.Fail(http.StatusConflict, "amount: "+errTooMuch.Error())
	}
	if err != nil {
		return nil, err
	}
	attempts := s.round(r.Context(), sale, sale.creditData(credit), false)
	return s.noted(r.Context(), sale, attempts)
}

func (s *Simulator) orderPostbacks(r *http.Request) (any, error) {
	order, err := control.Decode[PostbackOrder](r)
	if err != nil {
		return nil, err
	}
	if order.Times < 0 || order.Times > vendor.MaxCopies {
		return nil, control.Fail(http.StatusBadRequest, "times: must be 1 to 500")
	}
	sale, err := s.named(order.Reference, order.SaleID)
	if err != nil {
		return nil, err
	}
	data, ok := sale.dataOf(order.Event)
	if !ok && !order.Forged {
		return nil, control.Fail(http.StatusConflict, "event: has not happened to this sale")
	}
	if !ok { // a forger makes up what he doesn't know
		invented := sale
		invented.SaleID, invented.TransactionID, invented.PaymentMethod = "1", "1", "CC"
		data, _ = invented.dataOf(EventPurchase)
	}
	return s.noted(r.Context(), sale, s.send(r.Context(), sale, data, max(1, order.Times), order.Forged))
}

// noted keeps the attempts with the sale and answers with both.
func (s *Simulator) noted(ctx context.Context, sale Sale, attempts []Attempt) (any, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	sale, err := s.book.update(sale.Token, func(sale *Sale) error {
		sale.note(attempts)
		return nil
	})
	return PostbackReport{Sale: sale, Attempts: attempts}, err
}
