package flexpay

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"

	wire "quittance/pkg/provider/flexpay"
	"quittance/services/sandbox/internal/vendor"
)

// unfinished says that the purchase's postback is still to be answered OK, or to be given up.
func (s Sale) unfinished() bool {
	return s.State == Approved && !s.Acknowledged && s.Problem == ""
}

// tell tries a purchase's postback until it is answered OK or the tries are used up, then settles the sale.
func (s *Simulator) tell(ctx context.Context, token string) {
	for ctx.Err() == nil {
		sale, ok := s.book.sale(token)
		if !ok || !sale.unfinished() {
			return
		}
		if sale.Tries >= s.config.Tries {
			s.settle(ctx, sale)
			return
		}
		pause := s.book.faults.Of(sale.key()).Delay()
		if sale.Tries > 0 {
			pause = s.config.Pause << (sale.Tries - 1)
		}
		if !vendor.Sleep(ctx, pause) {
			return
		}
		s.try(ctx, sale)
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
		if !sale.unfinished() {
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
