package flexpay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	wire "quittance/pkg/provider/flexpay"
)

const maxAnswer = 1 << 10

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
		pause := time.Duration(s.book.faultsOf(sale.key()).DelayMillis) * time.Millisecond
		if sale.Tries > 0 {
			pause = s.config.Pause << (sale.Tries - 1)
		}
		if !sleep(ctx, pause) {
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
	noRefund := s.book.faultsOf(sale.key()).NoRefund
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
	faults := s.book.faultsOf(sale.key())
	var attempts []Attempt
	if first && faults.Forged > 0 {
		attempts = s.send(ctx, sale, data, faults.Forged, true)
	}
	if faults.DropPostback {
		return append(attempts, Attempt{At: s.config.Now(), Event: data["event"], Error: "lost on the way (fault)"})
	}
	return append(attempts, s.send(ctx, sale, data, max(1, faults.Copies), false)...)
}

// send sends copies of a postback at once.
func (s *Simulator) send(ctx context.Context, sale Sale, data wire.Params, copies int, forged bool) []Attempt {
	loseAnswer := s.book.faultsOf(sale.key()).LoseAnswer
	attempts := make([]Attempt, copies)
	var wg sync.WaitGroup
	for i := range attempts {
		wg.Go(func() {
			a := s.post(ctx, sale.ShopID, data, forged)
			if loseAnswer && a.Error == "" {
				a.OK, a.Error = false, "answer lost on the way (fault)"
			}
			attempts[i] = a
		})
	}
	wg.Wait()
	return attempts
}

// post sends one postback. Only the literal body OK is an acknowledgement; that it also takes status 200 is our choice.
func (s *Simulator) post(ctx context.Context, shopID string, data wire.Params, forged bool) (attempt Attempt) {
	attempt = Attempt{At: s.config.Now(), Event: data["event"], Forged: forged}
	defer func() { attempt.Millis = s.config.Now().Sub(attempt.At).Milliseconds() }()
	shop, _ := s.book.shop(shopID)
	if shop.PostbackURL == "" {
		attempt.Error = "the shop has no postback URL"
		return attempt
	}
	signed := wire.SignData(shop.key(), data)
	if forged {
		signed = maps.Clone(signed)
		signed["signature"] = strings.Repeat("0", len(signed["signature"]))
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	status, body, err := s.get(ctx, shop.PostbackURL+separator(shop.PostbackURL)+signed.Query())
	if err != nil {
		attempt.Error = err.Error()
		return attempt
	}
	attempt.Status, attempt.Body = status, body
	attempt.OK = status == http.StatusOK && body == "OK"
	return attempt
}

func (s *Simulator) get(ctx context.Context, address string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", errors.New("postback URL is unusable")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok { // without the address, which is signed
			err = wrapped.Err
		}
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }() // nothing is written, so closing has nothing to say
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, "", fmt.Errorf("read answer: %w", err)
	}
	return resp.StatusCode, string(body), nil
}

// separator is what joins parameters to an address that may have some already.
func separator(address string) string {
	if strings.Contains(address, "?") {
		return "&"
	}
	return "?"
}

// sleep pauses and says whether it did so to the end.
func sleep(ctx context.Context, pause time.Duration) bool {
	if pause <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
