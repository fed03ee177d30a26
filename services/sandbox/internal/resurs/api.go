package resurs

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"quittance/pkg/id"
	"quittance/pkg/money"
	"quittance/services/sandbox/internal/vendor"
)

const maxBody = 256 << 10

// issue answers the token request, form-encoded or JSON: both are documented.
func (s *Simulator) issue(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	ask := map[string]string{}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			refuse(w, http.StatusBadRequest, "unreadable")
			return
		}
	} else {
		for _, name := range []string{"grant_type", "scope", "client_id", "client_secret"} {
			ask[name] = r.PostFormValue(name)
		}
	}
	if ask["grant_type"] != "client_credentials" || ask["scope"] == "" {
		refuse(w, http.StatusBadRequest, "grant_type and scope")
		return
	}
	for _, shop := range s.Book.Shops() {
		right := subtle.ConstantTimeCompare([]byte(ask["client_secret"]), []byte(shop.Settings[ClientSecret])) == 1
		if shop.Settings[ClientID] != ask["client_id"] || !right {
			continue
		}
		token := id.Token()
		s.mu.Lock()
		maps.DeleteFunc(s.tokens, func(_ string, t issued) bool { return t.until.Before(s.Now()) })
		s.tokens[token] = issued{shop.ID, s.Now().Add(tokenLife)}
		s.mu.Unlock()
		answer(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(tokenLife / time.Second)})
		return
	}
	refuse(w, http.StatusUnauthorized, "invalid client")
}

// RevokeTokens ends all tokens before their time.
func (s *Simulator) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// authenticated lets those in who have a token.
func (s *Simulator) authenticated(next func(http.ResponseWriter, *http.Request, vendor.Shop)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		t, ok := s.tokens[token]
		s.mu.Unlock()
		if !ok || t.until.Before(s.Now()) {
			refuse(w, http.StatusUnauthorized, "token")
			return
		}
		shop, _ := s.Book.Shop(t.shop)
		next(w, r, shop)
	}
}

// request is what counts of a new payment.
type request struct {
	StoreID         string `json:"storeId"`
	PaymentMethodID string `json:"paymentMethodId"`
	Order           struct {
		OrderLines []struct {
			Description string      `json:"description"`
			Total       json.Number `json:"totalAmountIncludingVat"`
		} `json:"orderLines"`
		OrderReference string `json:"orderReference"`
	} `json:"order"`
	Options struct {
		HandleFrozenPayments bool `json:"handleFrozenPayments"`
		AutomaticCapture     bool `json:"automaticCapture"`
		Callbacks            struct {
			Authorization struct{ URL string } `json:"authorization"`
			Management    struct{ URL string } `json:"management"`
		} `json:"callbacks"`
		RedirectionURLs struct {
			Customer struct {
				FailURL    string `json:"failUrl"`
				SuccessURL string `json:"successUrl"`
			} `json:"customer"`
		} `json:"redirectionUrls"`
		TimeToLiveInMinutes int `json:"timeToLiveInMinutes"`
	} `json:"options"`
}

func (s *Simulator) create(w http.ResponseWriter, r *http.Request, shop vendor.Shop) {
	var req request
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		refuse(w, http.StatusBadRequest, "unreadable")
		return
	}
	fault, faults := s.Book.Faults.Spoil(req.Order.OrderReference)
	p, err := s.paymentOf(req, shop)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := s.Book.Enter(p); err != nil {
		s.Fail(w, r, err)
		return
	}
	if vendor.Spoil(w, r, fault, faults) { // it exists all the same
		return
	}
	answer(w, http.StatusCreated, s.view(p, ""))
}

func (s *Simulator) paymentOf(req request, shop vendor.Shop) (vendor.Payment, error) {
	o := req.Options
	success, err := url.Parse(o.RedirectionURLs.Customer.SuccessURL)
	switch {
	case req.StoreID != shop.ID:
		return vendor.Payment{}, errors.New("storeId")
	case !slices.Contains(strings.Split(shop.Settings[Methods], ","), req.PaymentMethodID):
		return vendor.Payment{}, errors.New("paymentMethodId")
	case o.TimeToLiveInMinutes < 1 || o.TimeToLiveInMinutes > 43200:
		return vendor.Payment{}, errors.New("timeToLiveInMinutes")
	case o.AutomaticCapture && o.HandleFrozenPayments:
		return vendor.Payment{}, errors.New("automaticCapture with handleFrozenPayments")
	case err != nil || success.Host == "":
		return vendor.Payment{}, errors.New("successUrl")
	case len(req.Order.OrderLines) == 0:
		return vendor.Payment{}, errors.New("orderLines")
	}
	total := money.Amount{Currency: shop.Settings[Currency]}
	for _, line := range req.Order.OrderLines {
		amount, err := money.Parse(total.Currency, line.Total.String())
		if err != nil {
			return vendor.Payment{}, fmt.Errorf("totalAmountIncludingVat: %w", err)
		}
		total.Minor += amount.Minor
	}
	zero := money.Amount{Currency: total.Currency}
	p := vendor.Payment{
		Token: id.Token(), ID: newUUID(), Reference: req.Order.OrderReference, Shop: shop.ID, Description: req.Order.OrderLines[0].Description,
		CreatedOn: s.Now(), State: redirect, Amount: total, Authorized: zero, Captured: zero, Canceled: zero, Refunded: zero,
		Details: map[string]string{
			"method": req.PaymentMethodID, "successURL": o.RedirectionURLs.Customer.SuccessURL, "failURL": o.RedirectionURLs.Customer.FailURL,
			"authorizationURL": o.Callbacks.Authorization.URL, "managementURL": o.Callbacks.Management.URL,
			"timeToLive": (time.Duration(o.TimeToLiveInMinutes) * time.Minute).String(),
		},
	}
	if o.AutomaticCapture {
		p.Details["automaticCapture"] = "true"
	}
	return p, nil
}

