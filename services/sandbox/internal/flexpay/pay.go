package flexpay

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"quittance/pkg/id"
	"quittance/pkg/money"
	wire "quittance/pkg/provider/flexpay"
	"quittance/services/sandbox/internal/page"
	"quittance/services/sandbox/internal/vendor"
)

// pay takes the order page's form: token, action (pay, decline, cancel), method, brand and the fault menu.
func (s *Simulator) pay(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "The form is unreadable.", http.StatusBadRequest)
		return
	}
	sale, ok := s.book.sale(r.PostForm.Get("token"))
	if !ok {
		http.Error(w, "No such order.", http.StatusNotFound)
		return
	}
	faults, chosen, err := vendor.FormFaults(r.PostForm)
	if err != nil {
		s.showOrder(w, http.StatusBadRequest, sale, "Fault menu: "+err.Error())
		return
	}
	if chosen {
		if err := s.book.faults.Choose(sale.key(), faults); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	switch r.PostForm.Get("action") {
	case "pay":
		s.capture(w, r, sale)
	case "decline":
		s.decline(w, r, sale)
	case "cancel":
		s.leave(w, r, sale, sale.DeclineURL)
	default:
		http.Error(w, "No such action.", http.StatusBadRequest)
	}
}

// capture takes the money, once, tells the shop and sends the browser back.
func (s *Simulator) capture(w http.ResponseWriter, r *http.Request, sale Sale) {
	method := sale.PaymentMethod
	if method == "" {
		method = r.PostForm.Get("method")
	}
	if !slices.Contains(offered(sale), method) {
		s.showOrder(w, http.StatusBadRequest, sale, "Choose a way to pay.")
		return
	}
	saleID, err := number()
	transactionID, err2 := number()
	if err := errors.Join(err, err2); err != nil {
		s.fail(w, r, err)
		return
	}
	sale, err = s.book.update(sale.Token, func(sale *Sale) error {
		if sale.settled() {
			return errUnchanged
		}
		sale.SaleID, sale.TransactionID, sale.PaymentMethod = saleID, transactionID, method
		if faults := s.book.faults.Of(sale.key()); faults.Freeze != "" {
			sale.State, sale.Verdict = Review, faults.Freeze
			sale.DecideOn = s.config.Now().Add(time.Duration(faults.FreezeMillis) * time.Millisecond)
		} else {
			s.approve(sale)
		}
		if method == "CC" {
			sale.CCBrand, sale.OneClickToken = brand(r.PostForm.Get("brand")), id.Token()
		}
		return nil
	})
	switch {
	case errors.Is(err, errUnchanged): // paid before, by another click perhaps
	case err != nil:
		s.fail(w, r, err)
		return
	case sale.State == Review:
		s.queue <- sale.Token
	default:
		s.announce(r.Context(), sale)
	}
	if sale.State == Review { // nothing is known that could be signed for the way back
		page.Write(w, http.StatusOK, leftPage, sale)
		return
	}
	if sale.State != Approved {
		s.showOrder(w, http.StatusConflict, sale, "")
		return
	}
	shop, _ := s.book.shop(sale.ShopID)
	target := sale.SuccessURL
	if target != "" {
		target += separator(target) + wire.SignData(shop.key(), sale.data()).Query()
	}
	s.leave(w, r, sale, target)
}

// approve takes the money.
func (s *Simulator) approve(sale *Sale) {
	sale.State, sale.Captured, sale.PaidOn = Approved, sale.Amount, s.config.Now()
	if back := s.book.faults.Of(sale.key()).RefundMillis; back > 0 {
		sale.RefundOn = s.config.Now().Add(time.Duration(back) * time.Millisecond)
	}
}

// announce makes the first try of the postback before the browser goes back, unless it is to be late. The rest is left to
// Run. A browser that gives up waiting changes nothing.
func (s *Simulator) announce(ctx context.Context, sale Sale) {
	if faults := s.book.faults.Of(sale.key()); faults.DelayMillis == 0 && !faults.Reorder {
		s.try(context.WithoutCancel(ctx), sale)
	}
	s.queue <- sale.Token
}

func (s *Simulator) decline(w http.ResponseWriter, r *http.Request, sale Sale) {
	sale, err := s.book.update(sale.Token, func(sale *Sale) error {
		if sale.State != Pending {
			return errUnchanged
		}
		sale.State = Declined
		return nil
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		s.fail(w, r, err)
		return
	}
	if sale.State != Declined {
		s.showOrder(w, http.StatusConflict, sale, "")
		return
	}
	s.leave(w, r, sale, sale.DeclineURL)
}

// leave sends the browser to target, or says goodbye if there is none or a fault keeps the browser here.
func (s *Simulator) leave(w http.ResponseWriter, r *http.Request, sale Sale, target string) {
	if target == "" || s.book.faults.Of(sale.key()).SkipRedirect {
		page.Write(w, http.StatusOK, leftPage, sale)
		return
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// refund gives back part or all of a sale, or lets the customer's bank take it, and returns what to tell the shop.
func (s *Simulator) refund(sale Sale, event string, amount money.Amount) (Sale, Credit, error) {
	transactionID, err := number()
	if err != nil {
		return Sale{}, Credit{}, err
	}
	credit := Credit{Event: event, TransactionID: transactionID, Amount: amount, At: s.config.Now()}
	sale, err = s.book.update(sale.Token, func(sale *Sale) error {
		refunded, err := sale.Refunded.Add(credit.Amount)
		if err != nil {
			return err
		}
		if over, err := refunded.Cmp(sale.Captured); err != nil || over > 0 {
			return errors.Join(errTooMuch, err)
		}
		sale.Refunded = refunded
		sale.Credits = append(sale.Credits, credit)
		switch {
		case event == EventChargeback:
			sale.State = ChargeBack
		case refunded.Equal(sale.Captured):
			sale.State = Refunded
		}
		return nil
	})
	return sale, credit, err
}

var errTooMuch = errors.New("more than what was captured and not given back")

// offered are the ways in which a sale can be paid.
func offered(sale Sale) []string {
	if sale.PaymentMethod != "" {
		return []string{sale.PaymentMethod}
	}
	if sale.Amount.Currency == "EUR" {
		return methods
	}
	return []string{"CC", "YOURSAFE_DIRECT"}
}

func brand(name string) string {
	if name == "MASTERCARD" {
		return name
	}
	return "VISA"
}
