// Package resurs owns a simulated Resurs Bank Merchant API 2: tokens, payments, the page of the customer's tasks, callbacks,
// captures, cancellations and refunds, on the real wire.
//
// It takes authenticated calls and gives payments in the vendor's words, and misbehaves on demand (package vendor). HTTP
// statuses of refusals, which are not public, are the sandbox's own.
package resurs

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"quittance/pkg/money"
	"quittance/services/sandbox/internal/vendor"
)

// Name of the vendor in paths; accounts have base_url …/resurs.
const Name = "resurs"

// Words of a payment's status.
const (
	redirect = "TASK_REDIRECTION_REQUIRED"
	Frozen   = "FROZEN"
	Accepted = "ACCEPTED"
	Rejected = "REJECTED"
)

// Settings of a shop, whose id is its storeId.
const (
	ClientID     = "clientID"
	ClientSecret = "clientSecret"
	// Methods are the ids of its payment methods, comma-separated.
	Methods = "methods"
	// Currency of the store.
	Currency = "currency"
)

// tokenLife is how long tokens live.
const tokenLife = 3599 * time.Second

// Simulator plays the vendor.
type Simulator struct {
	*vendor.Office
	// url is where browsers reach the sandbox.
	url func() string

	mu     sync.Mutex
	tokens map[string]issued // a kill ends them
}

// issued is a token's shop and end.
type issued struct {
	shop  string
	until time.Time
}

// New opens the book and registers shops, besides those that the book remembers. url gives the base URL at which browsers
// reach the sandbox.
func New(config vendor.Config, url func() string, shops ...vendor.Shop) (*Simulator, error) {
	s := &Simulator{url: url, tokens: map[string]issued{}}
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

// Routes adds the API, the page of tasks and what all vendors have.
func (s *Simulator) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /"+Name+"/oauth2/token", s.issue)
	mux.HandleFunc("POST /"+Name+"/v2/payments", s.authenticated(s.create))
	mux.HandleFunc("GET /"+Name+"/v2/payments/{id}", s.authenticated(s.read))
	mux.HandleFunc("GET /"+Name+"/v2/payments/{id}/tasks/status", s.authenticated(s.tasks))
	mux.HandleFunc("POST /"+Name+"/v2/payments/{id}/{verb}", s.authenticated(s.operate))
	mux.HandleFunc("GET /"+Name+"/tasks/{token}", s.page)
	s.Office.Routes(mux)
}

// Act implements vendor.Vendor.
func (s *Simulator) Act(p *vendor.Payment, action vendor.Action, amount money.Amount) ([]string, error) {
	open, frozen := p.State == redirect, p.State == Frozen
	switch action {
	case vendor.Pay, vendor.Accept:
		if !open && !frozen || frozen && action == vendor.Pay {
			return nil, vendor.ErrUnchanged
		}
		p.State, p.Ended, p.Authorized = Accepted, true, p.Amount
		if p.Detail("automaticCapture") != "" {
			p.Authorized.Minor, p.Captured = 0, p.Amount
			return []string{"AUTHORIZED", "CAPTURED"}, nil
		}
		return []string{"AUTHORIZED"}, nil
	case vendor.Freeze:
		if !open {
			return nil, vendor.ErrUnchanged
		}
		p.State, p.Ended = Frozen, true
		return []string{"FROZEN"}, nil
	case vendor.Decline, vendor.Reject:
		if !open && !frozen {
			return nil, vendor.ErrUnchanged
		}
		p.State, p.Ended, p.Details["tasksCompleted"], p.Details["category"] = Rejected, true, "true", "CREDIT_DENIED"
		return []string{"REJECTED"}, nil
	case vendor.Cancel:
		if !open {
			return nil, vendor.ErrUnchanged
		}
		p.State, p.Ended, p.Details["category"] = Rejected, true, "ABORTED_BY_CUSTOMER"
		return []string{"REJECTED"}, nil
	case vendor.Refund, vendor.ChargeBack:
		if err := s.move(p, "refund", amount); err != nil {
			return nil, vendor.ErrUnchanged
		}
		return []string{"REFUND"}, nil
	}
	return nil, errors.New("no such action")
}

// errNotPossible is answered for what a payment's state does not allow.
var errNotPossible = errors.New("not possible now")

// move captures, cancels or refunds an amount, or all that is left for zero.
func (s *Simulator) move(p *vendor.Payment, verb string, amount money.Amount) error {
	left := p.Authorized.Minor
	if verb == "refund" {
		left = p.Captured.Minor - p.Refunded.Minor
	}
	if amount.Minor == 0 {
		amount.Minor = left
	}
	if p.State != Accepted || amount.Minor <= 0 || amount.Minor > left {
		return errNotPossible
	}
	switch verb {
	case "capture":
		p.Authorized.Minor -= amount.Minor
		p.Captured.Minor += amount.Minor
	case "cancel":
		p.Authorized.Minor -= amount.Minor
		p.Canceled.Minor += amount.Minor
	case "refund":
		p.Refunded.Minor += amount.Minor
	}
	p.Details["actionID"], p.Details["actionAt"] = newUUID(), s.Now().UTC().Format(time.RFC3339Nano)
	return nil
}

// Callback implements vendor.Vendor. Copies and repeats are equal, byte by byte.
// There is no signature: a forged one is what anybody who knows the payment's id could send, whatever has happened.
func (s *Simulator) Callback(ctx context.Context, p vendor.Payment, event string, forged bool) (*http.Request, error) {
	body := map[string]string{"paymentId": p.ID}
	address := p.Detail("authorizationURL")
	switch event {
	case "CAPTURE", "REFUND", "CANCEL":
		address = p.Detail("managementURL")
		body["action"], body["actionId"], body["created"] = event, p.Detail("actionID"), p.Detail("actionAt")
	default:
		body["status"] = event
		body["created"] = p.CreatedOn.UTC().Format("2006-01-02 15:04") // the vendor writes it in several ways
	}
	if forged {
		body = map[string]string{"paymentId": p.ID, "status": "AUTHORIZED", "created": "forged " + newUUID()}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	if address == "" {
		return nil, errors.New("the payment has no callback URL")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(text))
	if err != nil {
		return nil, errors.New("the callback URL is unusable")
	}
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

// Acknowledges implements vendor.Vendor.
func (*Simulator) Acknowledges(status int, _ string) bool { return status >= 200 && status <= 299 }

// Leave implements vendor.Vendor: one of two addresses, without parameters.
func (s *Simulator) Leave(w http.ResponseWriter, r *http.Request, p vendor.Payment, _ vendor.Action) {
	target := p.Detail("successURL")
	if p.State == Rejected {
		target = p.Detail("failURL")
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// page is where the customer does what the vendor asks for.
func (s *Simulator) page(w http.ResponseWriter, r *http.Request) {
	p, ok := s.Book.Payment(r.PathValue("token"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.ShowPayment(w, http.StatusOK, s.timed(p), "")
}

// timed is a payment whose time to live may be over: nobody needs to look for that to be so.
func (s *Simulator) timed(p vendor.Payment) vendor.Payment {
	life, err := time.ParseDuration(p.Detail("timeToLive"))
	if err != nil || p.State != redirect || s.Now().Before(p.CreatedOn.Add(life)) {
		return p
	}
	over, err := s.Book.Update(p.Token, func(p *vendor.Payment) error {
		if p.State != redirect {
			return vendor.ErrUnchanged
		}
		p.State, p.Ended, p.Details["category"] = Rejected, true, "TIMEOUT"
		return nil
	})
	if err != nil {
		return p
	}
	return over
}

// newUUID gives a random UUID (version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return strings.ToLower(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}