// mine finds a shop's payment.
func (s *Simulator) mine(r *http.Request, shop vendor.Shop) (vendor.Payment, bool) {
	p, ok := s.Book.ByID(strings.ToLower(r.PathValue("id")))
	if !ok || p.Shop != shop.ID {
		return vendor.Payment{}, false
	}
	return s.timed(p), true
}

func (s *Simulator) read(w http.ResponseWriter, r *http.Request, shop vendor.Shop) {
	p, ok := s.mine(r, shop)
	fault, faults := s.Book.Faults.Spoil(p.Reference)
	if vendor.Spoil(w, r, fault, faults) {
		return
	}
	if !ok || fault == vendor.StatusNotFound {
		refuse(w, http.StatusNotFound, "no such payment")
		return
	}
	answer(w, http.StatusOK, s.view(p, fault))
}

func (s *Simulator) tasks(w http.ResponseWriter, r *http.Request, shop vendor.Shop) {
	p, ok := s.mine(r, shop)
	if !ok {
		refuse(w, http.StatusNotFound, "no such payment")
		return
	}
	open := p.State == redirect
	answer(w, http.StatusOK, map[string]any{
		"completed": p.Detail("tasksCompleted") != "" || p.State != Rejected && !open,
		"customer":  map[string]any{"customerUrl": s.way(p), "hasActiveTask": open},
	})
}

// operate captures, cancels or refunds.
func (s *Simulator) operate(w http.ResponseWriter, r *http.Request, shop vendor.Shop) {
	verb := r.PathValue("verb")
	p, ok := s.mine(r, shop)
	if !ok || !slices.Contains([]string{"capture", "cancel", "refund"}, verb) {
		refuse(w, http.StatusNotFound, "no such payment")
		return
	}
	var body struct {
		OrderLines []struct {
			Total json.Number `json:"totalAmountIncludingVat"`
		} `json:"orderLines"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, "unreadable")
		return
	}
	amount := money.Amount{Currency: p.Amount.Currency}
	for _, line := range body.OrderLines {
		part, err := money.Parse(amount.Currency, line.Total.String())
		if err != nil {
			refuse(w, http.StatusBadRequest, "totalAmountIncludingVat")
			return
		}
		amount.Minor += part.Minor
	}
	fault, faults := s.Book.Faults.Spoil(p.Reference)
	event := strings.ToUpper(verb)
	p, err := s.Book.Update(p.Token, func(p *vendor.Payment) error {
		if err := s.move(p, verb, amount); err != nil {
			return err
		}
		p.Events = append(p.Events, event)
		return nil
	})
	if errors.Is(err, errNotPossible) {
		refuse(w, http.StatusConflict, err.Error())
		return
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	s.Tell(r.Context(), p, event)
	if vendor.Spoil(w, r, fault, faults) { // it is done all the same
		return
	}
	answer(w, http.StatusOK, s.view(p, fault))
}

// way is where the customer does the tasks.
func (s *Simulator) way(p vendor.Payment) string { return s.url() + "/" + Name + "/tasks/" + p.Token }

// view is a payment as the API shows it.
func (s *Simulator) view(p vendor.Payment, fault vendor.StatusFault) map[string]any {
	state, told := p.State, func(a money.Amount) json.Number {
		if fault == vendor.StatusAmount && a.Minor > 0 {
			a.Minor--
		}
		return json.Number(a.Decimal())
	}
	if fault == vendor.StatusPending {
		state = redirect
	}
	actions := []map[string]string{}
	add := func(possible bool, names ...string) {
		for _, name := range names {
			if possible {
				actions = append(actions, map[string]string{"action": name})
			}
		}
	}
	add(p.State == Accepted && p.Authorized.Minor > 0, "CAPTURE", "PARTIAL_CAPTURE", "CANCEL", "PARTIAL_CANCEL")
	add(p.State == Accepted && p.Captured.Minor > p.Refunded.Minor, "REFUND", "PARTIAL_REFUND")
	v := map[string]any{
		"id": p.ID, "created": p.CreatedOn.UTC().Format("2006-01-02T15:04:05.000000000Z"), "storeId": p.Shop, "status": state,
		"order": map[string]any{
			"orderReference": p.Reference, "actionLog": []any{}, "possibleActions": actions, "totalOrderAmount": json.Number(p.Amount.Decimal()),
			"canceledAmount": told(p.Canceled), "authorizedAmount": told(p.Authorized), "capturedAmount": told(p.Captured), "refundedAmount": told(p.Refunded),
		},
		"paymentMethod": map[string]any{"id": p.Detail("method")}, "taskRedirectionUrls": map[string]any{"customerUrl": s.way(p)},
	}
	if state == Rejected {
		v["rejectedReason"] = map[string]string{"category": p.Detail("category")}
	}
	return v
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a reader that left needs no word
}

func refuse(w http.ResponseWriter, status int, reason string) {
	answer(w, status, map[string]string{"message": reason})
}
