// Package kontocloud owns a simulated KontoCloud e-wallet: the portal that the browser posts its form to, the API with its
// tokens, and notifications, on the real wire.
//
// It takes the browser with a form and gives it back with a POST whose query says what happened, answers authenticated
// questions about transactions, and misbehaves on demand (package vendor). Words that the vendor's documentation does not
// have (all of statusCode but CAPTURED and AUTHORIZED, all of notifications) are the sandbox's own.
package kontocloud

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"quittance/pkg/id"
	"quittance/pkg/money"
	"quittance/services/sandbox/internal/page"
	"quittance/services/sandbox/internal/vendor"
)

// Name of the vendor in paths. Accounts have portal_url …/kontocloud and base_url …/kontocloud/api.
const Name = "kontocloud"

// Words of statusCode. Only the first two are the vendor's.
const (
	Captured   = "CAPTURED"
	Authorized = "AUTHORIZED"
	created    = "CREATED"
	review     = "REVIEW"
	declined   = "DECLINED"
	canceled   = "CANCELED"
	refunded   = "REFUNDED"
	chargeback = "CHARGEBACK"
)

// Settings of a shop, whose id is its merchantAccno.
const (
	// User and Password of the API.
	User     = "user"
	Password = "password"
	// NotificationURL gets the notifications, with NotificationUser and NotificationPassword; without one none are sent.
	NotificationURL      = "notificationURL"
	NotificationUser     = "notificationUser"
	NotificationPassword = "notificationPassword"
)

// tokenLife is how long tokens live; the vendor's figure is not public.
const tokenLife = 5 * time.Minute

// Simulator plays the vendor.
type Simulator struct {
	*vendor.Office

	mu     sync.Mutex
	tokens map[string]issued // a kill ends them, as a vendor may
}

// issued is a token's shop and end.
type issued struct {
	shop  string
	until time.Time
}

// New opens the book and registers shops, besides those that the book remembers.
func New(config vendor.Config, shops ...vendor.Shop) (*Simulator, error) {
	s := &Simulator{tokens: map[string]issued{}}
	var err error
	if s.Office, err = vendor.Open(config, s); err != nil {
		return nil, err
	}
	for _, shop := range shops {
		if err := s.Book.PutShop(shop); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Name implements vendor.Vendor.
func (*Simulator) Name() string { return Name }

// Routes adds the portal, the API and what all vendors have.
func (s *Simulator) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /"+Name+"/Payment", s.enter)
	mux.HandleFunc("POST /"+Name+"/api/user/{user}/issue", s.issue)
	mux.HandleFunc("GET /"+Name+"/api/payment/{reference}/status", s.status)
	s.Office.Routes(mux)
}

// Act implements vendor.Vendor. A notification follows whatever changes the money; that a capture has one is ours.
func (s *Simulator) Act(p *vendor.Payment, action vendor.Action, amount money.Amount) ([]string, error) {
	decided := p.State != created && p.State != review && p.State != declined
	switch action {
	case vendor.Pay, vendor.Accept:
		if decided || action == vendor.Accept && p.State != review {
			return nil, vendor.ErrUnchanged
		}
		p.Ended = true
		if p.Detail("paymentType") == "BlockAmount" {
			p.State, p.Authorized = Authorized, p.Amount
			return []string{"Authorization"}, nil
		}
		p.State, p.Captured = Captured, p.Amount
		return []string{"Settlement"}, nil
	case vendor.Freeze:
		if decided {
			return nil, vendor.ErrUnchanged
		}
		p.State, p.Ended = review, true
		return nil, nil
	case vendor.Decline, vendor.Reject:
		if decided || action == vendor.Reject && p.State != review {
			return nil, vendor.ErrUnchanged
		}
		p.State, p.Ended = declined, action == vendor.Reject
		return nil, nil
	case vendor.Cancel:
		if p.State != created && p.State != declined {
			return nil, vendor.ErrUnchanged
		}
		p.State = canceled
		return nil, nil
	case vendor.Refund, vendor.ChargeBack:
		return s.giveBack(p, action, amount)
	}
	return nil, errors.New("no such action")
}

func (s *Simulator) giveBack(p *vendor.Payment, action vendor.Action, amount money.Amount) ([]string, error) {
	left, err := p.Captured.Sub(p.Refunded)
	if amount.Minor == 0 {
		amount = left
	}
	if err != nil || amount.Minor <= 0 || amount.Minor > left.Minor {
		return nil, vendor.ErrUnchanged
	}
	p.Refunded.Minor += amount.Minor
	if action == vendor.ChargeBack {
		p.State = chargeback
		return []string{"Chargeback"}, nil
	}
	if p.Refunded.Minor == p.Captured.Minor {
		p.State = refunded
	}
	return []string{"Refund"}, nil
}

// Callback implements vendor.Vendor. A forger doesn't know the password.
func (s *Simulator) Callback(ctx context.Context, p vendor.Payment, event string, forged bool) (*http.Request, error) {
	shop, _ := s.Book.Shop(p.Shop)
	if shop.Settings[NotificationURL] == "" {
		return nil, errors.New("the shop has no notification URL")
	}
	body, err := json.Marshal(map[string]any{
		"type": event, "merchantTransactionId": p.Reference, "uniqueReference": p.ID, "sequence": len(p.Events),
	})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, shop.Settings[NotificationURL], bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the notification URL is unusable")
	}
	req.Header.Set("Content-Type", "application/json")
	password := shop.Settings[NotificationPassword]
	if forged {
		password = "guessed"
	}
	req.SetBasicAuth(shop.Settings[NotificationUser], password)
	return req, nil
}

