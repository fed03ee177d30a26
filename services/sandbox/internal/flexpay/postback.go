package flexpay

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"time"

	wire "quittance/pkg/provider/flexpay"
	"quittance/services/sandbox/internal/vendor"
)

// untold says that the purchase's postback is still to be answered OK, or to be given up.
func (s Sale) untold() bool {
	return s.SaleID != "" && !s.PaidOn.IsZero() && !s.Acknowledged && s.Problem == "" && (s.State == Approved || s.Tries == 0)
}

// unfinished says that the vendor has something left to do by itself.
func (s Sale) unfinished() bool { return s.State == Review || s.untold() || !s.RefundOn.IsZero() }

// tell does what is left to do about a sale: it ends a review, tries the purchase's postback until it is answered OK or the
// tries are used up, settles the sale, and gives the money back if a fault says so.
func (s *Simulator) tell(ctx context.Context, token string) {
	for ctx.Err() == nil {
		sale, ok := s.book.sale(token)
		if !ok || !sale.unfinished() {
			return
		}
		faults := s.book.faults.Of(sale.key())
		credit := !sale.RefundOn.IsZero() && (faults.Reorder || !sale.untold())
		switch {
		case sale.State == Review:
			if vendor.Sleep(ctx, sale.DecideOn.Sub(s.config.Now())) {
				s.decide(ctx, sale)
			}
		case credit:
			if vendor.Sleep(ctx, sale.RefundOn.Sub(s.config.Now())) {
				s.giveBack(ctx, sale)
			}
		case sale.Tries >= s.config.Tries:
			s.settle(ctx, sale)
		default:
			pause := faults.Delay()
			if sale.Tries > 0 {
				pause = s.config.Pause << (sale.Tries - 1)
			}
			if vendor.Sleep(ctx, pause) {
				s.try(ctx, sale)
			}
		}
	}
}

// decide ends a review.
func (s *Simulator) decide(ctx context.Context, sale Sale) {
	_, err := s.book.update(sale.Token, func(sale *Sale) error {
		if sale.State != Review {
			return errUnchanged
		}
		if sale.Verdict == vendor.FreezeAccept {
			s.approve(sale)
		} else {
			sale.State = Declined
		}
		return nil
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		s.config.Log.ErrorContext(ctx, "review not ended", "sale", sale.SaleID, "error", err)
	}
}

// giveBack refunds a sale by itself and tells the shop once.
func (s *Simulator) giveBack(ctx context.Context, sale Sale) {
	sale, err := s.book.update(sale.Token, func(sale *Sale) error {
		sale.RefundOn = time.Time{}
		return nil
	})
	left, err2 := sale.Captured.Sub(sale.Refunded)
	if err = errors.Join(err, err2); err == nil && left.Minor > 0 {
		var credit Credit
		if sale, credit, err = s.refund(sale, EventCredit, left); err == nil {
			attempts := s.round(ctx, sale, sale.creditData(credit), false)
			_, err = s.book.update(sale.Token, func(sale *Sale) error {
				sale.note(attempts)
				return nil
			})
		}
	}
	if err != nil {
		s.config.Log.ErrorContext(ctx, "sale not given back", "sale", sale.SaleID, "error", err)
	}
}

// try makes one round of the purchase's postback and notes it.
func (s *Simulator) try(ctx context.Context, sale Sale) {
	attempts := s.round(ctx, sale, sale.data(), sale.Tries == 0)
	if ctx.Err() != nil {
		return // an attempt that the sandbox's own end has cut short doesn't count
	}
	_, err := s.book.update(sale.Token, func(sale *Sale) error {
		sale.Tries++
		sale.note(attempts)
		return nil
	})
	if err != nil {
		s.config.Log.ErrorContext(ctx, "postback not noted", "sale", sale.SaleID, "error", err)
	}
}

// settle gives a card sale back if its postback was never answered OK; other sales stay as they are.
func (s *Simulator) settle(ctx context.Context, sale Sale) {
	noRefund := s.book.faults.Of(sale.key()).NoRefund
	_, err := s.book.update(sale.Token, func(sale *Sale) error {
		if !sale.untold() {
			return errUnchanged
		}
		sale.Problem = "postback was not answered OK"
		if sale.refundable() && !noRefund {
			sale.State, sale.Refunded = Refunded, sale.Captured
			sale.Problem += "; the card payment was given back"
		}
		return nil
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		s.config.Log.ErrorContext(ctx, "sale not settled", "sale", sale.SaleID, "error", err)
	}
}

// note adds attempts to a sale. A real purchase postback answered OK acknowledges it.
func (s *Sale) note(attempts []Attempt) {
	s.Postbacks = append(s.Postbacks, attempts...)
	for _, a := range attempts {
		if a.OK && a.Event == EventPurchase && !a.Forged {
			s.Acknowledged = true
		}
	}
}

// round sends a postback as often as the sale's faults say, preceded by forged ones if it is the first.
func (s *Simulator) round(ctx context.Context, sale Sale, data wire.Params, first bool) []Attempt {
	faults := s.book.faults.Of(sale.key())
	var attempts []Attempt
	if first && faults.Forged > 0 {
		attempts = s.send(ctx, sale, data, faults.Forged, true)
	}
	if faults.DropPostback {
		return append(attempts, s.sender.Lost(data["event"])...)
	}
	return append(attempts, s.send(ctx, sale, data, max(1, faults.Copies), false)...)
}

// send sends copies of a postback at once. Only the literal body OK is an acknowledgement; that it also takes status 200 is
// our choice.
func (s *Simulator) send(ctx context.Context, sale Sale, data wire.Params, copies int, forged bool) []Attempt {
	return s.sender.Send(ctx, vendor.Callback{
		Event: data["event"], Forged: forged,
		Request: func(ctx context.Context) (*http.Request, error) { return s.postback(ctx, sale.ShopID, data, forged) },
		OK:      func(status int, body string) bool { return status == http.StatusOK && body == "OK" },
	}, copies, s.book.faults.Of(sale.key()).LoseAnswer)
}

// postback makes a signed request, or one with a wrong signature.
func (s *Simulator) postback(ctx context.Context, shopID string, data wire.Params, forged bool) (*http.Request, error) {
	shop, _ := s.book.shop(shopID)
	if shop.PostbackURL == "" {
		return nil, errors.New("the shop has no postback URL")
	}
	signed := wire.SignData(shop.key(), data)
	if forged {
		signed = maps.Clone(signed)
		signed["signature"] = strings.Repeat("0", len(signed["signature"]))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, shop.PostbackURL+separator(shop.PostbackURL)+signed.Query(), nil)
	if err != nil {
		return nil, errors.New("postback URL is unusable")
	}
	return req, nil
}

// separator is what joins parameters to an address that may have some already.
func separator(address string) string {
	if strings.Contains(address, "?") {
		return "&"
	}
	return "?"
}