// Acknowledges implements vendor.Vendor.
func (*Simulator) Acknowledges(status int, _ string) bool { return status == http.StatusOK }

// Leave implements vendor.Vendor: the browser posts to callBackUrl, where the query says what happened. The vendor's
// reference comes only with a success, spelled as in the documentation's examples.
func (s *Simulator) Leave(w http.ResponseWriter, _ *http.Request, p vendor.Payment, action vendor.Action) {
	back, err := url.Parse(p.Detail("callBackUrl"))
	if err != nil {
		http.Error(w, "callBackUrl is unusable", http.StatusBadRequest)
		return
	}
	query := back.Query()
	query.Set("merchantTransactionId", p.Reference)
	switch {
	case action == vendor.Pay && p.State != canceled && p.State != declined:
		query.Set("paymentResult", "OK")
		query.Set("unqiueReference", p.ID)
	case p.State == canceled:
		query.Set("paymentResult", "Canceled by user")
	default:
		query.Set("paymentResult", "Payment declined")
	}
	back.RawQuery = query.Encode()
	page.Write(w, http.StatusOK, backPage, map[string]string{"URL": back.String(), "State": p.State})
}

// issue answers Issue Token.
func (s *Simulator) issue(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Password string `json:"password"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&body); err != nil {
		http.Error(w, "Bad Request", http.StatusBadRequest)
		return
	}
	for _, shop := range s.Book.Shops() {
		right := subtle.ConstantTimeCompare([]byte(body.Password), []byte(shop.Settings[Password])) == 1
		if shop.Settings[User] != r.PathValue("user") || !right {
			continue
		}
		token, until := id.Token(), s.Now().Add(tokenLife)
		s.mu.Lock()
		maps.DeleteFunc(s.tokens, func(_ string, t issued) bool { return t.until.Before(s.Now()) })
		s.tokens[token] = issued{shop.ID, until}
		s.mu.Unlock()
		answer(w, map[string]string{"token": token, "validUntil": until.UTC().Format("2006-01-02T15:04:05.000Z")})
		return
	}
	http.Error(w, "Forbidden", http.StatusForbidden)
}

// RevokeTokens ends all tokens before their time.
func (s *Simulator) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// status answers Get Payment Status.
func (s *Simulator) status(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	token, ok := s.tokens[r.Header.Get("X-Auth-Token")]
	s.mu.Unlock()
	if !ok || token.until.Before(s.Now()) {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	p, found := s.Book.ByID(r.PathValue("reference"))
	fault, faults := s.Book.Faults.Spoil(p.Reference)
	if vendor.Spoil(w, r, fault, faults) {
		return
	}
	if !found || p.Shop != token.shop || fault == vendor.StatusNotFound {
		http.Error(w, "Not Found", http.StatusNotFound)
		return
	}
	amount, state := vendor.Told(p.Amount, fault), p.State
	if fault == vendor.StatusPending {
		state = created
	}
	now := s.Now().UTC()
	answer(w, map[string]any{
		"uniqueReference": p.ID, "partnerReference": r.URL.Query().Get("partnerReference"), "initiatorAccno": p.Shop, "initiatorName": "Shop",
		"accno": "CUSTOMER-1", "presentationAmount": json.Number(amount.Decimal()), "presentationCurrCode": amount.Currency, "presentationUsage": p.Description,
		"customerFullName": "Jo Doe", "addr1": "Main Street", "houseNumber": "1", "city": "Berlin", "state": "BE", "country": "DE", "postCode": "10115",
		"statusCode": state, "statusReason": "", "localDate": r.URL.Query().Get("localDate"), "localTime": r.URL.Query().Get("localTime"),
		"sysDate": now.Format(time.DateOnly), "sysTime": now.Format("150405"), "responseCode": "0000", "responseDescription": "Successful execution",
		"additionalInformation": map[string]any{"internalTransactionsPendingSettlement": []any{}, "requestId": id.Token()},
	})
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // a reader that left needs no word
}

// otherwise gives the first text that is not empty.
func otherwise(texts ...string) string {
	for _, text := range texts {
		if strings.TrimSpace(text) != "" {
			return text
		}
	}
	return ""
}
